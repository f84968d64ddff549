//! Limits the bodies of requests.

use crate::http::{
    Layer, Next, Request, Response, StatusCode,
    server::{LayerBox, Sides, Step, handle_step},
};

/// Limits the bodies of requests, in place of
/// [`Limits::body_bytes_max`](crate::http::Limits::body_bytes_max), for the routes of a router.
///
/// A request that announces a larger body in `Content-Length` is answered 413, and its handler does
/// not run. In another one, which comes in chunks, the handler's read fails once the limit is
/// passed, which is 413 by `?`. The innermost of several such layers counts for these. A handler
/// can set another limit by [`Body::limit`](crate::http::Body::limit).
///
/// # Examples
///
/// ```
/// use annulus::http::{Request, Router, layers::BodyLimit};
///
/// let uploads = Router::new()
///     .post("/", async |mut request: Request| request.take_body().bytes().await)
///     .layer(BodyLimit::new(100 << 20));
/// let router = Router::new().nest("/uploads", uploads);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    bytes_max: u64,
}

impl BodyLimit {
    /// Makes a layer that lets bodies of up to `bytes_max` bytes through.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max }
    }
}

impl Step for BodyLimit {
    fn sides(&self) -> Sides {
        Sides::Before
    }

    fn before(&self, request: &mut Request) -> Option<Response> {
        if request.body_len().is_some_and(|len| len > self.bytes_max) {
            return Some(Response::new(StatusCode::PAYLOAD_TOO_LARGE));
        }
        request.set_body_bytes_max(self.bytes_max);
        None
    }
}

impl Layer for BodyLimit {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        handle_step(self, request, next).await
    }

    fn into_any(self) -> LayerBox {
        LayerBox::step(self)
    }
}
