//! The kinds of errors.

use std::fmt;

use super::{StatusCode, h1::BodyError, multipart::MultipartError};

/// The kind of an error of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The handler chose a status.
    Status,
    /// A value in the path, the query or a form is not what the handler asked for.
    Param,
    /// The body is not of the type that the handler asked for.
    MediaType,
    /// The body's content does not fit the type that the handler asked for.
    Content,
    /// The body breaks the protocol or a limit.
    Body(BodyError),
    /// The body is no `multipart/form-data` as its grammar has it, or is over a limit of its parts.
    Multipart(MultipartError),
    /// The body, or the rest of it, did not arrive in time.
    BodyTimeout,
    /// Another server, which the handler asked.
    Upstream,
    /// An I/O error.
    Io,
    /// The program contradicts itself: it asked for a parameter that its route does not have, say.
    Internal,
}

/// The reason why a request's body could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFailure {
    /// It breaks the protocol or a limit.
    Refused(BodyError),
    /// It did not arrive in time.
    Timeout,
}

impl BodyFailure {
    pub(super) const TIMEOUT_MESSAGE: &str = "expected more of the body, found none in time";

    pub(super) fn kind(self) -> ErrorKind {
        match self {
            Self::Refused(error) => ErrorKind::Body(error),
            Self::Timeout => ErrorKind::BodyTimeout,
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Refused(error) => error.status(),
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl From<BodyError> for BodyFailure {
    fn from(error: BodyError) -> Self {
        Self::Refused(error)
    }
}

impl fmt::Display for BodyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Timeout => f.write_str(Self::TIMEOUT_MESSAGE),
        }
    }
}
