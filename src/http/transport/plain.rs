//! A socket some of whose bytes were received before HTTP began.

use std::{
    io::{self, IoSlice},
    mem,
    task::{Context, Poll},
};

use crate::{
    io::{ByteRead, ByteWrite},
    net::Socket,
    pool::ManagedBuf,
};

/// A socket, and its bytes that were received before.
pub(super) struct Plain {
    pub(super) unread: ManagedBuf,
    pub(super) socket: Socket,
}

impl ByteRead for Plain {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        if self.unread.is_empty() {
            self.socket.poll_recv(context)
        } else {
            Poll::Ready(Ok(mem::replace(&mut self.unread, ManagedBuf::empty())))
        }
    }
}

impl ByteWrite for Plain {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(context)
    }
}
