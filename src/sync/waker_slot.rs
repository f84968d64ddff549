//! A place for the waker of the one task that waits.

use std::{cell::Cell, task::Waker};

/// Holds at most one waker. It is a `Cell`, so wakers run user code while nothing is borrowed.
pub(super) struct WakerSlot(Cell<Option<Waker>>);

impl WakerSlot {
    pub(super) const fn new() -> WakerSlot {
        WakerSlot(Cell::new(None))
    }

    /// Whether the task of `waker` would be woken.
    pub(super) fn holds(&self, waker: &Waker) -> bool {
        let stored = self.0.take();
        let is_same = stored
            .as_ref()
            .is_some_and(|stored| stored.will_wake(waker));
        self.0.set(stored);
        is_same
    }

    pub(super) fn set(&self, waker: Waker) {
        let replaced = self.0.replace(Some(waker));
        drop(replaced);
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}
