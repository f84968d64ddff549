//! A stream with TLS on it.

use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{AlertDescription, CipherSuite, InvalidMessage, pki_types::CertificateDer};

use super::{
    Carrier, Config, HandshakeInfo, Version, acceptor::gone, hello, server_config::Chosen,
    session::Session,
};
use crate::{
    budget,
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
};

/// How much data is encrypted and sent at once.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// How much data of several slices is. The slices stand in the memory of their records for that,
/// and together they fit into what is kept of it.
const PARTS_BYTES_MAX: usize = 32 * 1024;

/// A connection that speaks TLS, made by [`connect`](super::connect) or
/// [`accept`](super::accept).
///
/// The stream itself keeps bytes that wait to be decrypted, and encrypted bytes that wait to be
/// sent. The future of a call keeps none: one that is dropped loses nothing, and a record that it
/// has begun to send goes on with the next write, flush or shutdown.
///
/// Dropped over a socket, it tells the peer that it has finished, if nothing is left to be sent and
/// that goes at once; [`shutdown`](Self::shutdown) does it for certain. A send that is under way
/// then is finished by the runtime.
pub struct TlsStream {
    session: Session,
    carrier: Carrier,
    ending: Ending,
    /// The data that came together with the end of the handshake.
    early: Vec<u8>,
    /// The name that the client has asked for, on the side of the server.
    server_name: Option<Box<str>>,
    /// Receiving has failed, and nothing more goes in either direction.
    has_failed: bool,
    /// That was since the peer had gone.
    has_ended: bool,
    /// Sending has failed. A message that the peer sent before may tell why.
    cannot_send: bool,
    /// The failure, which waits for the data before it to be taken.
    error: Option<io::Error>,
}

/// How far the end of the sending direction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// The peer is being told.
    Told,
    Shut,
}

impl TlsStream {
    pub(super) fn client(carrier: Carrier, name: &str, config: &Config) -> io::Result<Self> {
        let session = Session::client(Arc::clone(&config.inner), name)?;
        Ok(Self::new(carrier, session))
    }

    /// The stream of a client whose first message is in `received`.
    pub(super) fn server(
        carrier: Carrier,
        chosen: Chosen,
        server_name: Option<Box<str>>,
        mut received: Vec<u8>,
    ) -> io::Result<Self> {
        let mut stream = Self::new(carrier, Session::server(Arc::clone(&chosen.config))?);
        stream.server_name = server_name;
        let mut early = Vec::new();
        // The handshake returns the error, after the alert.
        stream.error = if hello::is_too_long(&received) {
            let error = InvalidMessage::MessageTooLarge.into();
            let alert = AlertDescription::DecodeError;
            Some(stream.session.refuse(alert, error))
        } else if chosen.refuses(stream.server_name()) {
            // rustls would say that access is denied.
            let text = "expected a name of this server's certificates, found another";
            let error = rustls::Error::General(text.to_owned());
            let alert = AlertDescription::UnrecognisedName;
            Some(stream.session.refuse(alert, error))
        } else {
            stream.session.receive(&mut received, &mut early).err()
        };
        stream.has_failed = stream.error.is_some();
        Ok(stream)
    }

    fn new(carrier: Carrier, session: Session) -> Self {
        Self {
            session,
            carrier,
            ending: Ending::Open,
            early: Vec::new(),
            server_name: None,
            has_failed: false,
            has_ended: false,
            cannot_send: false,
            error: None,
        }
    }

