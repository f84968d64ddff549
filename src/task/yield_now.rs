//! Letting the other tasks have a turn.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::budget;

/// Lets every other task that is ready have its turn before this one goes on.
///
/// A future that computes for long should do this now and then, because its thread does nothing
/// else meanwhile: no task runs, no timer fires, and no socket is looked at. Timers and sockets
/// have their turn after 16 yields on the ring, and after 64 without it. A future that waits for
/// something need not yield, also where it finds everything ready: see
/// [Fairness](crate::task#fairness).
///
/// # Cancel safety
///
/// There is nothing to lose.
///
/// # Examples
///
/// ```
/// # annulus::run(async {
/// for _part in 0..3 {
///     // .. some milliseconds of work ..
///     annulus::task::yield_now().await;
/// }
/// # });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        budget::count_yield();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
