//! Errors in a head, on either side.

use std::fmt;

use ::http::StatusCode;

/// The reason why the head of a message, or its framing, is refused.
///
/// Requests and responses share these. The connection that sent such a head is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// The first byte was 0x16: a TLS client speaks to a port without TLS.
    TlsClientHello,
    /// More empty lines came before the start line than are skipped.
    LeadingLines,
    /// A line ended with LF alone.
    BareLf,
    /// A CR was followed by something else than LF.
    BareCr,
    /// The start line is over `Limits::start_line_bytes_max`.
    StartLineTooLong,
    /// The head is over `Limits::head_bytes_max`.
    HeadTooLarge,
    /// There are more fields than `Limits::fields_max`.
    TooManyFields,
    /// The method is over `Limits::method_bytes_max`.
    MethodTooLong,
    /// The method has a byte that a token must not have.
    MethodInvalid,
    /// A field line begins with a colon.
    FieldNameEmpty,
    /// A field name has a byte that a token must not have.
    FieldNameInvalid,
    /// A field name is followed by a space or a tab.
    SpaceBeforeColon,
    /// A field line has no colon.
    ColonMissing,
    /// A field line begins with a space or a tab, as the obsolete line folding does.
    LineFolded,
    /// A field value has NUL or another control character.
    FieldValueInvalid,
    /// A `Content-Length` is not a row of digits.
    ContentLengthInvalid,
    /// A `Content-Length` does not fit 64 bits.
    ContentLengthTooLarge,
    /// There are several equal `Content-Length` values.
    ContentLengthRepeated,
    /// There are several `Content-Length` values that differ.
    ContentLengthsDiffer,
    /// There are both a `Content-Length` and a `Transfer-Encoding`.
    LengthAndTransferEncoding,
    /// A `Transfer-Encoding` is not exactly `chunked`.
    TransferEncodingInvalid,
    /// There is more than one `Transfer-Encoding` field.
    TransferEncodingRepeated,
    /// A `Transfer-Encoding` has other codings before its final `chunked`.
    TransferEncodingUnknown,
    /// An HTTP/1.0 message has a `Transfer-Encoding`.
    TransferEncodingInHttp10,
}

impl HeadError {
    /// The name of the error for logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsClientHello => "tls-client-hello",
            Self::LeadingLines => "leading-lines",
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::StartLineTooLong => "start-line-too-long",
            Self::HeadTooLarge => "head-too-large",
            Self::TooManyFields => "too-many-fields",
            Self::MethodTooLong => "method-too-long",
            Self::MethodInvalid => "method-invalid",
            Self::FieldNameEmpty => "field-name-empty",
            Self::FieldNameInvalid => "field-name-invalid",
            Self::SpaceBeforeColon => "space-before-colon",
            Self::ColonMissing => "colon-missing",
            Self::LineFolded => "line-folded",
            Self::FieldValueInvalid => "field-value-invalid",
            Self::ContentLengthInvalid => "content-length-invalid",
            Self::ContentLengthTooLarge => "content-length-too-large",
            Self::ContentLengthRepeated => "content-length-repeated",
            Self::ContentLengthsDiffer => "content-lengths-differ",
            Self::LengthAndTransferEncoding => "length-and-transfer-encoding",
            Self::TransferEncodingInvalid => "transfer-encoding-invalid",
            Self::TransferEncodingRepeated => "transfer-encoding-repeated",
            Self::TransferEncodingUnknown => "transfer-encoding-unknown",
            Self::TransferEncodingInHttp10 => "transfer-encoding-in-http-1.0",
        }
    }

    /// A sentence that says what was expected and what was found.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::TlsClientHello => {
                "expected plain HTTP, found a TLS client hello: this port does not speak TLS"
            }
            Self::LeadingLines => "expected a start line, found too many empty lines before it",
            Self::BareLf => "expected CR LF at the end of a line, found LF alone",
            Self::BareCr => "expected LF after CR, found another byte",
            Self::StartLineTooLong => "expected the end of the start line, found its limit crossed",
            Self::HeadTooLarge => "expected the end of the head, found its limit crossed",
            Self::TooManyFields => "expected the end of the head, found too many fields",
            Self::MethodTooLong => "expected a space after the method, found its limit crossed",
            Self::MethodInvalid => "expected a token as method, found another character",
            Self::FieldNameEmpty => "expected a field name, found a colon",
            Self::FieldNameInvalid => "expected a token as field name, found another character",
            Self::SpaceBeforeColon => "expected a colon right after the field name, found a blank",
            Self::ColonMissing => "expected a colon in a field line, found its end",
            Self::LineFolded => "expected a field name at the start of a line, found a blank",
            Self::FieldValueInvalid => "expected a field value, found a control character in it",
            Self::ContentLengthInvalid => "expected digits in content-length, found something else",
            Self::ContentLengthTooLarge => {
                "expected a content-length below 2^64, found a larger one"
            }
            Self::ContentLengthRepeated => "expected one content-length, found several equal ones",
            Self::ContentLengthsDiffer => "expected one content-length, found several that differ",
            Self::LengthAndTransferEncoding => {
                "expected content-length or transfer-encoding, found both"
            }
            Self::TransferEncodingInvalid => {
                "expected chunked as transfer-encoding, found something else"
            }
            Self::TransferEncodingRepeated => "expected one transfer-encoding, found several",
            Self::TransferEncodingUnknown => {
                "expected chunked alone as transfer-encoding, found a coding before it"
            }
            Self::TransferEncodingInHttp10 => {
                "expected no transfer-encoding in HTTP/1.0, found one"
            }
        }
    }

    /// The status that answers a request with this error.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::StartLineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodTooLong | Self::TransferEncodingUnknown => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HeadError {}
