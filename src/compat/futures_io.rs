//! The I/O traits of the crate `futures-io` on our streams, and our traits on its.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::{
    Compat,
    foreign::{READ_BYTES_MAX, foreign},
};
use crate::{
    buf::Room,
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
};

/// Feature: `futures-io`.
impl<S: ByteRead> AsyncRead for Compat<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = Pin::into_inner(self);
        let (result, count) = Room::lend(buf, |room| this.poll_fill(context, room));
        result.map_ok(|()| count)
    }
}

/// Feature: `futures-io`.
impl<S: ByteRead> AsyncBufRead for Compat<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::into_inner(self).poll_peek(context)
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        Pin::into_inner(self).take(count);
    }
}

/// Feature: `futures-io`.
impl<S: ByteWrite> AsyncWrite for Compat<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::into_inner(self).poll_put(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::into_inner(self).poll_put_vectored(context, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::into_inner(self).poll_settle(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::into_inner(self).poll_end(context)
    }
}

foreign! {
    /// A stream with the I/O traits of the crate `futures-io`, as a
    /// [`ByteStream`](crate::io::ByteStream) of ours.
    ///
    /// It does for them what [`FromTokio`](crate::compat::FromTokio) does for tokio's. Its stack
    /// memory is cleared at each read, since the trait asks for that. Feature: `futures-io`.
    ///
    /// The trait does not tell whether a stream takes several slices at once, so
    /// [`is_write_vectored`](crate::io::ByteWrite::is_write_vectored) says no.
    FromFutures, AsyncRead, AsyncWrite, poll_close, |_| false
}

impl<S: AsyncRead + Unpin> FromFutures<S> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let mut memory = [0; READ_BYTES_MAX];
        let count = ready!(Pin::new(&mut self.0).poll_read(context, &mut memory))?;
        Poll::Ready(Ok(ManagedBuf::own(memory[..count].to_vec())))
    }
}
