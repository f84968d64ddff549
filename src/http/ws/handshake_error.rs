//! Errors in the opening handshake of a client.

use std::fmt;

use ::http::{HeaderName, HeaderValue, StatusCode, header};

use super::handshake::VERSION;

/// The reason why a request does not open a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum HandshakeError {
    /// The request does not ask for `websocket` in `Upgrade`.
    NotAnUpgrade,
    /// The method is not GET.
    MethodNotGet,
    /// The version is HTTP/1.0.
    HttpVersion,
    /// `Connection` does not name `upgrade`.
    ConnectionMissing,
    /// There is not exactly one `Sec-WebSocket-Version`.
    VersionMissing,
    /// `Sec-WebSocket-Version` is not 13.
    VersionUnsupported,
    /// There is not exactly one `Sec-WebSocket-Key`.
    KeyMissing,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64.
    KeyInvalid,
    /// The request has a body.
    Content,
    /// The names in `Sec-WebSocket-Protocol` are not tokens, one of them comes twice, or there are
    /// more than 64.
    SubprotocolsInvalid,
    /// `Sec-WebSocket-Extensions` does not follow its grammar.
    ExtensionsInvalid,
    /// The page that asks is of an origin that may not.
    OriginForeign,
}

impl HandshakeError {
    /// A sentence that says what was expected and what was found.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::NotAnUpgrade => "expected websocket in upgrade, found no such field",
            Self::MethodNotGet => "expected GET for a WebSocket, found another method",
            Self::HttpVersion => "expected HTTP/1.1 for a WebSocket, found HTTP/1.0",
            Self::ConnectionMissing => "expected upgrade in connection, found no such field",
            Self::VersionMissing => "expected one sec-websocket-version, found none or several",
            Self::VersionUnsupported => "expected version 13 of WebSocket, found another one",
            Self::KeyMissing => "expected one sec-websocket-key, found none or several",
            Self::KeyInvalid => "expected a key of 16 bytes in base64, found something else",
            Self::Content => "expected no content in the handshake, found some announced",
            Self::SubprotocolsInvalid => {
                "expected at most 64 tokens in sec-websocket-protocol, found something else"
            }
            Self::ExtensionsInvalid => {
                "expected a list of extensions in sec-websocket-extensions, found something else"
            }
            Self::OriginForeign => "expected a page of an allowed origin, found another origin",
        }
    }

    /// The status of the answer.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::NotAnUpgrade | Self::VersionUnsupported => StatusCode::UPGRADE_REQUIRED,
            Self::OriginForeign => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The fields of the answer that its status asks for: a 426 names the protocol (RFC 9110,
    /// section 15.5.22) and its version (RFC 6455, section 4.4).
    pub(crate) fn fields(self) -> Vec<(HeaderName, HeaderValue)> {
        if self.status() != StatusCode::UPGRADE_REQUIRED {
            return Vec::new();
        }
        vec![
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static(VERSION),
            ),
        ]
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HandshakeError {}
