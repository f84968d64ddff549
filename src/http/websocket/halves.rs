//! The two directions of a connection.

use std::{
    fmt,
    future::{Future, poll_fn},
    rc::Rc,
};

use super::{
    CloseCode, CloseInfo, Error, Message, TrySendError,
    connection::{Connection, Received},
    handle::Handle,
};

/// Receives the next message.
// It takes no part in the budget of its task: the bytes that messages are in were received by it.
pub(super) fn recv(connection: &Connection) -> impl Future<Output = Received> {
    poll_fn(|context| connection.poll_next(context))
}

/// The sending direction of a [`WebSocket`](super::WebSocket). Its clones send over the same
/// connection, in the order of their calls.
///
/// Its methods are those of the same names there.
#[derive(Clone)]
pub struct Sender {
    connection: Handle,
}

impl Sender {
    pub(super) fn new(connection: Handle) -> Self {
        Self { connection }
    }

    pub(super) fn connection(&self) -> &Rc<Connection> {
        self.connection.connection()
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
    ) -> impl Future<Output = Result<(), Error>> + use<'_, M> {
        self.connection.send(message.into())
    }

    /// Sends a message if there is room for it: see
    /// [`WebSocket::try_send`](super::WebSocket::try_send).
    ///
    /// # Errors
    ///
    /// Too much waits to be sent, or the connection is closed. The error has the message.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.connection.try_send(message.into())
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
        self.connection.flush()
    }

    /// Returns how many bytes wait to be sent, beside those that the system has.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.connection.buffered()
    }

    /// Sends a close frame, and does not wait: see
    /// [`WebSocket::start_close`](super::WebSocket::start_close). The receiver gets what the peer
    /// still sends.
    pub fn start_close(&self, code: CloseCode, reason: &str) {
        self.connection.start_close(code, reason);
    }

    /// Waits for the end of the connection: see [`WebSocket::closed`](super::WebSocket::closed).
    ///
    /// # Errors
    ///
    /// The connection ended otherwise than by a close frame of the peer.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) -> Result<CloseInfo, Error> {
        self.connection.closed().await.cloned()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

/// The receiving direction of a [`WebSocket`](super::WebSocket).
pub struct Receiver {
    connection: Handle,
}

impl Receiver {
    pub(super) fn new(connection: Handle) -> Self {
        Self { connection }
    }

    /// Receives the next message. Returns `None` after a close frame of the peer.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::recv`](super::WebSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> {
        recv(&self.connection)
    }

    /// Returns the close frame of the peer, once [`recv`](Self::recv) has come to it.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.connection.close_info()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("close_info", &self.close_info())
            .finish_non_exhaustive()
    }
}
