//! [`InTokio`]: a future that is polled here, inside of tokio's context.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::tokio::Tokio;
use crate::runtime::tokio_counts::count_context;

pin_project! {
    /// A future that is polled and dropped inside of tokio's context. Made by
    /// [`in_tokio`](super::in_tokio) and [`Tokio::context`].
    ///
    /// # Panics
    ///
    /// As its future does, and in a child that fork(2) has made since it was made.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future, inside of the context too: a destructor may spawn on tokio.
    /// Tasks that the future has spawned there go on.
    ///
    /// Feature: `tokio-context`.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct InTokio<F> {
        tokio: Tokio,
        // None when it has been dropped.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for InTokio<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                count_context();
                let _entered = this.tokio.handle().enter();
                this.future.set(None);
            }
        }
    }
}

impl<F> InTokio<F> {
    pub(super) fn new(tokio: Tokio, future: F) -> Self {
        Self {
            tokio,
            future: Some(future),
        }
    }
}

impl<F: Future> Future for InTokio<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.tokio.check_process();
        count_context();
        let _entered = this.tokio.handle().enter();
        let future = this.future.as_pin_mut();
        future
            .expect("it is there until it is dropped")
            .poll(context)
    }
}

impl<F> fmt::Debug for InTokio<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTokio")
            .field("tokio", &self.tokio)
            .finish_non_exhaustive()
    }
}
