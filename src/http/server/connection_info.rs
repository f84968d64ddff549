//! The facts about one connection of a server.

use std::{fmt, net::SocketAddr, time::Duration};

use super::phase::Phase;
use crate::http::transport::Transport;

/// The state of one connection of a server. Given by
/// [`ServerHandle::connections`](crate::http::ServerHandle::connections), and prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The address of the other end. None on a Unix socket, and in the phase `Closing`, in which
    /// the server has let go of the socket.
    pub peer: Option<SocketAddr>,
    /// The activity of the connection.
    pub phase: Phase,
    /// The time since it was accepted, in whole seconds.
    pub age: Duration,
    /// The bytes that have arrived, read or not, as the kernel counts them; none where `peer` is
    /// none.
    pub received: Option<u64>,
    /// The bytes that were sent, without those that were sent again; none where `peer` is none.
    pub sent: Option<u64>,
}

impl ConnectionInfo {
    /// Of a connection that was accepted `age` ago.
    pub(super) fn of(transport: &Transport, phase: Phase, age: Duration) -> Self {
        let bytes = transport.bytes();
        Self {
            peer: transport.peer_addr(),
            phase,
            age,
            received: bytes.map(|bytes| bytes.received),
            sent: bytes.map(|bytes| bytes.sent),
        }
    }

    /// Of a connection whose socket cannot be asked.
    pub(super) fn without_socket(phase: Phase, age: Duration) -> Self {
        Self {
            peer: None,
            phase,
            age,
            received: None,
            sent: None,
        }
    }
}

impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer}")?,
            None => f.write_str("-")?,
        }
        write!(f, " {} {}s", self.phase, self.age.as_secs())?;
        for bytes in [self.received, self.sent] {
            match bytes {
                Some(bytes) => write!(f, " {bytes}")?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_as_one_line() {
        let mut info = ConnectionInfo {
            peer: Some(([127, 0, 0, 1], 5000).into()),
            phase: Phase::Handler,
            age: Duration::from_secs(7),
            received: Some(30),
            sent: Some(0),
        };
        assert_eq!(info.to_string(), "127.0.0.1:5000 handler 7s 30 0");
        (info.peer, info.received, info.sent) = (None, None, None);
        assert_eq!(info.to_string(), "- handler 7s - -");
    }
}
