//! What goes wrong in a handler.

use std::{borrow::Cow, fmt, io};

use super::{BodyError, ErrorKind, StatusCode};

/// The result of a handler that uses `?`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What caused an [`Error`]: any error that may cross threads.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error that answers a request.
///
/// A status becomes an answer with that status, a body that breaks the protocol or a limit becomes
/// the answer that the protocol asks for, and any other I/O error becomes 500. What it says, its
/// cause included, goes to the server's log, never to the client.
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
#[derive(Debug)]
pub struct Error {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Status(StatusCode),
    Body(BodyError),
    Io(io::Error),
    Other(Box<Other>),
}

#[derive(Debug)]
struct Other {
    status: StatusCode,
    kind: ErrorKind,
    reason: Cow<'static, str>,
    source: Option<Cause>,
}

impl Error {
    /// An error that answers with `status`, and says why to the log.
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
            })),
        }
    }

    /// Changes what caused it.
    #[must_use]
    pub fn with_source(self, source: impl Into<Cause>) -> Self {
        let (status, kind, reason) = (self.status(), self.kind(), self.reason());
        Self {
            inner: Inner::Other(Box::new(Other {
                status,
                kind,
                reason,
                source: Some(source.into()),
            })),
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.inner {
            Inner::Status(status) => *status,
            Inner::Body(error) => error.status(),
            Inner::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Inner::Other(other) => other.status,
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.inner {
            Inner::Status(_) => ErrorKind::Status,
            Inner::Body(error) => ErrorKind::Body(*error),
            Inner::Io(_) => ErrorKind::Io,
            Inner::Other(other) => other.kind,
        }
    }

    /// What it says, without its cause.
    fn reason(&self) -> Cow<'static, str> {
        match &self.inner {
            Inner::Status(status) => status.to_string().into(),
            Inner::Body(error) => error.to_string().into(),
            Inner::Io(error) => error.to_string().into(),
            Inner::Other(other) => other.reason.clone(),
        }
    }
}

impl Error {
    /// What was wrong with a body, if that is the error.
    pub(super) fn body_error(&self) -> Option<BodyError> {
        match self.inner {
            Inner::Body(error) => Some(error),
            Inner::Status(_) | Inner::Io(_) | Inner::Other(_) => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error.inner {
            Inner::Io(error) => error,
            Inner::Body(BodyError::UnexpectedEof) => Self::new(io::ErrorKind::UnexpectedEof, error),
            Inner::Body(BodyError::TimedOut) => Self::new(io::ErrorKind::TimedOut, error),
            Inner::Body(_) => Self::new(io::ErrorKind::InvalidData, error),
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
        Self {
            inner: Inner::Body(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self {
            inner: Inner::Io(error),
        }
    }
}

/// What went wrong, and its cause behind a colon.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Inner::Status(status) => status.fmt(f),
            Inner::Body(error) => error.fmt(f),
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

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.inner {
            Inner::Status(_) => None,
            Inner::Body(error) => Some(error),
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

        let error = Error::from(io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(error.source().unwrap().is::<io::Error>());
    }
}
