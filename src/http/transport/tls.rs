//! The streams that are no sockets: TLS, which knows the socket below, and any other.

use std::{
    any::Any,
    io::{self, IoSlice},
    rc::Rc,
    task::{Context, Poll},
};

use super::{
    Broken, Kind, Transport,
    other::Other,
    plain::Plain,
    proxied::{Begun, Proxied},
};
use crate::{
    io::{ByteRead, ByteStream, ByteWrite},
    net::Socket,
    pool::ManagedBuf,
    tls::{
        HandshakeInfo, TlsStream,
        incoming::{Endpoint, Incoming},
    },
};

/// A stream that is no socket.
pub(super) enum Layer {
    Tls(Incoming),
    Any(Box<dyn ByteStream>),
    /// A socket, some of whose bytes were received before.
    Plain(Box<Plain>),
    /// A connection that begins with a header of the PROXY protocol.
    Proxied(Box<Proxied>),
}

impl Layer {
    /// Of a stream that is treated apart: TLS.
    pub(super) fn new<S: ByteStream + 'static>(stream: S) -> Result<Self, S> {
        let mut stream = Some(stream);
        let any: &mut dyn Any = &mut stream;
        let tls = match any.downcast_mut::<Option<TlsStream>>() {
            Some(tls) => tls.take().map(Incoming::from),
            None => any.downcast_mut().and_then(Option::<Incoming>::take),
        };
        match tls {
            Some(tls) => Ok(Self::Tls(tls)),
            None => Err(stream.expect("only TLS was taken out")),
        }
    }

    /// Of any other stream.
    pub(super) fn any(stream: Box<dyn ByteStream>) -> Self {
        Self::Any(stream)
    }

    fn stream(&mut self) -> &mut dyn ByteStream {
        match self {
            Self::Tls(tls) => tls,
            Self::Any(stream) => &mut **stream,
            Self::Plain(plain) => &mut **plain,
            Self::Proxied(proxied) => &mut **proxied,
        }
    }

    fn tls(&self) -> Option<&Incoming> {
        match self {
            Self::Tls(tls) => Some(tls),
            Self::Any(_) | Self::Plain(_) => None,
            Self::Proxied(proxied) => proxied.begun()?.tls(),
        }
    }

    /// The connection that begins with a header of the PROXY protocol, if it is one.
    pub(super) fn proxied(&self) -> Option<&Proxied> {
        match self {
            Self::Proxied(proxied) => Some(proxied),
            _ => None,
        }
    }

    /// The socket below, if there is one.
    pub(super) fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Tls(tls) => tls.socket(),
            Self::Any(_) => None,
            Self::Plain(plain) => Some(&plain.socket),
            Self::Proxied(proxied) => proxied.socket(),
        }
    }

    /// Whether data waits to be taken.
    pub(super) fn has_early(&self) -> bool {
        match self {
            Self::Plain(plain) => !plain.unread.is_empty(),
            Self::Proxied(proxied) => proxied.begun().is_some_and(Self::has_early),
            _ => self.tls().is_some_and(Incoming::has_early),
        }
    }

    /// Whether a handshake is under way.
    pub(super) fn is_handshaking(&self) -> bool {
        self.proxied().is_some_and(Proxied::is_waiting)
            || self.tls().is_some_and(Incoming::is_handshaking)
    }

    /// Whether it is TLS, also while its handshake is under way.
    pub(super) fn is_tls(&self) -> bool {
        self.tls().is_some()
    }

    /// Whether the client has agreed on HTTP/2 in its handshake.
    pub(super) fn has_agreed_on_http2(&self) -> bool {
        self.tls().is_some_and(Incoming::has_agreed_on_http2)
    }

    /// Why it cannot go on, if it cannot.
    pub(super) fn broken(&self) -> Option<Broken> {
        if self.proxied().is_some_and(Proxied::is_malformed) {
            return Some(Broken::ProxyHeader);
        }
        match self.tls()? {
            tls if tls.lacks_preface() => Some(Broken::Preface),
            tls if tls.is_plain() => Some(Broken::Plain),
            tls if tls.is_broken() => Some(Broken::Told),
            _ => None,
        }
    }
}

/// The stream after a header of the PROXY protocol, which speaks TLS by `endpoint`.
pub(crate) fn secured(
    socket: Socket,
    endpoint: &Rc<Endpoint>,
    unread: &[u8],
) -> (Begun, io::Result<()>) {
    let (incoming, result) = Incoming::after(socket, Rc::clone(endpoint), unread);
    (Begun(Layer::Tls(incoming)), result)
}

impl Transport {
    /// The facts of the TLS handshake, if there was one.
    pub(crate) fn handshake_info(&self) -> Option<HandshakeInfo> {
        match &self.0 {
            Kind::Socket { .. } => None,
            Kind::Other(other) => {
                let info = |other: &Other| other.look(|layer| layer.tls()?.info());
                info(other).or_else(|| info(&*other.below()?))
            }
        }
    }
}

impl ByteRead for Layer {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.stream().poll_recv(context)
    }
}

impl ByteWrite for Layer {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::Any(stream) => stream.is_write_vectored(),
            Self::Plain(plain) => plain.is_write_vectored(),
            Self::Proxied(proxied) => proxied.is_write_vectored(),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
