//! The codes of close frames.

use std::fmt;

/// A code that may stand in a close frame (RFC 6455, section 7.4, and IANA's registry of WebSocket
/// close codes).
///
/// The codes 1005, 1006 and 1015 are never sent: they are names for a close without a code, for a
/// connection that broke, and for a failed TLS handshake. None of them is a value of this type, nor
/// is any code that no document has given a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the connection has done its work.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server stops, or the user has left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a kind of message that is not accepted, such as binary.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: a message is not what its kind promises, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a message breaks a rule of the application, or a limit without a code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is over the limit.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the server did not accept an extension that the client needs.
    pub const EXTENSION_MISSING: Self = Self(1010);
    /// 1011: an error in the program ended the connection.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server starts again, and the client may come back.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded, and the client may come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a server further on gave an answer that is not valid.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code `code`, if it may stand in a close frame: 1000 to 1003, 1007 to 1014, those of
    /// libraries and frameworks from 3000 on, and those of applications from 4000 to 4999.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.get()
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
