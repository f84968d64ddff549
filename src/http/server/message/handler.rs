//! The trait of everything that answers requests.

use std::future::Future;

use super::{into_response::IntoResponse, request::Request, response::Response};

/// Answers requests. Every async closure from a [`Request`] to something that
/// [turns into a response](IntoResponse) is one, and so is a [`Router`](crate::http::Router).
///
/// # Cancel safety
///
/// The future is dropped when the server is. It is polled on one thread and need not be `Send`.
///
/// # Examples
///
/// A handler around another one is a function that returns a closure. Its code before and after the
/// call runs for all routes below it:
///
/// ```
/// use annulus::http::{Handler, HeaderName, HeaderValue, Request, Response, Router, StatusCode};
///
/// /// Lets requests with the token through, and answers 401 to the others.
/// fn with_token(token: &'static str, inner: impl Handler) -> impl Handler {
///     async move |request: Request| -> Response {
///         let expected = format!("Bearer {token}");
///         if request.field("authorization") != Some(expected.as_bytes()) {
///             return Response::new(StatusCode::UNAUTHORIZED);
///         }
///         inner.handle(request).await
///     }
/// }
///
/// /// Adds a field to each answer.
/// fn without_sniffing(inner: impl Handler) -> impl Handler {
///     async move |request: Request| -> Response {
///         let name = HeaderName::from_static("x-content-type-options");
///         let response = inner.handle(request).await;
///         response.with_field(name, HeaderValue::from_static("nosniff"))
///     }
/// }
///
/// fn service() -> impl Handler {
///     let router = Router::new().get("/", async |_| "hello");
///     without_sniffing(with_token("secret", router))
/// }
/// # let _ = service;
/// ```
///
/// Each worker makes its own: `Server::new().listen("127.0.0.1:8080").run_each(service)`. State is
/// a field of the closure, as the token is here.
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
