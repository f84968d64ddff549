//! [`OnTokio`]: a future that runs on a thread of tokio's.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::task::JoinHandle;

use super::tokio::Tokio;
use crate::runtime::tokio_counts::count_task;

/// The output of a future that runs on a thread of tokio's. Made by [`on_tokio`](super::on_tokio)
/// and [`Tokio::spawn`].
///
/// # Panics
///
/// When the future panics, awaiting its output panics in the same way. So does awaiting it after
/// its runtime was shut down, and in a child that fork(2) has made since.
///
/// # Cancel safety
///
/// Dropping it cancels the future, as if it were awaited here: tokio drops it at its next `await`,
/// soon and on its own thread. [`detach`](Self::detach) lets it go on.
///
/// Feature: `tokio-context`.
#[must_use = "dropping it cancels the future; `detach` lets it go on"]
pub struct OnTokio<T> {
    tokio: Tokio,
    /// None when the output was taken, and after `detach`.
    task: Option<JoinHandle<T>>,
}

impl<T> OnTokio<T> {
    pub(super) fn new(tokio: Tokio, task: JoinHandle<T>) -> Self {
        count_task();
        Self {
            tokio,
            task: Some(task),
        }
    }

    /// Lets the future go on without this handle. Its output is dropped on tokio's thread, and a
    /// panic of it is lost.
    ///
    /// Feature: `tokio-context`.
    pub fn detach(mut self) {
        self.task = None;
    }
}

impl<T> Future for OnTokio<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.tokio.check_process();
        let task = self.task.as_mut();
        let task = task.expect("a future is not polled after it is ready");
        let joined = ready!(Pin::new(task).poll(context));
        self.task = None;
        match joined {
            Ok(output) => Poll::Ready(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => panic!(
                    "tokio's runtime was shut down before a future that runs on it was ready"
                ),
            },
        }
    }
}

impl<T> Drop for OnTokio<T> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else {
            return;
        };
        if self.tokio.is_of_this_process() {
            task.abort();
        } else {
            // A thread of the parent's may have had one of tokio's locks.
            std::mem::forget(task);
        }
    }
}

impl<T> fmt::Debug for OnTokio<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnTokio").finish_non_exhaustive()
    }
}