    /// Waits for the end of the handshake.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let sent = self.poll_send(context)?;
            if let Some(error) = self.error.take() {
                return Poll::Ready(Err(error));
            }
            if self.session.is_ready() {
                return sent.map(Ok);
            }
            // A server may want to be read before it reads on.
            let mut early = mem::take(&mut self.early);
            let polled = self.poll_receive(context, &mut early);
            self.early = early;
            ready!(polled)?;
        }
    }

    /// Receives once, and decrypts what is whole. Appends nothing when the peer has finished, and
    /// perhaps otherwise.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        data: &mut Vec<u8>,
    ) -> Poll<io::Result<()>> {
        let mut received = ready!(self.carrier.poll_recv(context))?;
        if received.is_empty() {
            (self.has_failed, self.has_ended) = (true, true);
            if !self.session.is_ready() {
                return Poll::Ready(Err(gone()));
            }
            let text = "expected a close_notify before the end of the connection";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
        }
        let result = self.session.receive(&mut received, data);
        if result.is_err() {
            self.has_failed = true;
            // Where a send is under way, its waker is that of the other direction.
            if !self.carrier.is_sending() {
                let _ = self.carrier.poll_send(&mut self.session.outgoing, context);
            }
        }
        Poll::Ready(result)
    }

    /// Sends what was encrypted.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.carrier.poll_send(&mut self.session.outgoing, context);
        self.cannot_send |= matches!(polled, Poll::Ready(Err(_)));
        polled
    }

    /// Appends the next data to `buf`, and returns how much that was; 0 when the peer has finished.
    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let before = buf.len();
        buf.append(&mut mem::take(&mut self.early));
        loop {
            if buf.len() > before {
                return Poll::Ready(Ok(buf.len() - before));
            }
            if self.session.has_peer_finished() {
                return Poll::Ready(Ok(0));
            }
            if self.has_failed {
                let error = self.error.take();
                let error = error.unwrap_or_else(|| io::ErrorKind::NotConnected.into());
                return Poll::Ready(Err(error));
            }
            match self.poll_receive(context, buf) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if buf.len() > before => self.error = Some(error),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if self.session.outgoing.is_empty() {
                        // An idle stream holds no memory.
                        self.session.outgoing = Vec::new();
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether more can be sent.
    fn is_open(&self) -> bool {
        self.ending == Ending::Open && !self.has_failed && !self.cannot_send
    }

    /// Receives the next data; empty when the peer has finished.
    ///
    /// # Errors
    ///
    /// As those of [`connect`](super::connect), and `UnexpectedEof` when the connection has ended
    /// without a word of the peer's.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> io::Result<ManagedBuf> {
        budget::turn().await;
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Sends all of `data`.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has sent a beginning of `data` of unknown length. The records of that go whole,
    /// before later data.
    pub async fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            budget::turn().await;
            let count = poll_fn(|context| self.poll_write(context, data)).await?;
            data = &data[count..];
        }
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Tells the peer that no more data will be sent, and ends the sending direction. It can be
    /// ended again.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    ///
    /// # Cancel safety
    ///
    /// The next call goes on.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_shutdown(context)).await
    }

    /// Waits until all data that was written is on its way.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Takes the next data. An empty buffer means that the peer has finished. See
    /// [`ByteRead`](crate::io::ByteRead#polling) for its promises.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let mut data = Vec::new();
        ready!(self.poll_data(context, &mut data))?;
        Poll::Ready(Ok(ManagedBuf::own(data)))
    }

    /// Encrypts the first bytes of `bytes`, and returns how many. Their records go at once, or with
    /// the next poll that writes, flushes or ends this direction.
    ///
    /// # Errors
    ///
    /// The error of the stream, and `BrokenPipe` after that or after the end of this direction.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(PIECE_BYTES_MAX);
        self.poll_encrypt(context, count, |session| session.send(&bytes[..count]))
    }

    /// As [`poll_write`](Self::poll_write), for the first bytes of `slices`, one slice after the
    /// other. Short slices share a record.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        let first = filled.next().map_or(&[][..], |slice| slice);
        if first.len() >= PARTS_BYTES_MAX || filled.next().is_none() {
            return self.poll_write(context, first);
        }
        let mut count = 0;
        for slice in slices {
            count = PARTS_BYTES_MAX.min(count + slice.len());
        }
        self.poll_encrypt(context, count, |session| session.send_parts(slices, count))
    }

    /// Has `encrypt` append the records of `count` bytes to those that are to be sent.
    fn poll_encrypt(
        &mut self,
        context: &mut Context<'_>,
        count: usize,
        encrypt: impl FnOnce(&mut Session) -> io::Result<()>,
    ) -> Poll<io::Result<usize>> {
        if !self.is_open() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_send(context))?;
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
        encrypt(&mut self.session).inspect_err(|_| self.cannot_send = true)?;
        // It is taken, whether it goes at once or later.
        match self.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    /// Waits until all data that was written is on its way.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context)
    }

    /// Tells the peer that no more data will be sent, and ends the sending direction.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_open() {
            self.session.finish()?;
            self.ending = Ending::Told;
        }
        ready!(self.poll_send(context))?;
        if self.ending != Ending::Shut {
            ready!(self.carrier.poll_shutdown(context))?;
            self.ending = Ending::Shut;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the version of TLS that is spoken.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.session.version()
    }

    /// Returns the protocol that the server has chosen among those that the client offers.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn()
    }

    /// Whether the session of an earlier connection was resumed.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.session.is_resumed()
    }

    /// Returns the peer's certificates, its own first. None of a client that has shown none.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.session.peer_certificates()
    }

    /// Returns the host name that the client has asked for (SNI), in lower case. None when it did
    /// not tell, and at a client.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Returns the cipher suite, whose name is that of the standard by `Debug`.
    #[must_use]
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.session.cipher_suite()
    }

    /// Returns all that the handshake has settled, to be kept.
    #[must_use]
    pub fn info(&self) -> HandshakeInfo {
        HandshakeInfo::of(self)
    }

    /// Whether the handshake is over.
    pub(super) fn is_ready(&self) -> bool {
        self.session.is_ready()
    }

    /// Whether the peer has broken TLS, or refused something by it.
    pub(super) fn is_broken(&self) -> bool {
        self.has_failed && !self.has_ended
    }

    /// Whether the sending direction has ended.
    pub(super) fn is_shut(&self) -> bool {
        self.ending == Ending::Shut
    }

    /// Whether data waits to be taken.
    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    pub(super) fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    pub(super) fn carrier_mut(&mut self) -> &mut Carrier {
        &mut self.carrier
    }
}

impl ByteRead for TlsStream {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        Self::poll_recv(self, context)
    }
}

impl ByteWrite for TlsStream {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Self::poll_write(self, context, bytes)
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Self::poll_write_vectored(self, context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(self, context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(self, context)
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        let is_quiet = self.session.outgoing.is_empty() && !self.carrier.is_sending();
        if self.is_open() && is_quiet && self.session.is_ready() && self.session.finish().is_ok() {
            let words = mem::take(&mut self.session.outgoing);
            self.carrier.say_at_once(&words);
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("carrier", &self.carrier)
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
