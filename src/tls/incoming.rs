//! A connection of an HTTP server from its accept on.
//!
//! Nothing is made for it before its first byte: until then it is a socket that receives. Its first
//! message is gathered without rustls, and then it is a stream. One whose client does not speak
//! TLS, or speaks it badly, is a carrier again, so that the client can be told and its end waited
//! for.

use std::{
    cell::Cell,
    fmt,
    io::{self, IoSlice},
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    Carrier, HandshakeInfo, ServerConfig, Spoken, TlsStream,
    acceptor::{self, Acceptor},
    server_config::HTTP_2,
};
use crate::{
    io::{ByteRead, ByteWrite},
    net::Socket,
    pool::ManagedBuf,
};

/// The first bytes of a client of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An address that a worker accepts at.
pub(crate) struct Endpoint {
    pub(crate) config: ServerConfig,
    /// The versions of HTTP that are offered there.
    pub(crate) spoken: Spoken,
    /// How many handshakes may begin until all other connections have had their turn.
    pub(crate) handshakes_left: Rc<Cell<u32>>,
}

/// A connection of a server, from its accept on.
pub(crate) enum Incoming {
    /// Nothing has come.
    Silent {
        socket: Socket,
        endpoint: Rc<Endpoint>,
    },
    /// A part of the first message has come.
    Greeting(Box<(Acceptor, Rc<Endpoint>)>),
    /// The handshake has begun.
    Open(Box<Opened>),
    /// The client has sent something that is no TLS.
    Plain(Box<Carrier>),
    /// It is gone.
    Gone,
}

/// A stream with TLS, which holds its client to the protocol that the handshake has chosen.
pub(crate) struct Opened {
    stream: TlsStream,
    preface: Preface,
}

/// The preface of HTTP/2, with which a client begins that has agreed on that version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preface {
    /// Nothing has come.
    Unread,
    /// So many bytes of it have come.
    Part(usize),
    /// It is complete, or none is to come.
    Over,
    /// Something else came in its place.
    Missing,
}

impl Preface {
    /// Looks at the next bytes of a client that has agreed on `protocol`. False if they are
    /// something else than the preface that has to come.
    fn takes(&mut self, bytes: &[u8], protocol: Option<&[u8]>) -> bool {
        let before = match *self {
            Self::Unread if protocol == Some(HTTP_2) => 0,
            Self::Part(before) => before,
            Self::Unread => {
                *self = Self::Over;
                return true;
            }
            Self::Over | Self::Missing => return true,
        };
        let rest = &PREFACE[before..];
        let count = rest.len().min(bytes.len());
        *self = match rest[..count] == bytes[..count] {
            false => Self::Missing,
            true if count == rest.len() => Self::Over,
            true => Self::Part(before + count),
        };
        *self != Self::Missing
    }
}

impl Opened {
    fn new(stream: TlsStream) -> Box<Self> {
        let preface = Preface::Unread;
        Box::new(Self { stream, preface })
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let received = ready!(self.stream.poll_recv(context))?;
        if self.preface.takes(&received, self.stream.alpn()) {
            return Poll::Ready(Ok(received));
        }
        let text = "expected the preface of HTTP/2, which the handshake has chosen";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)))
    }
}

impl Incoming {
    pub(crate) fn new(socket: Socket, endpoint: Rc<Endpoint>) -> Self {
        Self::Silent { socket, endpoint }
    }

    /// Of a connection some of whose bytes were received. It is made even when they are no TLS, so
    /// that its client can be told.
    pub(crate) fn after(
        socket: Socket,
        endpoint: Rc<Endpoint>,
        received: &[u8],
    ) -> (Self, io::Result<()>) {
        let mut incoming = Self::new(socket, endpoint);
        let greeted = if received.is_empty() {
            Ok(())
        } else {
            incoming.greet(received)
        };
        (incoming, greeted)
    }

    /// Waits until the handshake is over.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&mut Opened>> {
        loop {
            match self {
                Self::Silent { socket, .. } => {
                    let received = ready!(socket.poll_recv(context))?;
                    if received.is_empty() {
                        return Poll::Ready(Err(acceptor::gone()));
                    }
                    self.greet(&received)?;
                }
                Self::Greeting(greeting) => {
                    let (acceptor, endpoint) = &mut **greeting;
                    ready!(acceptor.poll_hello(context))?;
                    let Some(left) = endpoint.handshakes_left.get().checked_sub(1) else {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    };
                    endpoint.handshakes_left.set(left);
                    let Self::Greeting(greeting) = mem::replace(self, Self::Gone) else {
                        return Poll::Ready(Err(acceptor::gone()));
                    };
                    let (acceptor, endpoint) = *greeting;
                    let config = endpoint.config.of_http(endpoint.spoken);
                    *self = Self::Open(Opened::new(acceptor.begin(config)?));
                }
                Self::Open(opened) if opened.stream.is_ready() => break,
                Self::Open(opened) => ready!(opened.stream.poll_handshake(context))?,
                Self::Plain(_) | Self::Gone => {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                }
            }
        }
        match self {
            Self::Open(opened) => Poll::Ready(Ok(opened)),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Takes the first bytes of a connection that was silent.
    fn greet(&mut self, received: &[u8]) -> io::Result<()> {
        let Self::Silent { socket, endpoint } = mem::replace(self, Self::Gone) else {
            return Err(acceptor::gone());
        };
        if received[0].is_ascii_alphabetic() {
            *self = Self::Plain(Box::new(socket.into()));
            let text = "expected TLS, found plain bytes";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut acceptor = Acceptor::new(Carrier::from(socket));
        acceptor.push(received);
        *self = Self::Greeting(Box::new((acceptor, endpoint)));
        Ok(())
    }

    /// Whether the handshake is not over yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Self::Open(opened) => !opened.stream.is_ready(),
            _ => true,
        }
    }

