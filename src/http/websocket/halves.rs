//! The two directions of a connection.

use std::{fmt, future::poll_fn};

use super::{
    CloseCode, CloseInfo, Error, Message, TrySendError,
    connection::{Connection, Received},
    handle::Handle,
};

/// Receives the next message.
// It takes no part in the budget of its task: the bytes that messages are in were received by it.
pub(super) async fn recv(connection: &Connection) -> Received {
    poll_fn(|context| connection.poll_next(context)).await
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

    /// Sends a message: see [`WebSocket::send`](super::WebSocket::send).
    ///
    /// # Errors
    ///
    /// The connection is closed, is being closed, or broke.
    ///
    /// # Cancel safety
    ///
    /// A message is sent whole, or not at all when this is dropped while it waits.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.connection.send(message.into()).await
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
    pub async fn flush(&self) -> Result<(), Error> {
        self.connection.flush().await
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
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        recv(&self.connection).await
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
