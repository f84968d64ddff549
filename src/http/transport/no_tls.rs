//! The streams that are no sockets, of a crate that is built without the feature `tls`: any.

use std::{
    io::{self, IoSlice},
    task::{Context, Poll},
};

use super::Broken;
use crate::{
    io::{ByteRead, ByteStream, ByteWrite},
    net::Socket,
    pool::ManagedBuf,
};

/// A stream that is no socket.
pub(super) struct Layer(Box<dyn ByteStream>);

impl Layer {
    /// Of a stream that is treated apart, of which there is none.
    pub(super) fn new<S: ByteStream + 'static>(stream: S) -> Result<Self, S> {
        Err(stream)
    }

    /// Of any other stream.
    pub(super) fn any(stream: Box<dyn ByteStream>) -> Self {
        Self(stream)
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        None
    }

    pub(super) fn has_early(&self) -> bool {
        false
    }

    pub(super) fn is_handshaking(&self) -> bool {
        false
    }

    pub(super) fn is_tls(&self) -> bool {
        false
    }

    pub(super) fn broken(&self) -> Option<Broken> {
        None
    }
}

impl ByteRead for Layer {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.0.poll_recv(context)
    }
}

impl ByteWrite for Layer {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(context)
    }
}
