//! Helper threads, for calls that block: password hashing, a library without an asynchronous
//! interface.
//!
//! The threads are the process's, and all its runtimes share them. There are three kinds of
//! [`Work`], each with threads and a queue of its own: calls given to [`run`] (up to 512 threads),
//! look-ups of names (up to 64), and operations on files where the driver has no other way for them
//! (four for each core and at least eight). Threads start when needed and end when idle for ten
//! seconds. Jobs beyond the limit wait in order; [`stats`] counts them, and [`set_threads_max`]
//! changes a limit.
//!
//! So calls that take long delay no file and no name. A call that is made inside of another one, by
//! a runtime that runs there, does not wait for the limit: the one that made it may be waiting for
//! it. Calls that wait for each other in another way need as many threads at once, and the limit
//! has to allow for them.
//!
//! A child that fork(2) makes has none of these threads, and starts its own.

mod threads;
mod work;

use std::{
    any::Any,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    primitives::{Mutex, lock},
    sys::Process,
    unwind,
    wait_note::{self, WaitNote},
};
use threads::Job;
pub use work::{HelperStats, Work, WorkStats};

/// Runs `call` on a helper thread.
///
/// # Panics
///
/// When `call` panics, awaiting its result panics in the same way. So does awaiting it in a child
/// that fork(2) has made meanwhile: the call ends in the parent.
///
/// # Cancel safety
///
/// A call that has begun goes on when the future is dropped, and its result is dropped. A call that
/// still waits in the queue is dropped itself.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let text = annulus::blocking::run(|| std::fs::read_to_string("Cargo.toml")).await?;
///     assert!(text.contains("annulus"));
///     Ok(())
/// })
/// # }
/// ```
pub fn run<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    run_as(Work::Calls, call)
}

/// The result of a call on a helper thread. Made by [`run`].
#[must_use = "without waiting for it the call may never begin"]
pub struct Blocking<T> {
    shared: Arc<Mutex<State<T>>>,
    process: Process,
}

enum State<T> {
    Waiting(Option<Waker>),
    Done(Result<T, Box<dyn Any + Send>>),
    Taken,
}

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if !self.process.is_current() {
            return Poll::Ready(self.output_from_parent());
        }
        let waker = context.waker().clone();
        let mut state = lock(&self.shared);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Waiting(old) => {
                *state = State::Waiting(Some(waker));
                drop(state);
                drop(old);
                wait_note::leave(WaitNote::Call);
                Poll::Pending
            }
            State::Done(output) => {
                drop(state);
                Poll::Ready(output.unwrap_or_else(|panic| resume_unwind(panic)))
            }
            State::Taken => panic!("a future is not polled after it is ready"),
        }
    }
}

impl<T> Blocking<T> {
    /// The output in a child that fork(2) has made, if it was there before. The thread that makes
    /// the call is the parent's, and may have had the lock.
    #[cold]
    fn output_from_parent(&self) -> T {
        if let Ok(mut state) = self.shared.try_lock() {
            if let State::Done(output) = std::mem::replace(&mut *state, State::Taken) {
                return output.unwrap_or_else(|panic| resume_unwind(panic));
            }
        }
        panic!(
            "a call that a helper thread was given before fork(2) ends in the process that gave it"
        );
    }
}

impl<T> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

/// Sets how many threads may do one kind of work from now on; zero counts as one.
///
/// It is for the whole process. Threads beyond a lower limit end when their job has ended.
///
/// # Examples
///
/// ```
/// use annulus::blocking::{self, Work};
///
/// // Each call takes much memory: the others wait.
/// blocking::set_threads_max(Work::Calls, 4);
/// assert_eq!(blocking::stats().calls.threads_max, 4);
/// ```
pub fn set_threads_max(work: Work, threads_max: usize) {
    work.threads().set_threads_max(threads_max);
}

/// Returns the state of the process's helper threads.
#[must_use]
pub fn stats() -> HelperStats {
    let stats = |work: Work| work.threads().stats(|| work.threads_max_default());
    HelperStats {
        calls: stats(Work::Calls),
        names: stats(Work::Names),
        files: stats(Work::Files),
    }
}

/// As [`run`], for the runtime's own.
pub(crate) fn run_as<T: Send + 'static>(
    work: Work,
    call: impl FnOnce() -> T + Send + 'static,
) -> Blocking<T> {
    let (job, blocking) = pair(call);
    submit(work, job);
    blocking
}

/// A call for a helper thread, and its result.
fn pair<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> (Job, Blocking<T>) {
    let shared = Arc::new(Mutex::new(State::Waiting(None)));
    let result = Arc::downgrade(&shared);
    let job = move || {
        // The caller's future was dropped, so the call need not begin.
        let Some(shared) = result.upgrade() else {
            return;
        };
        let output = catch_unwind(AssertUnwindSafe(call));
        let before = std::mem::replace(&mut *lock(&shared), State::Done(output));
        if let State::Waiting(Some(waker)) = before {
            unwind::swallow(|| waker.wake());
        }
        // The output, if the caller's future was dropped.
        unwind::swallow(|| drop(shared));
    };
    let blocking = Blocking {
        shared,
        process: Process::current(),
    };
    (Box::new(job), blocking)
}

/// Runs `job` on a helper thread, sooner or later.
pub(crate) fn submit(work: Work, job: Job) {
    work.threads().submit(job, || work.threads_max_default());
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::{
        park::block_on,
        primitives::{Arc as Tracked, model, thread},
    };

    #[test]
    fn loom_the_output_of_a_call_wakes_its_future_or_is_dropped_with_it() {
        model(3, || {
            let (job, output) = pair(|| Tracked::new(5));
            let helper = thread::spawn(job);
            assert_eq!(*block_on(output), 5);
            helper.join().unwrap();
        });
        model(3, || {
            let (job, output) = pair(|| Tracked::new(5));
            let helper = thread::spawn(job);
            drop(output);
            helper.join().unwrap();
        });
    }
}