    /// Whether its client has sent something that is no TLS. Reading and writing go on without TLS
    /// then.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Whether its client has broken TLS, or refused something by it. It was told so, and what it
    /// still sends is read without TLS once the other direction has ended.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Open(opened) if opened.stream.is_broken())
    }

    /// Whether its client has agreed on HTTP/2.
    pub(crate) fn has_agreed_on_http2(&self) -> bool {
        match self {
            Self::Open(opened) => opened.stream.alpn() == Some(HTTP_2),
            _ => false,
        }
    }

    /// Whether its client has agreed on HTTP/2 and speaks something else.
    pub(crate) fn lacks_preface(&self) -> bool {
        matches!(self, Self::Open(opened) if opened.preface == Preface::Missing)
    }

    /// The facts of the handshake, once it is over.
    pub(crate) fn info(&self) -> Option<HandshakeInfo> {
        match self {
            Self::Open(opened) if opened.stream.is_ready() => Some(opened.stream.info()),
            _ => None,
        }
    }

    /// The socket below, if it is one.
    pub(crate) fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Silent { socket, .. } => Some(socket),
            Self::Greeting(greeting) => greeting.0.carrier().socket(),
            Self::Open(opened) => opened.stream.carrier().socket(),
            Self::Plain(carrier) => carrier.socket(),
            Self::Gone => None,
        }
    }

    /// Whether data waits to be taken.
    pub(crate) fn has_early(&self) -> bool {
        matches!(self, Self::Open(opened) if opened.stream.has_early())
    }

    /// The carrier of a connection that speaks no TLS any more.
    fn bare(&mut self) -> Option<&mut Carrier> {
        match self {
            Self::Plain(carrier) => Some(carrier),
            Self::Open(opened) if opened.stream.is_broken() && opened.stream.is_shut() => {
                Some(opened.stream.carrier_mut())
            }
            _ => None,
        }
    }
}

impl ByteRead for Incoming {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match self.bare() {
            Some(carrier) => carrier.poll_recv(context),
            None => ready!(self.poll_open(context))?.poll_recv(context),
        }
    }
}

impl ByteWrite for Incoming {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.bare() {
            Some(carrier) => carrier.poll_write(context, bytes),
            None => ready!(self.poll_open(context))?
                .stream
                .poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let opened = ready!(self.poll_open(context))?;
        opened.stream.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.bare() {
            Some(carrier) => carrier.poll_flush(context),
            None => ready!(self.poll_open(context))?.stream.poll_flush(context),
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Silent { socket, .. } => socket.poll_shutdown(context),
            Self::Greeting(greeting) => greeting.0.carrier_mut().poll_shutdown(context),
            Self::Open(opened) => opened.stream.poll_shutdown(context),
            Self::Plain(carrier) => {
                ready!(carrier.poll_flush(context))?;
                carrier.poll_shutdown(context)
            }
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl From<TlsStream> for Incoming {
    fn from(stream: TlsStream) -> Self {
        Self::Open(Opened::new(stream))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("is_handshaking", &self.is_handshaking())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_is_taken_in_any_pieces() {
        let agreed = Some(&b"h2"[..]);
        for size in 1..=PREFACE.len() {
            let mut preface = Preface::Unread;
            for piece in PREFACE.chunks(size) {
                assert_ne!(preface, Preface::Over, "{size}");
                assert!(preface.takes(piece, agreed), "{size}");
            }
            assert_eq!(preface, Preface::Over, "{size}");
            assert!(preface.takes(b"anything", agreed));
        }
        let mut preface = Preface::Unread;
        assert!(preface.takes(&[PREFACE, b"and more"].concat(), agreed));
    }

    #[test]
    fn something_else_in_place_of_a_preface_is_found_once() {
        let agreed = Some(&b"h2"[..]);
        for at in 0..PREFACE.len() {
            let mut bytes = PREFACE.to_vec();
            bytes[at] ^= 1;
            let mut preface = Preface::Unread;
            assert!(preface.takes(&bytes[..at], agreed));
            assert!(!preface.takes(&bytes[at..], agreed), "{at}");
            assert!(preface.takes(b"what follows is read to the end", agreed));
        }
    }

    #[test]
    fn a_client_that_has_agreed_on_something_else_needs_no_preface() {
        for protocol in [None, Some(&b"http/1.1"[..])] {
            let mut preface = Preface::Unread;
            assert!(preface.takes(b"GET / HTTP/1.1\r\n", protocol));
            assert_eq!(preface, Preface::Over);
        }
    }
}
