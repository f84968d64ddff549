//! A service that stays on its thread, where `Send` is asked for.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::task::ThreadBound;

/// A bound service is a service, and is called on its own thread only. Its futures are bound and
/// `Send` as well.
///
/// Feature: `tower`.
impl<S, R> Service<R> for ThreadBound<S>
where
    S: Service<R> + 'static,
    S::Future: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ThreadBound<Pin<Box<S::Future>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.get_mut().poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        ThreadBound::pin(self.get_mut().call(request))
    }
}
