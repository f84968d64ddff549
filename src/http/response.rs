//! An answer.

use bytes::Bytes;

use super::{HeaderName, HeaderValue, StatusCode, header};

/// An answer: a status, fields, and a body of known length.
///
/// `Date`, `Content-Length` and `Connection` are the server's business; so is leaving out what must
/// not be there, such as the body of an answer to `HEAD`.
#[derive(Clone, Debug)]
pub struct Response {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Response {
    /// An answer without fields and without a body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            content_type: None,
            fields: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// `200 OK` with plain text in UTF-8. A `&'static str` is not copied.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::with_type(
            HeaderValue::from_static("text/plain; charset=utf-8"),
            text.into(),
        )
    }

    /// `200 OK` with a page in UTF-8.
    #[must_use]
    pub fn html(page: impl Into<Bytes>) -> Self {
        Self::with_type(
            HeaderValue::from_static("text/html; charset=utf-8"),
            page.into(),
        )
    }

    /// `200 OK` with bytes of no particular type.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::with_type(
            HeaderValue::from_static("application/octet-stream"),
            bytes.into(),
        )
    }

    fn with_type(content_type: HeaderValue, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Some(content_type),
            fields: Vec::new(),
            body,
        }
    }

    /// Changes the status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a field. `Content-Type` replaces the one that the body came with.
    ///
    /// `Content-Length`, `Transfer-Encoding` and `Connection: keep-alive` are left out when the
    /// answer is written, since the server decides them; `Connection: close` closes the connection.
    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if name == header::CONTENT_TYPE {
            self.content_type = Some(value);
        } else {
            self.fields.push((name, value));
        }
        self
    }

    /// Changes the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        self.status
    }

    pub(super) fn content_type(&self) -> Option<&HeaderValue> {
        self.content_type.as_ref()
    }

    pub(super) fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.fields
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.body
    }
}
