//! The counters of a topic.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of a topic, or of all topics together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages that were published.
    pub published: u64,
    /// Messages that were handed to the connections of subscribers, one for each of them.
    pub delivered: u64,
    /// Messages that subscribers did not get, one for each of them.
    pub dropped: u64,
    /// Connections that were ended because they were too slow.
    pub closed: u64,
}

/// The same, as threads count.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) published: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) closed: AtomicU64,
}

impl Counters {
    pub(super) fn get(&self) -> Counts {
        Counts {
            published: self.published.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            closed: self.closed.load(Relaxed),
        }
    }

    /// Adds to one of them.
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }
}
