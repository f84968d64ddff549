//! The facts that a handshake has settled.

use rustls::{CipherSuite, pki_types::CertificateDer};

use super::{TlsStream, Version};

/// The facts that a handshake has settled, as the side sees them that keeps this.
///
/// An HTTP server's request has it by `Request::tls`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandshakeInfo {
    version: Option<Version>,
    cipher_suite: Option<CipherSuite>,
    alpn: Option<Vec<u8>>,
    server_name: Option<Box<str>>,
    peer_certificates: Vec<CertificateDer<'static>>,
    is_resumed: bool,
}

impl HandshakeInfo {
    /// Of a stream whose handshake is over.
    pub(super) fn of(stream: &TlsStream) -> Self {
        Self {
            version: stream.version(),
            cipher_suite: stream.cipher_suite(),
            alpn: stream.alpn().map(<[u8]>::to_vec),
            server_name: stream.server_name().map(Into::into),
            peer_certificates: stream.peer_certificates().to_vec(),
            is_resumed: stream.is_resumed(),
        }
    }

    /// Returns the version of TLS that is spoken.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Returns the cipher suite, whose name is that of the standard by `Debug`.
    #[must_use]
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.cipher_suite
    }

    /// Returns the protocol that both sides have agreed on (ALPN).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// Returns the host name that the client has asked for (SNI), in lower case. None when it did
    /// not tell, and at a client.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Returns the peer's certificates in DER, its own first. None of a client that has shown none;
    /// those of one that has were checked.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.peer_certificates
    }

    /// Whether the session of an earlier connection was resumed.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }
}
