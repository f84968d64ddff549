//! The beginning of a handshake, on the side of a server.

use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use super::{
    Carrier, ServerConfig, TlsStream,
    hello::{self, ClientHello},
    server_config::Chosen,
};
use crate::time;

/// A server's connection whose client is about to say what it wants. It lets the server read that,
/// and then choose the configuration to answer with.
///
/// [`accept`](super::accept) is for servers that have one for all clients.
///
/// # Examples
///
/// ```
/// use annulus::{io::ByteStream, tls};
/// use std::io;
///
/// async fn accept<S: ByteStream + 'static>(
///     stream: S,
///     public: &tls::ServerConfig,
///     internal: &tls::ServerConfig,
/// ) -> io::Result<tls::TlsStream> {
///     let mut acceptor = tls::Acceptor::new(stream);
///     let hello = acceptor.client_hello().await?;
///     let is_internal = hello.server_name().is_some_and(|name| name.ends_with(".internal"));
///     acceptor.accept(if is_internal { internal } else { public }).await
/// }
/// ```
pub struct Acceptor {
    carrier: Carrier,
    received: Vec<u8>,
}

impl Acceptor {
    /// Begins on a stream that was accepted.
    #[must_use]
    pub fn new(stream: impl Into<Carrier>) -> Self {
        Self {
            carrier: stream.into(),
            received: Vec::new(),
        }
    }

    /// Waits for the first message of the client, which is there for later calls, too. It has no
    /// time limit of its own; see [`time::timeout`].
    ///
    /// A client that says something else than such a message has asked for no name.
    /// [`accept`](Self::accept) tells it what is wrong.
    ///
    /// # Errors
    ///
    /// The errors of the stream, and `UnexpectedEof` when it ends before the message.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn client_hello(&mut self) -> io::Result<ClientHello> {
        poll_fn(|context| self.poll_hello(context)).await?;
        Ok(ClientHello::read(&self.received))
    }

    /// Makes the handshake.
    ///
    /// # Errors
    ///
    /// As [`accept`](super::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the stream.
    pub async fn accept(mut self, config: &ServerConfig) -> io::Result<TlsStream> {
        let timeout = config.handshake_timeout();
        let handshake = async {
            poll_fn(|context| self.poll_hello(context)).await?;
            let mut stream = self.begin(config.of_any())?;
            poll_fn(|context| stream.poll_handshake(context)).await?;
            Ok(stream)
        };
        match time::timeout(timeout, handshake).await {
            Ok(accepted) => accepted,
            Err(_) => {
                let text = "expected a whole handshake, found none in time";
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    }

    /// Waits for the first message of the client.
    pub(super) fn poll_hello(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !hello::is_whole(&self.received) {
            let received = ready!(self.carrier.poll_recv(context))?;
            if received.is_empty() {
                return Poll::Ready(Err(gone()));
            }
            self.push(&received);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what was received.
    pub(super) fn push(&mut self, received: &[u8]) {
        if self.received.is_empty() {
            self.received.reserve_exact(received.len());
        }
        self.received.extend_from_slice(received);
    }

    pub(super) fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    pub(super) fn carrier_mut(&mut self) -> &mut Carrier {
        &mut self.carrier
    }

    /// Begins the handshake with what was received.
    pub(super) fn begin(self, chosen: Chosen) -> io::Result<TlsStream> {
        let name = ClientHello::read(&self.received).into_server_name();
        TlsStream::server(self.carrier, chosen, name, self.received)
    }
}

/// The client has gone before its handshake was over.
pub(super) fn gone() -> io::Error {
    let text = "the connection was closed during the handshake";
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("carrier", &self.carrier)
            .finish_non_exhaustive()
    }
}
