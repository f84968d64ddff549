//! [`Join`]: both of two futures.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

pin_project! {
    /// The future of [`join`].
    #[must_use = "a join does nothing unless it is awaited"]
    pub struct Join<A: Future, B: Future> {
        #[pin]
        left: Side<A>,
        #[pin]
        right: Side<B>,
    }
}

pin_project! {
    #[project = SideProjection]
    #[project_replace = SideReplaced]
    enum Side<F: Future> {
        Running { #[pin] future: F },
        Done { output: F::Output },
        Taken,
    }
}

/// Waits for both futures and returns both outputs.
///
/// They run by turns within the task that awaits this: whenever it is woken, each future that is
/// not ready yet is polled, `left` first. A future is dropped as soon as it is ready.
///
/// # Panics
///
/// When polled again after it was ready.
///
/// # Cancel safety
///
/// As that of the two futures. The output of one that was ready is dropped with the `Join`.
///
/// # Examples
///
/// ```
/// use annulus::{future::join, sync::oneshot};
///
/// annulus::run(async {
///     let (sender, receiver) = oneshot::channel();
///     let (received, sent) = join(receiver, async { sender.send(5) }).await;
///     assert_eq!((received, sent), (Ok(5), Ok(())));
/// });
/// ```
pub fn join<A: Future, B: Future>(left: A, right: B) -> Join<A, B> {
    Join {
        left: Side::Running { future: left },
        right: Side::Running { future: right },
    }
}

impl<F: Future> Side<F> {
    /// Polls the future unless its output is there already. Returns whether it is.
    fn poll_done(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> bool {
        let output = match self.as_mut().project() {
            SideProjection::Running { future } => match future.poll(context) {
                Poll::Ready(output) => output,
                Poll::Pending => return false,
            },
            SideProjection::Done { .. } => return true,
            SideProjection::Taken => panic!("a `Join` was polled after it was ready"),
        };
        self.set(Side::Done { output });
        true
    }

    fn take_output(self: Pin<&mut Self>) -> F::Output {
        match self.project_replace(Side::Taken) {
            SideReplaced::Done { output } => output,
            _ => unreachable!("outputs are taken when both are there"),
        }
    }
}

impl<A: Future, B: Future> Future for Join<A, B> {
    type Output = (A::Output, B::Output);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let is_left_done = this.left.as_mut().poll_done(context);
        let is_right_done = this.right.as_mut().poll_done(context);
        if !is_left_done || !is_right_done {
            return Poll::Pending;
        }
        Poll::Ready((this.left.take_output(), this.right.take_output()))
    }
}

impl<A: Future, B: Future> fmt::Debug for Join<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").finish_non_exhaustive()
    }
}
