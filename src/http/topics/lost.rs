//! Messages that were not delivered.

use std::{fmt, net::SocketAddr};

/// The reason why messages were not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// So many bytes waited for the subscriber that there was no room.
    Full,
    /// They waited too long.
    Stale,
    /// A later message of the topic took their place ([`Slow::LastValue`](super::Slow)).
    Replaced,
    /// The subscriber's connection was ended, because it was too slow.
    Closed,
    /// The subscriber's connection has ended otherwise while they waited for it.
    Left,
    /// A worker had so many messages to hand out that it took no more. It concerns all of its
    /// subscribers, and the count has each message once for each of them.
    Overrun,
}

/// Messages of a topic that one subscriber does not get, for
/// [`Options::on_lost`](super::Options::on_lost).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost<'a> {
    /// The name of the topic.
    pub topic: &'a str,
    /// The reason.
    pub reason: LostReason,
    /// The number of messages.
    pub count: u64,
    /// The address of the subscriber. None on a Unix socket, when the connection is gone, and where
    /// it concerns all subscribers of a worker.
    pub peer: Option<SocketAddr>,
}

impl fmt::Display for Lost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            LostReason::Full => "no room",
            LostReason::Stale => "too old",
            LostReason::Replaced => "replaced",
            LostReason::Closed => "connection ended",
            LostReason::Left => "subscriber left",
            LostReason::Overrun => "worker overrun",
        };
        write!(f, "{}: {} lost ({reason})", self.topic, self.count)?;
        match self.peer {
            Some(peer) => write!(f, " by {peer}"),
            None => Ok(()),
        }
    }
}
