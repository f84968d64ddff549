//! [`Executor`]: starts hyper's tasks.

use std::future::Future;

use crate::task;

/// Starts hyper's background futures as tasks of this thread.
///
/// They need not be `Send`. A panic of one ends that one, as that of any task without a handle.
///
/// # Panics
///
/// `execute` does outside of a runtime.
///
/// # Examples
///
/// ```
/// use annulus::{compat::hyper::Executor, sync::oneshot};
/// use hyper::rt::Executor as _;
///
/// annulus::run(async {
///     let (sender, receiver) = oneshot::channel();
///     Executor.execute(async { sender.send("done").unwrap() });
///     assert_eq!(receiver.await, Ok("done"));
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        drop(task::spawn(future));
    }
}
