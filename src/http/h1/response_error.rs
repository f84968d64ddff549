//! The errors for which a client refuses a response.

use std::fmt;

use super::{BodyError, HeadError};

/// The reason why a client refuses the bytes of a server as a response.
///
/// The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// The head or its framing is malformed or over a limit.
    Head(HeadError),
    /// The body is malformed, too large or cut off.
    Body(BodyError),
    /// The status line is not a version, a status and a reason.
    StatusLineInvalid,
    /// The version is not `HTTP/` with two digits.
    VersionInvalid,
    /// The major version is not 1.
    VersionUnsupported,
    /// The status is not a number from 100 to 999.
    StatusInvalid,
}

impl ResponseError {
    /// The name of the error for logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head(error) => error.as_str(),
            Self::Body(error) => error.as_str(),
            Self::StatusLineInvalid => "status-line-invalid",
            Self::VersionInvalid => "version-invalid",
            Self::VersionUnsupported => "version-unsupported",
            Self::StatusInvalid => "status-invalid",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Head(error) => error.message(),
            Self::Body(error) => error.message(),
            Self::StatusLineInvalid => {
                "expected a version, a status and a reason, found another line"
            }
            Self::VersionInvalid => "expected HTTP/1.1 or HTTP/1.0, found something else",
            Self::VersionUnsupported => "expected major version 1, found another one",
            Self::StatusInvalid => "expected a status from 100 to 999, found something else",
        }
    }
}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<BodyError> for ResponseError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for ResponseError {}
