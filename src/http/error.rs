//! The errors of a handler.

use std::{borrow::Cow, fmt, io};

use bytes::Bytes;

use super::{
    HeaderName, HeaderValue, StatusCode, client,
    cookies::CookieError,
    error_answer::ErrorAnswer,
    error_kind::{BodyFailure, ErrorKind},
    h1::BodyError,
    header, websocket,
};
use crate::sys::errno;

/// The result of a handler that uses `?`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an [`Error`]: any error that may cross threads.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error that answers a request.
///
/// A status becomes an answer with that status, a body that breaks the protocol or a limit becomes
/// the answer that the protocol asks for, and an error of the [client](super::client::Error)
/// becomes 502 or 504. Its text, with that of its cause, is for the log and not for the client:
/// [`access_log`](super::Server::access_log) has it, and a server without an access log prints it
/// nowhere. The answer's body is empty unless the error has one by [`with_text`](Self::with_text),
/// [`with_body`](Self::with_body) or `with_json`, or the layer
/// [`ErrorBodies`](super::layers::ErrorBodies) writes one.
///
/// An [`io::Error`] is taken for one of a file that the request names:
///
/// | `io::ErrorKind` | Status |
/// |---|---|
/// | `NotFound`, `NotADirectory`, `IsADirectory`; a name that is too long (`ENAMETOOLONG`) or a socket's (`ENXIO`) | 404 |
/// | `PermissionDenied` | 403 |
/// | `StorageFull`, `QuotaExceeded` | 507 |
/// | any, around an error of a request's body or of the client, as readers of bodies return them | that error's |
/// | any other: those of connections and of what the handler itself did wrong | 500 |
///
/// Where something else than what the client asked for is missing, such as a file of the server's
/// or the Unix socket of a database, the handler says so:
/// `map_err(|error| Error::new(status, "no template").with_source(error))`.
///
/// # Examples
///
/// ```
/// use annulus::http::{Error, StatusCode};
///
/// let error = Error::new(StatusCode::CONFLICT, "the seat is taken");
/// assert_eq!(error.status(), StatusCode::CONFLICT);
/// assert_eq!(error.to_string(), "the seat is taken");
/// ```
pub struct Error {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Status(StatusCode),
    Body(BodyFailure),
    Io(io::Error),
    Other(Box<Other>),
}

#[derive(Debug)]
struct Other {
    status: StatusCode,
    kind: ErrorKind,
    reason: Cow<'static, str>,
    source: Option<Cause>,
    /// The fields and the body that the client gets besides the status.
    answer: ErrorAnswer,
}

