//! [`StopNotice`]: tells the tasks of a thread that their server begins to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::sync::Notify;

/// Tells the tasks of a thread that their server begins to stop.
#[derive(Debug)]
pub(crate) struct StopNotice {
    /// Of the whole server. It is set a moment before this thread hears of the stop, so that
    /// answers say so in the same turn.
    is_stopping: Arc<AtomicBool>,
    begun: Notify,
}

impl StopNotice {
    pub(crate) fn new(is_stopping: Arc<AtomicBool>) -> Self {
        Self {
            is_stopping,
            begun: Notify::new(),
        }
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Begins the stop, and tells the tasks that wait for it.
    pub(crate) fn begin(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.begun.notify_waiters();
    }

    /// Waits until the stop begins.
    pub(crate) async fn stopping(&self) {
        while !self.is_stopping() {
            self.begun.notified().await;
        }
    }
}
