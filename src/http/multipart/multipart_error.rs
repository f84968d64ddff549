//! Errors in a body in parts.

use std::fmt;

use ::http::StatusCode;

/// The reason why a body of `multipart/form-data` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MultipartError {
    /// `Content-Type` has no boundary, or one that RFC 2046 does not allow.
    Boundary,
    /// A line begins with the boundary and goes on.
    BoundaryLine,
    /// The body ended before its closing boundary.
    UnexpectedEnd,
    /// There are more parts than the limit allows.
    TooManyParts,
    /// The head of a part is over its limit.
    HeadTooLarge,
    /// The head of a part has too many fields.
    TooManyFields,
    /// A line in the head of a part does not end with CR LF.
    LineEnd,
    /// A line in the head of a part is no field.
    Field,
    /// A part has no `Content-Disposition`, or several.
    Disposition,
    /// `Content-Disposition` is not `form-data`, is malformed, or has a parameter twice.
    DispositionInvalid,
    /// `Content-Disposition` does not name the part.
    NameMissing,
    /// A part is encoded, in base64 or otherwise.
    TransferEncoding,
    /// The bytes of a part are over their limit.
    PartTooLarge,
}

impl MultipartError {
    /// The name of the error for logs and counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boundary => "multipart-boundary",
            Self::BoundaryLine => "multipart-boundary-line",
            Self::UnexpectedEnd => "multipart-unexpected-end",
            Self::TooManyParts => "multipart-too-many-parts",
            Self::HeadTooLarge => "multipart-head-too-large",
            Self::TooManyFields => "multipart-too-many-fields",
            Self::LineEnd => "multipart-line-end",
            Self::Field => "multipart-field",
            Self::Disposition => "multipart-disposition",
            Self::DispositionInvalid => "multipart-disposition-invalid",
            Self::NameMissing => "multipart-name-missing",
            Self::TransferEncoding => "multipart-transfer-encoding",
            Self::PartTooLarge => "multipart-part-too-large",
        }
    }

    /// A sentence that says what was expected and what was found.
    const fn message(self) -> &'static str {
        match self {
            Self::Boundary => "expected a boundary of 1 to 70 characters, found none",
            Self::BoundaryLine => "expected the line's end after a boundary, found another byte",
            Self::UnexpectedEnd => "expected the closing boundary, found the end of the body",
            Self::TooManyParts => "expected the closing boundary, found too many parts",
            Self::HeadTooLarge => "expected the end of a part's head, found its limit crossed",
            Self::TooManyFields => "expected the end of a part's head, found too many fields",
            Self::LineEnd => "expected CR LF after a field of a part, found another byte",
            Self::Field => "expected a field in a part's head, found another line",
            Self::Disposition => "expected one `Content-Disposition`, found none or several",
            Self::DispositionInvalid => {
                "expected `Content-Disposition: form-data` with parameters, found another value"
            }
            Self::NameMissing => "expected a name in `Content-Disposition`, found none",
            Self::TransferEncoding => "expected plain bytes in a part, found a transfer encoding",
            Self::PartTooLarge => "expected a part within its limit, found a larger one",
        }
    }

    /// The status that answers a request with this error.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::TooManyParts | Self::HeadTooLarge | Self::TooManyFields | Self::PartTooLarge => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::TransferEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for MultipartError {}
