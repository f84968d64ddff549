//! The two ends of a connection.

/// The end of a connection that this program is. It decides which frames are masked (RFC 6455,
/// section 5.1): all those of a client, and none of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It has accepted the connection.
    Server,
    /// It has opened the connection.
    Client,
}
