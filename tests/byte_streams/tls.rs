//! `TlsStream` over each stream that it may stand on, with rustls at the other end.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, Read as _, Write as _},
    sync::Arc,
    task::{Context, Poll, ready},
};

use annulus::{
    ManagedBuf,
    future::join,
    io::{ByteRead, ByteStream, ByteWrite},
    tls::{
        self, Carrier,
        rustls::{ServerConfig, ServerConnection},
    },
};

use crate::{
    kinds::{self, Ends, Far, Kind, kind},
    support::{
        certificates::Certificates,
        tls::{Kind as Server, trusting},
    },
};

pub(crate) fn kinds() -> Vec<Kind> {
    const RESET: Option<ErrorKind> = Some(ErrorKind::ConnectionReset);
    const CUT: Option<ErrorKind> = Some(ErrorKind::UnexpectedEof);
    vec![
        kind!(
            "TLS 1.2 over TCP",
            over(Server::tls12(), kinds::tcp().await).await,
            RESET
        ),
        kind!(
            "TLS 1.3 over TCP",
            over(Server::tls13(), kinds::tcp().await).await,
            RESET
        ),
        kind!(
            "TLS 1.2 over Unix",
            over(Server::tls12(), kinds::unix()).await,
            RESET
        ),
        kind!(
            "TLS 1.3 over Duplex",
            over(Server::tls13(), kinds::memory()).await,
            CUT
        ),
    ]
}

/// TLS 1.3 over TCP.
#[cfg(all(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
pub(crate) async fn by_tls_13() -> Option<Ends> {
    over(Server::tls13(), kinds::tcp().await).await
}

/// TLS over a stream, in the version that the server speaks.
async fn over<S: Into<Carrier>>(server: Server, (near, far): (S, Far)) -> Option<Ends> {
    let certificates = Certificates::get()?;
    let config = trusting(certificates).build().unwrap();
    let mut far = far.map(|stream| TlsPeer::new(stream, server.config(certificates)));
    let near = tls::connect(near, "localhost", &config);
    // The peer makes its handshake in a flush.
    let (near, hello) = join(near, poll_fn(|context| far.stream.poll_flush(context))).await;
    hello.unwrap();
    Some(kinds::plain((near.unwrap(), far)))
}

/// The server's side of a connection.
pub(crate) struct TlsPeer {
    tls: ServerConnection,
    stream: Box<dyn ByteStream>,
    /// Records, of which so many bytes were sent.
    outgoing: Vec<u8>,
    sent: usize,
    /// Data that was received. rustls keeps little.
    data: Vec<u8>,
    has_ended: bool,
}

impl TlsPeer {
    pub(crate) fn new(stream: Box<dyn ByteStream>, config: Arc<ServerConfig>) -> Self {
        let mut tls = ServerConnection::new(config).unwrap();
        tls.set_buffer_limit(None);
        Self {
            tls,
            stream,
            outgoing: Vec::new(),
            sent: 0,
            data: Vec::new(),
            has_ended: false,
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.outgoing)?;
        }
        while self.sent < self.outgoing.len() {
            let rest = &self.outgoing[self.sent..];
            self.sent += ready!(self.stream.poll_write(context, rest))?;
        }
        self.outgoing.clear();
        self.sent = 0;
        self.stream.poll_flush(context)
    }

    /// Receives once. False at the end.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let received = ready!(self.stream.poll_recv(context))?;
        let mut rest = &received[..];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
            match self.tls.reader().read_to_end(&mut self.data) {
                Ok(_) => self.has_ended = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(!received.is_empty()))
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.is_handshaking() {
            let _ = self.poll_send(context)?;
            if !ready!(self.poll_receive(context))? {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
        self.poll_send(context)
    }
}

impl ByteRead for TlsPeer {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        while self.data.is_empty() && !self.has_ended {
            if !ready!(self.poll_receive(context))? {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(std::mem::take(&mut self.data).into()))
    }
}

impl ByteWrite for TlsPeer {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let count = self.tls.writer().write(bytes)?;
        let _ = self.poll_send(context)?;
        Poll::Ready(Ok(count))
    }

    /// Makes the handshake, too.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_handshake(context))?;
        self.poll_send(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.send_close_notify();
        ready!(self.poll_send(context))?;
        self.stream.poll_shutdown(context)
    }
}
