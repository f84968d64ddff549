//! Conversions to and from the types of the `http` crate.

use bytes::Bytes;

use super::{body::Body, into_response::IntoResponse, request::Request, response::Response};
use crate::http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    error::{Error, Result},
    error_kind::ErrorKind,
};

impl Request {
    /// Returns the request as the `http` crate has it. The map of the fields is built.
    ///
    /// The target becomes its `uri`, in the form in which it was sent; the parameters of the path
    /// are lost.
    ///
    /// # Errors
    ///
    /// 400: `Uri` refuses some characters that are sent in practice, `<`, `>` and backticks among
    /// them.
    pub fn into_http(mut self) -> Result<::http::Request<Body>> {
        let parts = self.head().to_parts().map_err(|cause| {
            let reason = "expected a target that the type `Uri` can hold";
            Error::other(StatusCode::BAD_REQUEST, ErrorKind::Param, reason).with_source(cause)
        })?;
        Ok(::http::Request::from_parts(parts, self.take_body()))
    }
}

impl TryFrom<Request> for ::http::Request<Body> {
    type Error = Error;

    fn try_from(request: Request) -> Result<Self> {
        request.into_http()
    }
}

/// The version and the extensions are left out.
impl<B: Into<Bytes>> From<::http::Response<B>> for Response {
    fn from(response: ::http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self::new(parts.status)
            .with_fields(parts.headers)
            .with_body(body)
    }
}

/// The version and the extensions are left out.
impl<B: Into<Bytes>> IntoResponse for ::http::Response<B> {
    fn into_response(self) -> Response {
        self.into()
    }
}

/// Fields by their map, and by text.
impl Response {
    /// Adds fields, each as [`with_field`](Self::with_field) does.
    #[must_use]
    pub fn with_fields(mut self, fields: HeaderMap) -> Self {
        let mut last_name = None;
        for (name, value) in fields {
            // Only the first of several values comes with their name.
            last_name = name.or(last_name);
            if let Some(name) = &last_name {
                self = self.with_field(name.clone(), value);
            }
        }
        self
    }

    /// Adds a field that is given as text, as [`with_field`](Self::with_field) does.
    ///
    /// # Errors
    ///
    /// 500 when the name is not a token, or the value has control characters: line ends never
    /// reach a client.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::http::{self, Response};
    /// # fn main() -> http::Result<()> {
    /// let response = Response::text("saved").try_with_field("X-Request-Id", "7")?;
    /// assert!(response.try_with_field("X-Name", "two\r\nlines").is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_with_field(self, name: &str, value: &str) -> Result<Self> {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let name = HeaderName::try_from(name).map_err(|cause| {
            let reason = format!("expected a field's name, found {name:?}");
            Error::other(status, ErrorKind::Internal, reason).with_source(cause)
        })?;
        let value = HeaderValue::try_from(value).map_err(|cause| {
            let reason = format!("expected a value for the field `{name}`, found {value:?}");
            Error::other(status, ErrorKind::Internal, reason).with_source(cause)
        })?;
        Ok(self.with_field(name, value))
    }
}

/// Adds the fields.
impl<R: IntoResponse> IntoResponse for (HeaderMap, R) {
    fn into_response(self) -> Response {
        self.1.into_response().with_fields(self.0)
    }
}

/// Adds the fields, and changes the status.
impl<R: IntoResponse> IntoResponse for (StatusCode, HeaderMap, R) {
    fn into_response(self) -> Response {
        (self.1, self.2).into_response().with_status(self.0)
    }
}

/// Adds the fields.
impl<R: IntoResponse, const N: usize> IntoResponse for ([(HeaderName, HeaderValue); N], R) {
    fn into_response(self) -> Response {
        let response = self.1.into_response();
        self.0
            .into_iter()
            .fold(response, |response, (name, value)| {
                response.with_field(name, value)
            })
    }
}

/// Adds the fields, and changes the status.
impl<R: IntoResponse, const N: usize> IntoResponse
    for (StatusCode, [(HeaderName, HeaderValue); N], R)
{
    fn into_response(self) -> Response {
        (self.1, self.2).into_response().with_status(self.0)
    }
}
