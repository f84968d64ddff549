//! [`Race`]: the first of two futures.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::either::Either;
use crate::budget::PutOff;

pin_project! {
    /// The future of [`race`].
    #[derive(Debug)]
    #[must_use = "a race does nothing unless it is awaited"]
    pub struct Race<A, B> {
        #[pin]
        left: A,
        #[pin]
        right: B,
        put_off: PutOff,
    }
}

/// Returns the output of the future that is ready first.
///
/// `left` is polled first, so it wins when both are ready. The other future is dropped together
/// with the `Race`, at the end of the `await`; to go on with it afterwards, pin it and pass
/// `future.as_mut()`.
///
/// # Cancel safety
///
/// As that of the two futures: dropping a race drops both.
///
/// # Examples
///
/// ```
/// use annulus::future::{Either, race};
/// use std::future::{pending, ready};
///
/// annulus::run(async {
///     assert_eq!(race(ready(1), ready("two")).await, Either::Left(1));
///     assert_eq!(race(pending::<u32>(), ready("two")).await, Either::Right("two"));
/// });
/// ```
pub fn race<A: Future, B: Future>(left: A, right: B) -> Race<A, B> {
    Race {
        left,
        right,
        put_off: PutOff::new(),
    }
}

impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Were `left` put off alone, then `right` would win although both are ready.
        if this.put_off.waits(context) {
            return Poll::Pending;
        }
        if let Poll::Ready(output) = this.left.poll(context) {
            return Poll::Ready(Either::Left(output));
        }
        this.right.poll(context).map(Either::Right)
    }
}
