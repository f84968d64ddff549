//! Why a server refuses a request.

use std::fmt;

use ::http::StatusCode;

use super::{BodyError, HeadError};

/// After how many seconds a client should come back to a server that was full.
const RETRY_AFTER: u64 = 1;

/// Why a server answered a request by itself instead of calling the handler, or cut the handler's
/// answer off.
///
/// It goes into the access log and has a counter each. [`status`](Self::status) says what the
/// client is told, [`closes`](Self::closes) whether the connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
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
    /// The head did not arrive in time.
    HeadTimeout,
    /// The client took no byte of the answer in time.
    WriteTimeout,
    /// The client went away before the answer was complete.
    ClientGone,
    /// The handler gave less of the answer than it promised, or failed in the middle.
    AnswerCut,
    /// This server has no tunnel to offer to a `CONNECT`.
    ConnectUnsupported,
    /// The request is for a host that this server does not serve.
    Misdirected,
    /// The handler changes to a protocol that the request did not offer.
    UpgradeRequired,
    /// The handler failed before it gave an answer.
    HandlerFailed,
    /// The server has more to do than it can.
    Overloaded,
    /// The server is stopping.
    Stopping,
}

impl RejectReason {
    /// The name of the reason for logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head(error) => error.as_str(),
            Self::Body(error) => error.as_str(),
            Self::RequestLineInvalid => "request-line-invalid",
            Self::VersionInvalid => "version-invalid",
            Self::VersionUnsupported => "version-unsupported",
            Self::Http2Preface => "http2-preface",
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
            Self::HeadTimeout => "head-timeout",
            Self::WriteTimeout => "write-timeout",
            Self::ClientGone => "client-gone",
            Self::AnswerCut => "answer-cut",
            Self::ConnectUnsupported => "connect-unsupported",
            Self::Misdirected => "misdirected",
            Self::UpgradeRequired => "upgrade-required",
            Self::HandlerFailed => "handler-failed",
            Self::Overloaded => "overloaded",
            Self::Stopping => "stopping",
        }
    }

    /// A sentence that says what was expected and what was found.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Head(error) => error.message(),
            Self::Body(error) => error.message(),
            Self::RequestLineInvalid => {
                "expected a method, a target and a version between single spaces, found another line"
            }
            Self::VersionInvalid => "expected HTTP/1.1 or HTTP/1.0, found something else",
            Self::VersionUnsupported => "expected major version 1, found another one",
            Self::Http2Preface => "expected HTTP/1.1, found the preface of HTTP/2",
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
            Self::HeadTimeout => "expected a complete head, found none in time",
            Self::WriteTimeout => "expected the client to read, found nothing taken in time",
            Self::ClientGone => "expected the client to wait, found it gone",
            Self::AnswerCut => "expected the rest of the answer, found the handler's end",
            Self::ConnectUnsupported => "expected another method, found CONNECT",
            Self::Misdirected => "expected a host of this server, found another",
            Self::UpgradeRequired => "expected an offer to change the protocol, found none",
            Self::HandlerFailed => "the request could not be handled",
            Self::Overloaded => "the server is overloaded",
            Self::Stopping => "the server is stopping",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Head(error) => error.status(),
            Self::Body(error) => error.status(),
            Self::VersionUnsupported | Self::Http2Preface => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::ExpectationUnknown => StatusCode::EXPECTATION_FAILED,
            Self::HeadTimeout | Self::WriteTimeout | Self::ClientGone => {
                StatusCode::REQUEST_TIMEOUT
            }
            Self::ConnectUnsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::HandlerFailed | Self::AnswerCut => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// When the client should come back, in seconds.
    pub(super) const fn retry_after(self) -> Option<u64> {
        match self {
            Self::Overloaded => Some(RETRY_AFTER),
            _ => None,
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
                | Self::Misdirected
                | Self::UpgradeRequired
        )
    }
}

impl From<HeadError> for RejectReason {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<BodyError> for RejectReason {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for RejectReason {}
