//! Collecting in the middle of a turn, for a decision that wants to know what has come by now.
//!
//! A task sees what the kernel had when its turn began. That is a moment ago, unless a task of the
//! turn has worked for long. A look at the clock at the end of each collection gives that time;
//! only threads that have asked for it before make that look.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::{Driver, backend::Backend};

/// The time for which collected completions count as the present. It is longer than the turn of a
/// busy thread, which would else make a second visit to the kernel in each.
const PRESENT: Duration = Duration::from_micros(500);

/// The end of the last collection, and the end of the time for which it counts as the present, on a
/// thread that keeps count of that.
#[derive(Default)]
pub(super) struct CollectedAt(Cell<Option<(Instant, Instant)>>);

impl CollectedAt {
    /// Notes the end of a collection.
    #[inline]
    pub(super) fn note(&self) {
        if self.0.get().is_some() {
            self.begin();
        }
    }

    fn begin(&self) {
        let now = Instant::now();
        self.0.set(Some((now, now + PRESENT)));
    }

    #[inline]
    fn is_present(&self, now: Instant) -> bool {
        // A clock that tests have stopped is behind, and tells nothing.
        self.0
            .get()
            .is_some_and(|(at, until)| at <= now && now < until)
    }
}

impl Driver {
    /// Collects what the kernel has now, unless that was done a moment before `now`. The future
    /// that waits for it is woken. An error is left for the next turn to find.
    #[inline]
    pub(crate) fn catch_up(&self, now: Instant) {
        if !self.collected_at.is_present(now) {
            self.collect_now();
        }
    }

    /// Collects what the kernel has now.
    #[cold]
    pub(crate) fn collect_now(&self) {
        if self.check_current().is_err() {
            return;
        }
        let busy = self.batch.get();
        self.collected_at.begin();
        if self.turn_between().is_ok() && self.holds_back() {
            // Completions that were there already kept the turn from asking for more.
            let _ = self.turn_between();
        }
        // The thread is as busy as it was when the turn began.
        self.batch.set(self.batch.get().max(busy));
    }

    /// Whether the kernel says that it has more.
    fn holds_back(&self) -> bool {
        match &mut self.core.borrow_mut().backend {
            Backend::Ring(ring) => ring.wants_enter(),
            Backend::Poll(_) | Backend::Closed => false,
        }
    }
}
