//! An answer to a request.

#[cfg(feature = "compress")]
pub(crate) mod compression;
mod conditional;
#[cfg(feature = "tower")]
mod failure;
mod file_name;

use std::{fmt, future::poll_fn, mem, pin::pin};

use bytes::Bytes;
use futures_core::Stream;

pub(crate) use conditional::{date_value, unix_seconds};

use super::{body_writer::BodyWriter, event_stream::EventStart, response_body::ResponseBody};
use crate::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        error::{Error, Result},
        error_answer::ErrorAnswer,
        header,
        transport::{
            tunnelled::MakeTunnel,
            upgraded::{Upgraded, used_by},
        },
    },
    sync::mpsc,
};

/// An answer: a status, fields, and a body.
///
/// `Date`, `Content-Length` and `Connection` are the server's business; so is leaving out what must
/// not be there, such as the body of an answer to `HEAD`.
pub struct Response {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: ResponseBody,
    /// The error that it stands for, for the access log.
    error: Option<Box<Error>>,
}

impl Response {
    /// Makes an answer without fields and without a body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            content_type: None,
            fields: Vec::new(),
            body: ResponseBody::default(),
            error: None,
        }
    }

    /// Answers `200 OK` with plain text in UTF-8. A `&'static str` is not copied.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::with_type(
            HeaderValue::from_static("text/plain; charset=utf-8"),
            text.into(),
        )
    }

    /// Answers `200 OK` with a page in UTF-8.
    #[must_use]
    pub fn html(page: impl Into<Bytes>) -> Self {
        Self::with_type(
            HeaderValue::from_static("text/html; charset=utf-8"),
            page.into(),
        )
    }

    /// Answers `200 OK` with bytes of no particular type.
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
            body: ResponseBody::Bytes(body),
            error: None,
        }
    }

    /// Sets a function that writes the body.
    pub(crate) fn with_writer<F>(mut self, write: F) -> Self
    where
        F: AsyncFnOnce(BodyWriter) -> Result<()> + 'static,
    {
        self.body = Self::writer(write).body;
        self
    }

    /// Adds the fields of another answer.
    pub(crate) fn with_fields_of(mut self, other: Self) -> Self {
        self.content_type = other.content_type;
        self.fields.extend(other.fields);
        self
    }

    /// Changes the status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a field. `Content-Type` replaces the one that the body came with.
    ///
    /// `Content-Length`, `Transfer-Encoding` and `Connection: keep-alive` are left out when the
    /// answer is written, since the server decides them; `Connection: close` closes the connection.
    /// A `Content-Length` counts where there is no body to measure: it promises the length of a
    /// body that is written in pieces, and tells the length of the one that an answer to HEAD, or a
    /// 304, leaves out.
    #[must_use]
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.add_field(name, value);
        self
    }

    pub(crate) fn add_field(&mut self, name: HeaderName, value: HeaderValue) {
        if name == header::CONTENT_TYPE {
            self.content_type = Some(value);
        } else {
            self.fields.push((name, value));
        }
    }

    /// As [`with_field`](Self::with_field), of a response that has none, and with no `Content-Type`
    /// among them.
    pub(crate) fn with_all_fields(
        mut self,
        content_type: HeaderValue,
        fields: Vec<(HeaderName, HeaderValue)>,
    ) -> Self {
        self.content_type = Some(content_type);
        self.fields = fields;
        self
    }

    /// Changes the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = ResponseBody::Bytes(body.into());
        self
    }

    /// Answers `200 OK` with a body that `write` writes once the head is on its way.
    ///
    /// Its length is unknown: the body goes out in chunks, or to HTTP/1.0 until the close. With a
    /// `Content-Length` field it is promised, and cut when `write` gives less.
    ///
    /// `write` is dropped when the client leaves, also by closing just its own side unless the
    /// length is promised. When it fails before anything was sent, the answer becomes that of the
    /// error; later, the connection is cut, so that the client cannot take what it has for the
    /// whole.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::{BodyWriter, Response, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .run(async |_request| {
    ///         Response::writer(async |mut out: BodyWriter| {
    ///             for number in 0..3 {
    ///                 out.write(format!("line {number}\n")).await?;
    ///             }
    ///             Ok(())
    ///         })
    ///     })
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn writer<F>(write: F) -> Self
    where
        F: AsyncFnOnce(BodyWriter) -> Result<()> + 'static,
    {
        let mut response = Self::new(StatusCode::OK);
        response.body = ResponseBody::Producer(Box::new(move |out| {
            Box::pin(async move { write(out).await })
        }));
        response
    }

    /// Answers `200 OK` with the items of a stream as body. An error cuts it, as in
    /// [`writer`](Self::writer).
    #[must_use]
    pub fn stream<S, D, E>(stream: S) -> Self
    where
        S: Stream<Item = std::result::Result<D, E>> + 'static,
        D: Into<Bytes>,
        E: Into<Error>,
    {
        Self::writer(async move |mut out: BodyWriter| {
            let mut stream = pin!(stream);
            while let Some(item) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
                out.write(item.map_err(Into::into)?).await?;
            }
            Ok(())
        })
    }

    /// Answers `200 OK` with the values that are sent into the channel as body; it ends when the
    /// last sender is dropped. `pieces_max` pieces wait in it at most.
    ///
    /// The senders may be moved to other tasks of this thread. When the client leaves they fail.
    #[must_use]
    pub fn channel(pieces_max: usize) -> (mpsc::Sender<Bytes>, Self) {
        let (sender, mut receiver) = mpsc::channel(pieces_max);
        let response = Self::writer(async move |mut out: BodyWriter| {
            while let Some(piece) = receiver.recv().await {
                out.write(piece).await?;
            }
            Ok(())
        });
        (sender, response)
    }

    /// Answers `101 Switching Protocols`, and hands the connection to `use_it`, with the bytes that
    /// the client sent after its request. It is closed when that returns.
    ///
    /// A client that did not offer `protocol`, by `Upgrade` and `Connection: upgrade` in HTTP/1.1,
    /// is answered `426 Upgrade Required` with the protocol's name instead, and `use_it` is
    /// dropped. [`Request::upgrades`](crate::http::Request::upgrades) tells what was offered, to
    /// handlers that choose among several or have another answer.
    #[must_use]
    pub fn upgrade<F>(protocol: HeaderValue, use_it: F) -> Self
    where
        F: AsyncFnOnce(Upgraded) + 'static,
    {
        Self::upgrade_by(protocol, Box::new(|departed| used_by(departed, use_it)))
    }

    /// As [`upgrade`](Self::upgrade), with a protocol of this crate's.
    pub(crate) fn upgrade_by(protocol: HeaderValue, make: Box<MakeTunnel>) -> Self {
        let mut response = Self::tunnel_by(make).with_status(StatusCode::SWITCHING_PROTOCOLS);
        response.fields.push((header::UPGRADE, protocol));
        response
    }

    /// Answers `200 OK` to a `CONNECT`, and hands the connection to `use_it`, as
    /// [`upgrade`](Self::upgrade). To another method it answers 500.
    #[must_use]
    pub fn tunnel<F>(use_it: F) -> Self
    where
        F: AsyncFnOnce(Upgraded) + 'static,
    {
        Self::tunnel_by(Box::new(|departed| used_by(departed, use_it)))
    }

    /// As [`tunnel`](Self::tunnel), with a protocol of this crate's.
    pub(crate) fn tunnel_by(make: Box<MakeTunnel>) -> Self {
        let mut response = Self::new(StatusCode::OK);
        response.body = ResponseBody::Tunnel(make);
        response
    }

    /// Answers `200 OK` by the messages of a topic.
    pub(crate) fn event_stream(start: Box<EventStart>) -> Self {
        let mut response = Self::new(StatusCode::OK);
        response.body = ResponseBody::Events(start);
        response
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the first field called `name`, in any case, of those that were set. Fields that
    /// the server adds are not among them.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        if name.eq_ignore_ascii_case("content-type") {
            return self.content_type.as_ref().map(HeaderValue::as_bytes);
        }
        let mut fields = self.fields.iter();
        fields
            .find(|(known, _)| known.as_str().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_bytes())
    }

    pub(crate) fn content_type(&self) -> Option<&HeaderValue> {
        self.content_type.as_ref()
    }

    pub(crate) fn field_list(&self) -> &[(HeaderName, HeaderValue)] {
        &self.fields
    }

    /// The answer to a request that failed: the error's status, with the fields and the body that
    /// it asks for, and what it says for the log.
    pub(crate) fn failed(error: Error) -> Self {
        let mut response = match error.answer() {
            Some(answer) => answer.clone().into(),
            None => Self::new(StatusCode::OK),
        };
        response.status = error.status();
        response.error = Some(Box::new(error));
        response
    }

    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }

    pub(crate) fn take_error(&mut self) -> Option<Box<Error>> {
        self.error.take()
    }

    /// The body, if it is here.
    #[inline]
    pub(crate) fn bytes_here(&self) -> Option<&Bytes> {
        match &self.body {
            ResponseBody::Bytes(bytes) => Some(bytes),
            ResponseBody::Producer(_) | ResponseBody::Events(_) | ResponseBody::Tunnel(_) => None,
        }
    }

    /// Takes the body, if it is here.
    pub(crate) fn take_bytes(&mut self) -> Option<Bytes> {
        match &mut self.body {
            ResponseBody::Bytes(bytes) => Some(mem::take(bytes)),
            ResponseBody::Producer(_) | ResponseBody::Events(_) | ResponseBody::Tunnel(_) => None,
        }
    }

    /// Whether it has neither a body nor the type of one.
    pub(crate) fn is_bare(&self) -> bool {
        self.content_type.is_none() && self.bytes_here().is_some_and(Bytes::is_empty)
    }

    /// Takes the body of `other`, with its type.
    pub(crate) fn borrow_body(&mut self, other: Self) {
        self.content_type = other.content_type;
        self.body = other.body;
    }

    pub(crate) fn take_body(&mut self) -> ResponseBody {
        mem::take(&mut self.body)
    }

    /// Drops it after it was written. Most have no fields and a body that was here, and dropping
    /// those as any other value would cost a request 45 instructions.
    #[inline(always)]
    pub(crate) fn end(self) {
        let Self {
            fields,
            body,
            error,
            ..
        } = self;
        if fields.capacity() == 0 {
            // There is nothing to free.
            mem::forget(fields);
        } else {
            drop(fields);
        }
        match body {
            ResponseBody::Bytes(bytes) => drop(bytes),
            body => drop(body),
        }
        if let Some(error) = error {
            drop(error);
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl From<ErrorAnswer> for Response {
    fn from(answer: ErrorAnswer) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: answer.content_type,
            fields: answer.fields,
            body: ResponseBody::Bytes(answer.body),
            error: None,
        }
    }
}

/// The fields and the body of an answer, without a body that is still to be written.
impl From<Response> for ErrorAnswer {
    fn from(mut response: Response) -> Self {
        Self {
            body: response.take_bytes().unwrap_or_default(),
            content_type: response.content_type,
            fields: response.fields,
        }
    }
}

/// An answer as the `http` crate has it; one whose body is still to be written comes back.
impl TryFrom<Response> for ::http::Response<Bytes> {
    type Error = Response;

    fn try_from(mut response: Response) -> std::result::Result<Self, Response> {
        let ResponseBody::Bytes(body) = &mut response.body else {
            return Err(response);
        };
        let mut converted = Self::new(mem::take(body));
        *converted.status_mut() = response.status;
        if let Some(content_type) = response.content_type.take() {
            converted
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in response.fields.drain(..) {
            converted.headers_mut().append(name, value);
        }
        Ok(converted)
    }
}
