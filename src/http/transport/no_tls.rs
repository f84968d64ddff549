//! The streams that are no sockets, of a crate that is built without the feature `tls`: any.

use std::{
    io::{self, IoSlice},
    task::{Context, Poll},
};

use super::{Broken, plain::Plain, proxied::Proxied};
use crate::{
    io::{ByteRead, ByteStream, ByteWrite},
    net::Socket,
    pool::ManagedBuf,
};

/// A stream that is no socket.
pub(super) enum Layer {
    Any(Box<dyn ByteStream>),
    /// A socket, some of whose bytes were received before.
    Plain(Box<Plain>),
    /// A connection that begins with a header of the PROXY protocol.
    Proxied(Box<Proxied>),
}

impl Layer {
    /// Of a stream that is treated apart, of which there is none.
    pub(super) fn new<S: ByteStream + 'static>(stream: S) -> Result<Self, S> {
        Err(stream)
    }

    /// Of any other stream.
    pub(super) fn any(stream: Box<dyn ByteStream>) -> Self {
        Self::Any(stream)
    }

    fn stream(&mut self) -> &mut dyn ByteStream {
        match self {
            Self::Any(stream) => &mut **stream,
            Self::Plain(plain) => &mut **plain,
            Self::Proxied(proxied) => &mut **proxied,
        }
    }

    /// The connection that begins with a header of the PROXY protocol, if it is one.
    pub(super) fn proxied(&self) -> Option<&Proxied> {
        match self {
            Self::Proxied(proxied) => Some(proxied),
            _ => None,
        }
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Any(_) => None,
            Self::Plain(plain) => Some(&plain.socket),
            Self::Proxied(proxied) => proxied.socket(),
        }
    }

    pub(super) fn has_early(&self) -> bool {
        match self {
            Self::Any(_) => false,
            Self::Plain(plain) => !plain.unread.is_empty(),
            Self::Proxied(proxied) => proxied.begun().is_some_and(Self::has_early),
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.proxied().is_some_and(Proxied::is_waiting)
    }

    pub(super) fn is_tls(&self) -> bool {
        false
    }

    pub(super) fn has_agreed_on_http2(&self) -> bool {
        false
    }

    pub(super) fn broken(&self) -> Option<Broken> {
        let is_malformed = self.proxied().is_some_and(Proxied::is_malformed);
        is_malformed.then_some(Broken::ProxyHeader)
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
