//! A future without a limit on what one poll of it does.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::budget;

pin_project! {
    /// The future of [`unconstrained`].
    #[derive(Debug)]
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct Unconstrained<F> {
        #[pin]
        future: F,
    }
}

/// Polls `future` without the limit on [operations in one poll](crate::task#fairness).
///
/// Nothing else happens on its thread as long as it finds everything ready. This is for work that
/// must be done before any other task has a turn, and that ends.
///
/// # Cancel safety
///
/// As that of `future`.
///
/// # Examples
///
/// ```
/// use annulus::{sync::mpsc, task::unconstrained};
///
/// annulus::run(async {
///     let (sender, mut receiver) = mpsc::unbounded();
///     for number in 0..1000 {
///         sender.try_send(number).unwrap();
///     }
///     drop(sender);
///     let sum = unconstrained(async {
///         let mut sum = 0;
///         while let Some(number) = receiver.recv().await {
///             sum += number;
///         }
///         sum
///     });
///     assert_eq!(sum.await, 499_500);
/// });
/// ```
pub fn unconstrained<F: Future>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        budget::unlimited(|| self.project().future.poll(context))
    }
}
