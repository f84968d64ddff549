//! Errors in a request.

use std::fmt;

use ::http::StatusCode;

use super::{BodyError, HeadError, Reject};

/// The reason why a server refuses a request, or bytes that are no request.
///
/// [`status`](Self::status) is the answer's, and [`closes`](Self::closes) says whether the
/// connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The head or its framing is malformed or over a limit.
    Head(HeadError),
    /// The body is malformed, too large or cut off.
    Body(BodyError),
    /// The request line is not a method, a target and a version between single spaces.
    RequestLineInvalid,
    /// The version is not `HTTP/` with two digits.
    VersionInvalid,
    /// The major version is not 1.
    VersionUnsupported,
    /// The connection begins with the preface of HTTP/2.
    Http2Preface,
    /// The server speaks HTTP/2 alone, and this is a request of HTTP/1.1.
    Http2Expected,
    /// The target has a control character.
    TargetInvalid,
    /// The target has a byte above 0x7F.
    TargetNotAscii,
    /// The target has a fragment.
    TargetFragment,
    /// The target has none of the forms that its method allows.
    TargetFormInvalid,
    /// The target has another scheme than `http` or `https`.
    SchemeUnsupported,
    /// The target is `*` and the method is not `OPTIONS`.
    AsteriskWithoutOptions,
    /// A `CONNECT` has a target that is not a host and a port.
    ConnectTargetInvalid,
    /// A `CONNECT` has a `Content-Length` above 0 or a `Transfer-Encoding`.
    ConnectWithContent,
    /// An HTTP/1.1 request has no `Host`.
    HostMissing,
    /// A request has more than one `Host`.
    HostRepeated,
    /// The `Host`, or the authority in the target, is not a host with an optional port.
    HostInvalid,
    /// The `Expect` field asks for something else than `100-continue`.
    ExpectationUnknown,
}

impl RequestError {
    /// The name of the error for logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head(error) => error.as_str(),
            Self::Body(error) => error.as_str(),
            Self::RequestLineInvalid => "request-line-invalid",
            Self::VersionInvalid => "version-invalid",
            Self::VersionUnsupported => "version-unsupported",
            Self::Http2Preface => "http2-preface",
            Self::Http2Expected => "http2-expected",
            Self::TargetInvalid => "target-invalid",
            Self::TargetNotAscii => "target-not-ascii",
            Self::TargetFragment => "target-fragment",
            Self::TargetFormInvalid => "target-form-invalid",
            Self::SchemeUnsupported => "scheme-unsupported",
            Self::AsteriskWithoutOptions => "asterisk-without-options",
            Self::ConnectTargetInvalid => "connect-target-invalid",
            Self::ConnectWithContent => "connect-with-content",
            Self::HostMissing => "host-missing",
            Self::HostRepeated => "host-repeated",
            Self::HostInvalid => "host-invalid",
            Self::ExpectationUnknown => "expectation-unknown",
        }
    }

    /// A sentence that says what was expected and what was found.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Head(error) => error.message(),
            Self::Body(error) => error.message(),
            Self::RequestLineInvalid => {
                "expected a method, a target and a version between single spaces, found another line"
            }
            Self::VersionInvalid => "expected HTTP/1.1 or HTTP/1.0, found something else",
            Self::VersionUnsupported => "expected major version 1, found another one",
            Self::Http2Preface => "expected HTTP/1.1, found the preface of HTTP/2",
            Self::Http2Expected => "expected the preface of HTTP/2, found a request of HTTP/1.1",
            Self::TargetInvalid => "expected a target, found a control character in it",
            Self::TargetNotAscii => {
                "expected a target in percent-encoded ASCII, found a byte above 0x7f"
            }
            Self::TargetFragment => "expected a target without fragment, found a #",
            Self::TargetFormInvalid => "expected a target that begins with a slash, found another",
            Self::SchemeUnsupported => "expected scheme http or https in the target, found another",
            Self::AsteriskWithoutOptions => {
                "expected OPTIONS with the target *, found another method"
            }
            Self::ConnectTargetInvalid => "expected host and port as target of CONNECT, found else",
            Self::ConnectWithContent => "expected no content in CONNECT, found some announced",
            Self::HostMissing => "expected a host field, found none",
            Self::HostRepeated => "expected one host field, found several",
            Self::HostInvalid => "expected a host with an optional port, found something else",
            Self::ExpectationUnknown => "expected 100-continue in expect, found something else",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Head(error) => error.status(),
            Self::Body(error) => error.status(),
            Self::VersionUnsupported | Self::Http2Preface | Self::Http2Expected => {
                StatusCode::HTTP_VERSION_NOT_SUPPORTED
            }
            Self::ExpectationUnknown => StatusCode::EXPECTATION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether the connection ends with the answer.
    ///
    /// It need not when the request was understood as a message, so that it is certain where the
    /// next one begins.
    pub const fn closes(self) -> bool {
        !matches!(
            self,
            Self::TargetFragment
                | Self::TargetFormInvalid
                | Self::SchemeUnsupported
                | Self::AsteriskWithoutOptions
                | Self::HostMissing
                | Self::HostRepeated
                | Self::HostInvalid
        )
    }

    /// The answer to the request.
    pub(crate) const fn reject(self) -> Reject {
        Reject {
            status: self.status(),
            text: self.message(),
            retry_after: None,
            closes: self.closes(),
        }
    }
}

impl From<HeadError> for RequestError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for RequestError {}
