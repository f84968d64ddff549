//! [`Timeout`]: a future with a deadline.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use super::{
    elapsed::Elapsed,
    sleep::{Sleep, sleep, sleep_until},
};

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a timeout does nothing unless it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

/// Waits for `future`, but no longer than `duration`.
///
/// The future is polled before the clock is looked at, so one that is ready wins over a deadline
/// that has passed. That holds for what the kernel has ready as well: when the process was stopped,
/// or a task has blocked the thread, what came meanwhile is taken before a timer that is late says
/// that it did not come. A deadline that has passed at the first poll lets one turn of the runtime
/// pass for the same reason: `timeout(Duration::ZERO, stream.recv())` takes what is there. The time
/// counts from this call; see [`sleep()`] for its limits.
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first. It converts to an [`io::Error`](std::io::Error), for
/// `timeout(..).await??`.
///
/// # Panics
///
/// Outside of a runtime.
///
/// # Cancel safety
///
/// The future does not go on after the timeout: it is dropped with the `Timeout` that holds it, at
/// the end of the `await`. For the operations of this crate that loses nothing: what arrives later
/// is there at the next `recv`. To go on waiting for the same future, pin it and pass
/// `future.as_mut()`.
///
/// # Examples
///
/// ```
/// use annulus::time::{Elapsed, timeout};
/// use std::future::{pending, ready};
/// use std::time::Duration;
///
/// annulus::run(async {
///     assert_eq!(timeout(Duration::ZERO, ready(5)).await, Ok(5));
///
///     let late: Result<(), Elapsed> = timeout(Duration::from_millis(1), pending()).await;
///     assert!(late.is_err());
/// });
/// ```
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout {
        future,
        sleep: sleep(duration),
    }
}

/// Waits for `future`, but no longer than until `deadline`, an instant of the runtime's clock.
///
/// Several steps can share one deadline this way. See [`timeout`] for the rest.
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first.
///
/// # Panics
///
/// Outside of a runtime.
///
/// # Examples
///
/// ```
/// use annulus::time::{now, timeout_at};
/// use std::future::ready;
/// use std::time::Duration;
///
/// annulus::run(async {
///     let deadline = now() + Duration::from_secs(1);
///     let first = timeout_at(deadline, ready(1)).await?;
///     let second = timeout_at(deadline, ready(2)).await?;
///     assert_eq!(first + second, 3);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout {
        future,
        sleep: sleep_until(deadline),
    }
}

impl<F> Timeout<F> {
    /// Returns the instant at which the wait ends.
    pub fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    /// Returns the future, without the deadline.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(context) {
            return Poll::Ready(Ok(output));
        }
        this.sleep
            .poll_timeout(context)
            .map(|()| Err(Elapsed { _private: () }))
    }
}
