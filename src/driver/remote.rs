//! The calls that other threads may make on a driver: post the result of a call, and wake it.

use std::{
    io,
    sync::{PoisonError, TryLockError},
};

use super::Key;
#[cfg(all(test, loom))]
use super::loom_tests::WakeFd;
#[cfg(not(all(test, loom)))]
use crate::sys::WakeFd;
use crate::{mailbox::Mailbox, primitives::RwLock, shrink, sys::Completion};

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

/// The part of a driver that every thread may use. It may outlive the driver: another thread's
/// waker keeps it.
pub(crate) struct Remote {
    /// None after the driver's end, so that no waker keeps the descriptor open.
    ///
    /// Invariant: other threads only try to read it, and hold it for one system call. So the end
    /// waits for no more than that, and a child of fork(2) never waits for a thread that it lacks.
    wake: RwLock<Option<WakeFd>>,
    /// The driver sleeps in a system call, so it is woken by the descriptor and not by a waker.
    results: Mailbox<Vec<(Key, i32)>>,
}

impl Remote {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            wake: RwLock::new(Some(WakeFd::new()?)),
            results: Mailbox::default(),
        })
    }

    /// Ends the driver's sleep, or the next one if it is awake. After the driver's end it does
    /// nothing.
    pub(crate) fn wake(&self) {
        self.with_wake_fd(WakeFd::wake);
    }

    /// The descriptor that other threads' wakes make readable.
    ///
    /// # Panics
    ///
    /// After the driver's end.
    pub(super) fn wake_fd(&self) -> i32 {
        self.with_wake_fd(WakeFd::raw)
            .expect("the driver has not ended")
    }

    pub(super) fn clear_wake(&self) {
        self.with_wake_fd(WakeFd::take);
    }

    /// Only the end of the driver locks others out, so a lock that is not to be had means that.
    fn with_wake_fd<R>(&self, call: impl FnOnce(&WakeFd) -> R) -> Option<R> {
        let wake = match self.wake.try_read() {
            Ok(wake) => wake,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        wake.as_ref().map(call)
    }

    /// Closes the wake descriptor, after the wakes that other threads are in the middle of.
    pub(super) fn close_wake(&self) {
        let mut wake = self.wake.write().unwrap_or_else(PoisonError::into_inner);
        *wake = None;
    }

    /// Sleeps as the driver does in the kernel.
    #[cfg(all(test, loom))]
    pub(super) fn sleep(&self) {
        self.with_wake_fd(WakeFd::sleep);
    }

    #[cfg(all(test, loom))]
    pub(super) fn has_ended(&self) -> bool {
        self.with_wake_fd(|_| ()).is_none()
    }

    pub(super) fn post(&self, key: Key, result: i32) {
        self.results.put(|results| results.push((key, result)));
        self.wake();
    }

    /// Whether there are results to take.
    pub(super) fn has_results(&self) -> bool {
        self.results.is_new()
    }

    pub(super) fn take(&self, out: &mut Vec<(u64, Completion)>) {
        self.results.take(|results| {
            let completion = |(key, res): (Key, i32)| (key.user_data(), Completion::new(res));
            out.extend(results.drain(..).map(completion));
            shrink::empty(results);
        });
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("wake", &self.wake)
            .finish_non_exhaustive()
    }
}
