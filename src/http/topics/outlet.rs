//! The connection of a subscriber, as the topics see it.

use std::net::SocketAddr;

use bytes::Bytes;

use super::published::Published;

/// Bytes to send.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// They are gone after the call.
    Borrowed(&'a [u8]),
    /// They can be kept by reference.
    Shared(&'a Bytes),
}

impl Piece<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// The bytes from `start` on, to be kept.
    pub(crate) fn keep_from(&self, start: usize) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(&bytes[start..]),
            Self::Shared(bytes) => bytes.slice(start..),
        }
    }
}

/// The connection of a subscriber.
///
/// It tells its feed when it has room again, by [`FeedHandle::note_room`](super::FeedHandle).
pub(crate) trait Outlet {
    /// Whether everything that it was given is in the kernel's hands.
    fn has_room(&self) -> bool;

    /// The form in which the message is sent over it.
    fn form<'a>(&self, published: &'a Published) -> &'a Bytes;

    /// Sends as much as goes at once, and the rest as soon as the kernel takes it.
    fn send(&self, piece: Piece<'_>);

    /// Ends the connection, whose client is too slow.
    fn close_slow(&self);

    /// Looks whether its client takes anything. It is called once a second while it has no room.
    fn look(&self) {}

    fn peer_addr(&self) -> Option<SocketAddr>;
}
