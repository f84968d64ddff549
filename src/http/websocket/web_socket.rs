//! A connection in the hands of its user.

use std::{
    fmt,
    future::{Future, pending},
    net::SocketAddr,
    rc::Rc,
};

use super::{
    CloseCode, CloseInfo, Error, Message, Receiver, Sender, TrySendError, connection::Connection,
    handle::Handle,
};
use crate::http::stop_notice::StopNotice;

/// A WebSocket: messages in both directions over one connection.
///
/// A handler has it by [`Request::websocket`](crate::http::Request::websocket), and a client by
/// [`Client::websocket`](crate::http::Client::websocket). The [module](super) tells what the
/// connection does by itself, and how it ends.
///
/// [`send`](Self::send) takes `&self`, so that it can be used while another task sends, too.
/// [`split`](Self::split) gives the receiving direction to one task and the sending direction to
/// others.
///
/// # Cancel safety
///
/// Nothing is lost when the future of a method is dropped, at any moment: a message is received
/// whole by a later call, its fragments that have come included, and a message is sent whole or not
/// at all.
///
/// # Examples
///
/// A clock, which tells the time until the client closes the connection:
///
/// ```no_run
/// use std::time::{Duration, Instant};
///
/// use annulus::{http::{Request, Server, websocket::WebSocket}, time};
///
/// # fn main() -> std::io::Result<()> {
/// Server::new()
///     .listen("127.0.0.1:8080")
///     .run(async |request: Request| {
///         request.websocket(async |mut socket: WebSocket| {
///             let begin = Instant::now();
///             loop {
///                 match time::timeout(Duration::from_secs(1), socket.recv()).await {
///                     Ok(received) => match received? {
///                         Some(_) => continue,
///                         None => return Ok(()),
///                     },
///                     Err(_) => socket.send(format!("{:?}", begin.elapsed())).await?,
///                 }
///             }
///         })
///     })
///     .map(drop)
/// # }
/// ```
pub struct WebSocket {
    connection: Handle,
    /// The notice of the server's stop; none at a client.
    stop: Option<Rc<StopNotice>>,
}

impl WebSocket {
    pub(super) fn new(connection: Handle, stop: Option<Rc<StopNotice>>) -> Self {
        Self { connection, stop }
    }

    pub(super) fn connection(&self) -> &Rc<Connection> {
        self.connection.connection()
    }

    /// Receives the next message. Returns `None` after a close frame of the peer.
    ///
    /// # Errors
    ///
    /// The connection ended otherwise: see the [module](super#the-end). All messages that came
    /// before are received first.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. Fragments of a message that have come stay, and a later call returns the
    /// whole message.
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> {
        super::halves::recv(&self.connection)
    }

    /// Sends a message.
    ///
    /// It leaves when the task waits next, together with others that were sent by then. This waits
    /// only while more than [`buffered_bytes_max`](super::Options::buffered_bytes_max) wait to be
    /// sent: [`flush`](Self::flush) waits for the message itself.
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

    /// Sends a message if there is room for it: for messages that a slow peer may miss.
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

    /// Closes the connection: sends a close frame after the messages before it, and waits for that
    /// of the peer. Messages that come meanwhile are dropped; to receive them, call
    /// [`start_close`](Self::start_close) and then `recv` until it returns `None`.
    ///
    /// Of the reason, a text for logs, at most 123 bytes are sent.
    ///
    /// # Errors
    ///
    /// The peer did not answer in time, or the connection broke.
    ///
    /// # Cancel safety
    ///
    /// The close frame is sent all the same, and the wait can be continued by a further call.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::websocket::{CloseCode, Error, WebSocket};
    ///
    /// async fn leave(mut socket: WebSocket) -> Result<(), Error> {
    ///     let answer = socket.close(CloseCode::NORMAL, "the game is over").await?;
    ///     println!("{answer}");
    ///     Ok(())
    /// }
    /// ```
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<CloseInfo, Error> {
        self.connection.close(code, reason).await.cloned()
    }

    /// Sends a close frame after the messages before it, and does not wait. Nothing more can be
    /// sent. Messages of the peer are received until its close frame comes, for which it has
    /// [`close_timeout`](super::Options::close_timeout).
    pub fn start_close(&self, code: CloseCode, reason: &str) {
        self.connection.start_close(code, reason);
    }

    /// Returns the close frame of the peer, once [`recv`](Self::recv) has come to it.
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        self.connection.close_info()
    }

    /// Waits for the end of the connection, and returns the close frame of the peer: for a function
    /// that sends, while another task receives.
    ///
    /// The end stands after the messages that came before it, and is found once these are received.
    ///
    /// # Errors
    ///
    /// The connection ended otherwise: see the [module](super#the-end).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{http::websocket::{Error, WebSocket}, spawn};
    ///
    /// async fn serve(socket: WebSocket) -> Result<(), Error> {
    ///     let (sender, mut receiver) = socket.split();
    ///     spawn(async move {
    ///         match sender.closed().await {
    ///             Ok(info) => println!("the peer has closed it: {info}"),
    ///             Err(error) => println!("it broke: {error}"),
    ///         }
    ///     });
    ///     while let Some(message) = receiver.recv().await? {
    ///         println!("{message:?}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn closed(&self) -> Result<CloseInfo, Error> {
        self.connection.closed().await.cloned()
    }

    /// Waits until the server begins to stop. The peer is sent a close frame then. At a client it
    /// waits for ever.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn stopping(&self) {
        match &self.stop {
            Some(stop) => stop.stopping().await,
            None => pending().await,
        }
    }

    /// Returns the subprotocol that was agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.connection.protocol()
    }

    /// Returns the address of the other end of the connection. None on a Unix socket, and once the
    /// connection is gone.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection.peer_addr()
    }

    /// Splits the connection into its two directions, for tasks of this thread.
    ///
    /// # Examples
    ///
    /// One task sends while the function receives:
    ///
    /// ```
    /// use annulus::{http::{self, Request, Response, websocket::WebSocket}, spawn, sync::mpsc};
    ///
    /// async fn news(request: Request, mut items: mpsc::Receiver<String>) -> Response {
    ///     request.websocket(async move |socket: WebSocket| {
    ///         let (sender, mut receiver) = socket.split();
    ///         spawn(async move {
    ///             while let Some(item) = items.recv().await {
    ///                 sender.send(item).await?;
    ///             }
    ///             Ok::<(), http::Error>(())
    ///         });
    ///         while let Some(message) = receiver.recv().await? {
    ///             println!("{message:?}");
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        let sender = Sender::new(self.connection.clone());
        (sender, Receiver::new(self.connection))
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("peer_addr", &self.peer_addr())
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}
