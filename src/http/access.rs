//! What an access log is told.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use super::{Error, Method, RejectReason, StatusCode};

/// What happened to one request, or to bytes that were none, for an access log.
///
/// It prints as one line: peer, method, target, status, bytes received and sent, duration, the name
/// of the reason where the server refused or cut something, and in quotes the handler's error.
#[derive(Debug)]
#[non_exhaustive]
pub struct Access<'a> {
    /// Who sent it; none for a connection without an address.
    pub peer: Option<SocketAddr>,
    /// The method; none when the head could not be read.
    pub method: Option<&'a Method>,
    /// The target as it was sent, or empty when the head could not be read.
    pub target: &'a str,
    /// The status of the answer; none when there was none.
    pub status: Option<StatusCode>,
    /// Bytes of the request's body that arrived, without their framing.
    pub received: u64,
    /// Bytes of the answer's body that were sent or are under way, without their framing.
    pub sent: u64,
    /// From the end of the head to the end of the answer.
    pub duration: Duration,
    /// Why the server refused the request, or cut the answer off.
    pub reason: Option<RejectReason>,
    /// What the handler failed with, where it returned an error: the client sees its status only.
    pub error: Option<&'a Error>,
}

impl fmt::Display for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer} ")?,
            None => f.write_str("- ")?,
        }
        match self.method {
            Some(method) => write!(f, "{method} {} ", self.target)?,
            None => f.write_str("- - ")?,
        }
        match self.status {
            Some(status) => write!(f, "{}", status.as_u16())?,
            None => f.write_str("-")?,
        }
        let micros = self.duration.as_micros();
        write!(f, " {} {} {micros}us", self.received, self.sent)?;
        if let Some(reason) = self.reason {
            write!(f, " {}", reason.as_str())?;
        }
        match self.error {
            Some(error) => write!(f, " \"{}\"", error.to_string().escape_debug()),
            None => Ok(()),
        }
    }
}

/// Who is told.
pub(super) type AccessLog = Arc<dyn Fn(&Access<'_>) + Send + Sync>;
