//! The reasons why requests end without their handler's answer.

use std::fmt;

use crate::http::{
    StatusCode,
    error_kind::BodyFailure,
    h1::{BodyError, Reject, RequestError},
};

/// After how many seconds a client should come back to a server that was full.
const RETRY_AFTER: u64 = 1;

/// The reason why a request did not end with the whole answer of its handler: the server answered
/// by itself, the answer was cut off, or the client left.
///
/// It goes into the access log ([`Access::reason`](super::Access::reason)), and the
/// [`Report`](super::Report) counts each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The request breaks the protocol or a limit.
    Request(RequestError),
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body, or the rest of it, did not arrive in time.
    BodyTimeout,
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
    /// The client speaks plain HTTP at an address with TLS.
    PlainHttp,
    /// The client broke TLS in its handshake, or refused the server by it.
    HandshakeFailed,
    /// The client did not finish its TLS handshake in time.
    HandshakeTimeout,
    /// A proxy sent other bytes than a header of the PROXY protocol, or none in time. Its
    /// connection is closed without an answer.
    ProxyHeader,
}

impl EndReason {
    /// Returns the name of the reason, for logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request(error) => error.as_str(),
            Self::HeadTimeout => "head-timeout",
            Self::BodyTimeout => "body-timeout",
            Self::WriteTimeout => "write-timeout",
            Self::ClientGone => "client-gone",
            Self::AnswerCut => "answer-cut",
            Self::ConnectUnsupported => "connect-unsupported",
            Self::Misdirected => "misdirected",
            Self::UpgradeRequired => "upgrade-required",
            Self::HandlerFailed => "handler-failed",
            Self::Overloaded => "overloaded",
            Self::PlainHttp => "plain-http",
            Self::HandshakeFailed => "handshake-failed",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::ProxyHeader => "proxy-header",
        }
    }

    /// A sentence that says what was expected and what was found.
    const fn message(self) -> &'static str {
        match self {
            Self::Request(error) => error.message(),
            Self::HeadTimeout => "expected a complete head, found none in time",
            Self::BodyTimeout => BodyFailure::TIMEOUT_MESSAGE,
            Self::WriteTimeout => "expected the client to read, found nothing taken in time",
            Self::ClientGone => "expected the client to wait, found it gone",
            Self::AnswerCut => "expected the rest of the answer, found the handler's end",
            Self::ConnectUnsupported => "expected another method, found CONNECT",
            Self::Misdirected => "expected a host of this server, found another",
            Self::UpgradeRequired => "expected an offer to change the protocol, found none",
            Self::HandlerFailed => "the request could not be handled",
            Self::Overloaded => "the server is overloaded",
            Self::PlainHttp => "expected TLS, found plain HTTP: the address begins with https://",
            Self::HandshakeFailed => "expected a TLS handshake, found a broken or refused one",
            Self::ProxyHeader => "expected a header of the PROXY protocol, found none",
            Self::HandshakeTimeout => "expected a whole TLS handshake, found none in time",
        }
    }

    /// Returns the status of the answer, where there still is one.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Request(error) => error.status(),
            Self::HeadTimeout
            | Self::BodyTimeout
            | Self::WriteTimeout
            | Self::ClientGone
            | Self::HandshakeTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PlainHttp | Self::HandshakeFailed | Self::ProxyHeader => StatusCode::BAD_REQUEST,
            Self::ConnectUnsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::HandlerFailed | Self::AnswerCut => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the connection ends with the answer.
    ///
    /// It need not when the request was understood as a message, so that it is certain where the
    /// next one begins.
    pub const fn closes(self) -> bool {
        match self {
            Self::Request(error) => error.closes(),
            Self::Misdirected | Self::UpgradeRequired => false,
            _ => true,
        }
    }

    /// The answer that the server gives by itself.
    pub(crate) const fn reject(self) -> Reject {
        if let Self::Request(error) = self {
            return error.reject();
        }
        let is_full = matches!(self, Self::Overloaded);
        Reject {
            status: self.status(),
            text: self.message(),
            retry_after: if is_full { Some(RETRY_AFTER) } else { None },
            closes: self.closes(),
        }
    }
}

impl From<RequestError> for EndReason {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<BodyError> for EndReason {
    fn from(error: BodyError) -> Self {
        Self::Request(RequestError::Body(error))
    }
}

impl From<BodyFailure> for EndReason {
    fn from(failure: BodyFailure) -> Self {
        match failure {
            BodyFailure::Refused(error) => error.into(),
            BodyFailure::Timeout => Self::BodyTimeout,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for EndReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_answer_and_its_name() {
        let all = [
            (EndReason::Request(RequestError::HostMissing), 400, false),
            (BodyError::TooLarge.into(), 413, true),
            (EndReason::HeadTimeout, 408, true),
            (BodyFailure::Timeout.into(), 408, true),
            (EndReason::WriteTimeout, 408, true),
            (EndReason::ClientGone, 408, true),
            (EndReason::AnswerCut, 500, true),
            (EndReason::ConnectUnsupported, 501, true),
            (EndReason::Misdirected, 421, false),
            (EndReason::UpgradeRequired, 426, false),
            (EndReason::HandlerFailed, 500, true),
            (EndReason::Overloaded, 503, true),
            (EndReason::PlainHttp, 400, true),
            (EndReason::HandshakeFailed, 400, true),
            (EndReason::HandshakeTimeout, 408, true),
            (EndReason::ProxyHeader, 400, true),
        ];
        for (reason, status, closes) in all {
            let reject = reason.reject();
            assert_eq!((reject.status, reject.closes), (reason.status(), closes));
            assert_eq!(reject.status, status, "{reason:?}");
            assert_eq!(reject.text, reason.to_string());
            assert!(!reject.text.ends_with('.'), "{reason}");
            let comes_back = reason == EndReason::Overloaded;
            assert_eq!(reject.retry_after.is_some(), comes_back, "{reason:?}");
            let name = reason.as_str();
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            let same = |&&(other, ..): &&(EndReason, u16, bool)| {
                other.as_str() == name || other.to_string() == reason.to_string()
            };
            assert_eq!(all.iter().filter(same).count(), 1, "{reason:?}");
        }
    }
}
