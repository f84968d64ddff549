//! A transport as the stream below TLS.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll},
};

use super::{Kind, Transport, other::Other};
use crate::{
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
    tls::Carrier,
};

impl From<Transport> for Carrier {
    fn from(transport: Transport) -> Self {
        match transport.0 {
            Kind::Socket { socket, .. } => socket.into(),
            Kind::Other(other) => Inner(other).into(),
        }
    }
}

/// The stream of a transport.
struct Inner(Rc<Other>);

impl ByteRead for Inner {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.0.poll_recv(context)
    }
}

impl ByteWrite for Inner {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.with(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.with(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.with(|stream| stream.poll_shutdown(context))
    }
}
