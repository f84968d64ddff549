//! Versions of TLS.

use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

/// All versions, in order.
static ALL: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Of 2008, RFC 5246.
    Tls12,
    /// Of 2018, RFC 8446.
    Tls13,
}

impl Version {
    /// This version and the later ones.
    pub(super) fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        let first = match self {
            Self::Tls12 => 0,
            Self::Tls13 => 1,
        };
        &ALL[first..]
    }

    pub(super) fn of(version: rustls::ProtocolVersion) -> Option<Self> {
        match version {
            rustls::ProtocolVersion::TLSv1_2 => Some(Self::Tls12),
            rustls::ProtocolVersion::TLSv1_3 => Some(Self::Tls13),
            _ => None,
        }
    }
}
