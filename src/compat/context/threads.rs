//! The threads of one runtime of tokio's, counted so that its end can wait for theirs.

use std::{
    cell::Cell,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::runtime::tokio_counts;

thread_local! {
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is one that a runtime of tokio's has started for this crate.
pub(super) fn is_on_tokio() -> bool {
    IS_OURS.get()
}

#[derive(Debug, Default)]
pub(super) struct Threads {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Threads {
    /// Counts the thread that calls this.
    pub(super) fn start(&self) {
        IS_OURS.set(true);
        tokio_counts::count_thread_start();
        *self.lock() += 1;
        self.changed.notify_all();
    }

    /// Uncounts the thread that calls this.
    pub(super) fn end(&self) {
        tokio_counts::count_thread_end();
        *self.lock() -= 1;
        self.changed.notify_all();
    }

    /// Waits for the first thread to start.
    pub(super) fn wait_for_start(&self) {
        let started = self.changed.wait_while(self.lock(), |count| *count == 0);
        drop(started.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until all threads have ended, for at most `timeout`, and returns how many have not.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> usize {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Nothing panics while it holds the lock.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