impl Error {
    /// Makes an error that answers with `status`, and gives `reason` to the access log.
    #[must_use]
    pub fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::other(status, ErrorKind::Status, reason)
    }

    pub(super) fn other(
        status: StatusCode,
        kind: ErrorKind,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            inner: Inner::Other(Box::new(Other {
                status,
                kind,
                reason: reason.into(),
                source: None,
                answer: ErrorAnswer::default(),
            })),
        }
    }

    /// Sets the cause of the error.
    #[must_use]
    pub fn with_source(self, source: impl Into<Cause>) -> Self {
        let mut other = self.into_other();
        other.source = Some(source.into());
        Self {
            inner: Inner::Other(other),
        }
    }

    /// Adds a field to the answer, such as `Retry-After` or `WWW-Authenticate`. `Content-Type`
    /// replaces the one that the body came with.
    #[must_use]
    pub fn with_field(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with_answer(|answer| {
            if name == header::CONTENT_TYPE {
                answer.content_type = Some(value);
            } else {
                answer.fields.push((name, value));
            }
        })
    }

    /// Sets the body of the answer, which the client gets with its type. Without one the body is
    /// empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Error, HeaderValue, StatusCode};
    ///
    /// /// Says to the client what the log says.
    /// fn taken(seat: u32) -> Error {
    ///     let json = HeaderValue::from_static("application/json");
    ///     Error::new(StatusCode::CONFLICT, format!("seat {seat} is taken"))
    ///         .with_body(json, format!(r#"{{"error": "taken", "seat": {seat}}}"#))
    /// }
    /// assert_eq!(taken(7).status(), StatusCode::CONFLICT);
    /// ```
    #[must_use]
    pub fn with_body(self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.with_answer(|answer| {
            answer.content_type = Some(content_type);
            answer.body = body.into();
        })
    }

    /// Sets the body of the answer to plain text in UTF-8. A `&'static str` is not copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, Error, Request, StatusCode};
    ///
    /// async fn page(request: Request) -> http::Result<String> {
    ///     let number: u32 = request.query_param("page")?.unwrap_or(1);
    ///     if number == 0 {
    ///         return Err(Error::from(StatusCode::BAD_REQUEST).with_text("pages begin at 1\n"));
    ///     }
    ///     Ok(format!("this is page {number}"))
    /// }
    /// # let _ = page;
    /// ```
    #[must_use]
    pub fn with_text(self, text: impl Into<Bytes>) -> Self {
        self.with_body(HeaderValue::from_static("text/plain; charset=utf-8"), text)
    }

    fn with_answer(self, change: impl FnOnce(&mut ErrorAnswer)) -> Self {
        let mut other = self.into_other();
        change(&mut other.answer);
        Self {
            inner: Inner::Other(other),
        }
    }

    /// The fields and the body that the client gets besides the status.
    pub(super) fn answer(&self) -> Option<&ErrorAnswer> {
        match &self.inner {
            Inner::Other(other) => Some(&other.answer),
            Inner::Status(_) | Inner::Body(_) | Inner::Io(_) => None,
        }
    }

    /// The form that holds everything. Of a body's failure and an I/O error it keeps the text.
    fn into_other(self) -> Box<Other> {
        let (status, kind, reason) = (self.status(), self.kind(), self.reason());
        match self.inner {
            Inner::Other(other) => other,
            Inner::Status(_) | Inner::Body(_) | Inner::Io(_) => Box::new(Other {
                status,
                kind,
                reason,
                source: None,
                answer: ErrorAnswer::default(),
            }),
        }
    }

    /// Returns the status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.inner {
            Inner::Status(status) => *status,
            Inner::Body(failure) => failure.status(),
            Inner::Io(error) => io_status(error),
            Inner::Other(other) => other.status,
        }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.inner {
            Inner::Status(_) => ErrorKind::Status,
            Inner::Body(failure) => failure.kind(),
            Inner::Io(_) => ErrorKind::Io,
            Inner::Other(other) => other.kind,
        }
    }

    /// The text of the error, without its cause.
    fn reason(&self) -> Cow<'static, str> {
        match &self.inner {
            Inner::Status(status) => status.to_string().into(),
            Inner::Body(failure) => failure.to_string().into(),
            Inner::Io(error) => error.to_string().into(),
            Inner::Other(other) => other.reason.clone(),
        }
    }
}

impl Error {
    /// The failure of a request's body, if that is what failed.
    pub(super) fn body_failure(&self) -> Option<BodyFailure> {
        match self.inner {
            Inner::Body(failure) => Some(failure),
            Inner::Status(_) | Inner::Io(_) | Inner::Other(_) => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error.inner {
            Inner::Io(error) => error,
            Inner::Body(BodyFailure::Refused(BodyError::UnexpectedEof)) => {
                Self::new(io::ErrorKind::UnexpectedEof, error)
            }
            Inner::Body(BodyFailure::Refused(_)) => Self::new(io::ErrorKind::InvalidData, error),
            Inner::Body(BodyFailure::Timeout) => Self::new(io::ErrorKind::TimedOut, error),
            Inner::Status(_) | Inner::Other(_) => Self::other(error),
        }
    }
}

impl From<StatusCode> for Error {
    fn from(status: StatusCode) -> Self {
        Self {
            inner: Inner::Status(status),
        }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        BodyFailure::Refused(error).into()
    }
}

impl From<BodyFailure> for Error {
    fn from(failure: BodyFailure) -> Self {
        Self {
            inner: Inner::Body(failure),
        }
    }
}

/// A cookie that cannot be set is the program's own mistake: 500.
impl From<CookieError> for Error {
    fn from(error: CookieError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "a cookie was not set").with_source(error)
    }
}

