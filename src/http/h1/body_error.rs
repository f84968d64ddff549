//! Errors in a body, on either side.

use std::fmt;

use ::http::StatusCode;

use super::HeadError;

/// The reason why the body of a message is refused.
///
/// Requests and responses share these. The connection that sent such a body is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is over its limit, by its declared length or by what arrived.
    TooLarge,
    /// The peer ended the connection before the body was complete.
    UnexpectedEof,
    /// A chunk begins without a size.
    ChunkSizeMissing,
    /// A chunk size has something else than hex digits.
    ChunkSizeInvalid,
    /// A chunk size has too many digits, or is at least 2^63.
    ChunkSizeTooLarge,
    /// A chunk extension does not follow its grammar.
    ChunkExtensionInvalid,
    /// Chunk extensions are over their limit.
    ChunkExtensionTooLarge,
    /// The line of a chunk size does not end with CR LF.
    ChunkLineEnd,
    /// The data of a chunk is not followed by CR LF.
    ChunkDataEnd,
    /// The trailer section is malformed or over its limits.
    Trailer(HeadError),
}

impl BodyError {
    /// The name of the error for logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "body-too-large",
            Self::UnexpectedEof => "body-unexpected-eof",
            Self::ChunkSizeMissing => "chunk-size-missing",
            Self::ChunkSizeInvalid => "chunk-size-invalid",
            Self::ChunkSizeTooLarge => "chunk-size-too-large",
            Self::ChunkExtensionInvalid => "chunk-extension-invalid",
            Self::ChunkExtensionTooLarge => "chunk-extension-too-large",
            Self::ChunkLineEnd => "chunk-line-end",
            Self::ChunkDataEnd => "chunk-data-end",
            Self::Trailer(HeadError::HeadTooLarge) => "trailers-too-large",
            Self::Trailer(HeadError::TooManyFields) => "too-many-trailers",
            Self::Trailer(_) => "trailer-invalid",
        }
    }

    /// A sentence that says what was expected and what was found.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::TooLarge => "expected a body within its limit, found a larger one",
            Self::UnexpectedEof => "expected more of the body, found the end of the connection",
            Self::ChunkSizeMissing => "expected a chunk size in hex digits, found none",
            Self::ChunkSizeInvalid => "expected a hex digit in a chunk size, found another byte",
            Self::ChunkSizeTooLarge => "expected a chunk size below 2^63, found a larger one",
            Self::ChunkExtensionInvalid => "expected a chunk extension, found a byte outside it",
            Self::ChunkExtensionTooLarge => {
                "expected the end of a chunk extension, found its limit crossed"
            }
            Self::ChunkLineEnd => "expected CR LF after a chunk size, found another byte",
            Self::ChunkDataEnd => "expected CR LF after the data of a chunk, found another byte",
            Self::Trailer(HeadError::HeadTooLarge) => {
                "expected the end of the trailers, found their limit crossed"
            }
            Self::Trailer(HeadError::TooManyFields) => {
                "expected the end of the trailers, found too many of them"
            }
            Self::Trailer(error) => error.message(),
        }
    }

    /// The status that answers a request with this error.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Trailer(error) => error.status(),
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for BodyError {}
