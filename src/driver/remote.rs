//! What other threads may do to a driver: post the result of a call, and wake it.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::Key;
use crate::{
    shrink,
    sys::{Completion, WakeFd},
};

/// The threads that run calls which have no other way.
pub(crate) trait Helpers {
    /// Runs `job` on another thread, sooner or later.
    fn run(&self, job: Job);
}

/// A call for a helper thread, and where its result goes.
pub(crate) struct Job {
    call: Box<dyn FnOnce() -> i32 + Send>,
    post: Box<dyn FnOnce(i32) + Send>,
}

impl Job {
    pub(super) fn new(
        call: Box<dyn FnOnce() -> i32 + Send>,
        post: impl FnOnce(i32) + Send + 'static,
    ) -> Self {
        Self {
            call,
            post: Box::new(post),
        }
    }

    pub(crate) fn run(self) {
        (self.post)((self.call)());
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// The part of a driver that every thread may use.
pub(crate) struct Remote {
    wake: WakeFd,
    has_results: AtomicBool,
    results: Mutex<Vec<(Key, i32)>>,
}

impl Remote {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            wake: WakeFd::new()?,
            has_results: AtomicBool::new(false),
            results: Mutex::new(Vec::new()),
        })
    }

    /// Ends the driver's sleep, or the next one if it is awake.
    pub(crate) fn wake(&self) {
        self.wake.wake();
    }

    pub(super) fn wake_fd(&self) -> i32 {
        self.wake.raw()
    }

    pub(super) fn clear_wake(&self) {
        self.wake.clear();
    }

    pub(super) fn post(&self, key: Key, result: i32) {
        self.results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((key, result));
        self.has_results.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn take(&self, out: &mut Vec<(u64, Completion)>) {
        if !self.has_results.load(Ordering::Acquire) {
            return;
        }
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_results.store(false, Ordering::Relaxed);
        out.extend(
            results
                .drain(..)
                .map(|(key, res)| (key.user_data(), Completion::new(res))),
        );
        shrink::empty(&mut results);
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("wake", &self.wake)
            .finish_non_exhaustive()
    }
}
