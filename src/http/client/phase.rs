//! The steps of an exchange.

use std::fmt;

/// The step of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for one of the connections that its host may have.
    Queue,
    /// Looking up the host's addresses.
    Dns,
    /// Opening a connection, through a proxy's tunnel if there is one.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// Waiting for the first byte of the response.
    FirstByte,
    /// Receiving the rest of the response.
    Body,
    /// All of it together, redirects and retries included.
    Total,
}

impl Phase {
    /// Returns the name of the phase, for logs and counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::FirstByte => "first byte",
            Self::Body => "body",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
