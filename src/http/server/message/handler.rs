//! The trait of everything that answers requests.

use std::future::Future;

use super::{into_response::IntoResponse, request::Request, response::Response};

/// Answers requests. Every async closure from a [`Request`] to something that
/// [turns into a response](IntoResponse) is one, and so is a [`Router`](crate::http::Router).
///
/// # Cancel safety
///
/// The future is dropped when the server is. It is polled on one thread and need not be `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of HTTP requests",
    note = "a handler is an async function or closure from one `Request` to a response, such as \
            `async |request: Request| \"hello\"`, or a `Router`"
)]
pub trait Handler: 'static {
    /// Answers one request.
    fn handle(&self, request: Request) -> impl Future<Output = Response>;
}

impl<H, R> Handler for H
where
    H: AsyncFn(Request) -> R + 'static,
    R: IntoResponse,
{
    async fn handle(&self, request: Request) -> Response {
        self(request).await.into_response()
    }
}
