//! A connection in the hands of its handler object.

use std::{
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    net::SocketAddr,
    rc::{Rc, Weak},
};

use bytes::Bytes;

use super::{CloseCode, CloseInfo, Error, Message, TrySendError, connection::Connection};
use crate::http::topics::{Outlet, Piece, Published};

/// A connection that a [`WebSocketHandler`](crate::http::WebSocketHandler) serves, and its data.
///
/// A clone can be kept and used from elsewhere in the thread, to send and to close. It does not
/// keep the connection open, and its memory goes with the last clone. Two are equal when they are
/// of one connection.
pub struct Peer<D = ()> {
    record: Rc<Record<D>>,
}

struct Record<D> {
    connection: Connection,
    data: D,
}

impl<D> Outlet for Record<D> {
    fn has_room(&self) -> bool {
        Outlet::has_room(&self.connection)
    }

    fn form<'a>(&self, published: &'a Published) -> &'a Bytes {
        self.connection.form(published)
    }

    fn send(&self, piece: Piece<'_>) {
        Outlet::send(&self.connection, piece);
    }

    fn close_slow(&self) {
        self.connection.close_slow();
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection.peer_addr()
    }
}

impl<D> Peer<D> {
    pub(crate) fn new(connection: Connection, data: D) -> Self {
        Self {
            record: Rc::new(Record { connection, data }),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.record.connection
    }

    /// The connection, as topics see it.
    pub(super) fn outlet(&self) -> Weak<dyn Outlet>
    where
        D: 'static,
    {
        let record: Weak<Record<D>> = Rc::downgrade(&self.record);
        record
    }

    /// Returns the data of the connection.
    #[must_use]
    pub fn data(&self) -> &D {
        &self.record.data
    }

    /// Sends a message: see [`WebSocket::send`](super::WebSocket::send).
    ///
    /// # Errors
    ///
    /// The connection is closed, is being closed, or broke.
    ///
    /// # Cancel safety
    ///
    /// A message is sent whole, or not at all when this is dropped while it waits.
    #[must_use = "a message is sent when this is awaited"]
    pub fn send<M: Into<Message>>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<(), Error>> + use<'_, D, M> {
        self.connection().send(message.into())
    }

    /// Sends a message if there is room for it: see
    /// [`WebSocket::try_send`](super::WebSocket::try_send).
    ///
    /// # Errors
    ///
    /// Too much waits to be sent, or the connection is closed. The error has the message.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.connection().try_send(message.into())
    }

    /// Waits until the system has all that was sent.
    ///
    /// # Errors
    ///
    /// The connection broke.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it sends nothing.
    pub fn flush(&self) -> impl Future<Output = Result<(), Error>> {
        self.connection().flush()
    }

    /// Returns how many bytes wait to be sent, beside those that the system has.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.connection().buffered()
    }

    /// Sends a close frame after the messages before it, and does not wait. Nothing more can be
    /// sent. Messages of the peer are received until its close frame comes, for which it has
    /// [`close_timeout`](super::Options::close_timeout).
    pub fn start_close(&self, code: CloseCode, reason: &str) {
        self.connection().start_close(code, reason);
    }

    /// Returns the close frame of the peer, once all messages before it were taken.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.connection().close_info()
    }

    /// Returns the subprotocol that was agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.connection().protocol()
    }

    /// Returns the address of the other end of the connection. None on a Unix socket, and once the
    /// connection is gone.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection().peer_addr()
    }
}

impl<D> Clone for Peer<D> {
    fn clone(&self) -> Self {
        Self {
            record: Rc::clone(&self.record),
        }
    }
}

impl<D> PartialEq for Peer<D> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.record, &other.record)
    }
}

impl<D> Eq for Peer<D> {}

impl<D> Hash for Peer<D> {
    fn hash<S: Hasher>(&self, state: &mut S) {
        Rc::as_ptr(&self.record).hash(state);
    }
}

impl<D> fmt::Debug for Peer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("peer_addr", &self.peer_addr())
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}
