//! A message on its way to the subscribers of one worker.

use std::{rc::Rc, sync::Arc, time::Instant};

use super::{local_topic::LocalTopic, published::Published};

/// A message on its way to the subscribers of one worker, who count their references without an
/// atomic.
pub(super) struct Delivery {
    pub(super) published: Arc<Published>,
    pub(super) topic: Rc<LocalTopic>,
    /// Since when it may wait.
    pub(super) since: Instant,
    /// It was published before its only subscriber came, and the limits do not count it.
    pub(super) is_history: bool,
}

impl Delivery {
    pub(super) fn len(&self) -> usize {
        self.published.len()
    }
}
