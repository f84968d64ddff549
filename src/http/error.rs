//! What goes wrong in a handler.

use std::{fmt, io};

use super::{BodyError, StatusCode};

/// The result of a handler that uses `?`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that answers a request.
///
/// A status becomes an answer with that status, a body that breaks the protocol or a limit becomes
/// the answer that the protocol asks for, and any other I/O error becomes 500. What it says goes to
/// the server's log, never to the client.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Status(StatusCode),
    Body(BodyError),
    Io(io::Error),
}

impl Error {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.kind {
            Kind::Status(status) => *status,
            Kind::Body(error) => error.status(),
            Kind::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Error {
    /// What was wrong with a body, if that is the error.
    pub(super) fn body_error(&self) -> Option<BodyError> {
        match self.kind {
            Kind::Body(error) => Some(error),
            Kind::Status(_) | Kind::Io(_) => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error.kind {
            Kind::Io(error) => error,
            Kind::Body(BodyError::UnexpectedEof) => Self::new(io::ErrorKind::UnexpectedEof, error),
            Kind::Body(BodyError::TimedOut) => Self::new(io::ErrorKind::TimedOut, error),
            Kind::Body(_) => Self::new(io::ErrorKind::InvalidData, error),
            Kind::Status(_) => Self::other(error),
        }
    }
}

impl From<StatusCode> for Error {
    fn from(status: StatusCode) -> Self {
        Self {
            kind: Kind::Status(status),
        }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        Self {
            kind: Kind::Body(error),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self {
            kind: Kind::Io(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Status(status) => status.fmt(f),
            Kind::Body(error) => error.fmt(f),
            Kind::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Status(_) | Kind::Body(_) => None,
            Kind::Io(error) => Some(error),
        }
    }
}