impl From<websocket::Error> for Error {
    fn from(error: websocket::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "a WebSocket failed").with_source(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        // Readers and writers speak `io::Error`; what they carry knows more.
        let error = match error.downcast::<Self>() {
            Ok(inner) => return inner,
            Err(error) => error,
        };
        match error.downcast::<client::Error>() {
            Ok(inner) => inner.into(),
            Err(error) => Self {
                inner: Inner::Io(error),
            },
        }
    }
}

/// The status of an I/O error, which is taken for one of a file that the request names.
fn io_status(error: &io::Error) -> StatusCode {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory => StatusCode::NOT_FOUND,
        // They have no kinds of their own in the oldest compiler.
        _ if matches!(
            error.raw_os_error(),
            Some(errno::ENAMETOOLONG | errno::ENXIO)
        ) =>
        {
            StatusCode::NOT_FOUND
        }
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        Kind::StorageFull | Kind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Writes the error, and its cause after a colon.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Status(status) => status.fmt(f),
            Inner::Body(failure) => failure.fmt(f),
            Inner::Io(error) => error.fmt(f),
            Inner::Other(other) => {
                f.write_str(&other.reason)?;
                match &other.source {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Writes the text, which is what a `main` that returns the error prints; `{:#?}` has the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            f.debug_struct("Error").field("inner", &self.inner).finish()
        } else {
            fmt::Display::fmt(self, f)
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.inner {
            Inner::Status(_) | Inner::Body(BodyFailure::Timeout) => None,
            Inner::Body(BodyFailure::Refused(error)) => Some(error),
            Inner::Io(error) => Some(error),
            Inner::Other(other) => other.source.as_ref().map(|source| &**source as _),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_error_tells_its_kind_its_status_and_its_cause() {
        let error = Error::from(StatusCode::NOT_FOUND);
        assert_eq!(error.kind(), ErrorKind::Status);
        assert!(error.source().is_none());

        let error = error.with_source("no such row");
        assert_eq!(error.status(), StatusCode::NOT_FOUND);
        assert_eq!(error.to_string(), "404 Not Found: no such row");
        assert_eq!(error.source().unwrap().to_string(), "no such row");

        let error = Error::from(BodyError::TooLarge);
        assert_eq!(error.kind(), ErrorKind::Body(BodyError::TooLarge));
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);

        let error = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(error.source().unwrap().is::<io::Error>());
    }

    #[test]
    fn an_io_error_is_taken_for_one_of_a_file() {
        use io::ErrorKind as Kind;
        for number in [errno::ENAMETOOLONG, errno::ENXIO] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(Error::from(error).status(), 404);
        }
        for (kind, status) in [
            (Kind::NotFound, 404),
            (Kind::NotADirectory, 404),
            (Kind::IsADirectory, 404),
            (Kind::PermissionDenied, 403),
            (Kind::StorageFull, 507),
            (Kind::QuotaExceeded, 507),
            (Kind::InvalidInput, 500),
            (Kind::UnexpectedEof, 500),
            (Kind::ConnectionRefused, 500),
            (Kind::ConnectionReset, 500),
            (Kind::TimedOut, 500),
            (Kind::AddrNotAvailable, 500),
        ] {
            let error = Error::from(io::Error::from(kind));
            assert_eq!(error.status(), status, "{kind}");
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::Io, kind.to_string())
            );
        }
        assert_eq!(Error::from(io::Error::other("x")).status(), 500);
    }

    #[test]
    fn an_error_that_went_through_io_is_itself_again() {
        for (failure, kind, status) in [
            (BodyError::TooLarge.into(), io::ErrorKind::InvalidData, 413),
            (BodyFailure::Timeout, io::ErrorKind::TimedOut, 408),
            (
                BodyError::UnexpectedEof.into(),
                io::ErrorKind::UnexpectedEof,
                400,
            ),
        ] {
            let error = io::Error::from(Error::from(failure));
            assert_eq!(error.kind(), kind);
            let through = Error::from(error);
            assert_eq!(through.kind(), failure.kind());
            assert_eq!(through.status(), status);
            assert_eq!(through.to_string(), failure.to_string());
        }
        let error = Error::new(StatusCode::CONFLICT, "taken");
        let through = Error::from(io::Error::from(error));
        assert_eq!(through.status(), StatusCode::CONFLICT);
        assert_eq!(through.to_string(), "taken");
    }
}
