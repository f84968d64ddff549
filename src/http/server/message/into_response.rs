//! The values that a handler may return.

use bytes::Bytes;

use super::response::Response;
use crate::http::{StatusCode, error::Error};

/// The values that a handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not turn into a response",
    note = "a handler returns a `Response`, text, bytes, a `StatusCode`, `()`, or a `Result` of \
            these",
    note = "the error of such a `Result` turns into `http::Error`, as `io::Error` does: \
            `.map_err(io::Error::other)?`",
    note = "values of your own are answered as JSON by `Response::json(&value)`, with the feature \
            `json` of annulus"
)]
pub trait IntoResponse {
    /// The answer.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

/// `204 No Content`.
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(StatusCode::NO_CONTENT)
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::bytes(self)
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        Response::bytes(self)
    }
}

impl<R: IntoResponse> IntoResponse for (StatusCode, R) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Response::failed(self)
    }
}

// The note about errors stands on the trait, so the compiler is to name the trait.
#[diagnostic::do_not_recommend]
impl<R: IntoResponse, E: Into<Error>> IntoResponse for Result<R, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(response) => response.into_response(),
            Err(error) => error.into().into_response(),
        }
    }
}
