//! A subscriber that is being sent the history of a topic.

use std::time::Instant;

use super::delivery::Delivery;
use crate::time;

/// A subscriber that is being sent the history of a topic, at the pace of its link.
///
/// [`Slow::Close`](super::Slow::Close) has two limits, of bytes and of age. A history may exceed
/// both on a slow link, and a client that was closed for it would be sent the same history when it
/// connects again, and be closed again. So its bytes do not count, and the age of all that waits
/// counts from the last time at which a message of it was sent.
#[derive(Default)]
pub(super) struct CatchUp {
    /// Bytes of the history that wait.
    bytes: usize,
    /// The time at which a message of it was added or sent last.
    moved: Option<Instant>,
}

impl CatchUp {
    pub(super) fn add(&mut self, delivery: &Delivery) {
        self.bytes += delivery.len();
        self.moved = Some(delivery.since);
    }

    /// Notes that a message of the history was sent or dropped.
    pub(super) fn remove(&mut self, delivery: &Delivery) {
        self.bytes -= delivery.len();
        self.moved = Some(time::now());
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The time from which ages count at the earliest.
    pub(super) fn moved(&self) -> Option<Instant> {
        self.moved
    }
}
