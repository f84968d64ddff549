//! hyper's I/O traits on our streams, and our traits on its.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use crate::{
    buf,
    compat::{
        Compat,
        foreign::{READ_BYTES_MAX, foreign},
    },
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
};

/// Feature: `hyper`.
impl<S: ByteRead> Read for Compat<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = Pin::into_inner(self);
        buf::lend_cursor(buf, |room| this.poll_fill(context, room))
    }
}

/// Feature: `hyper`.
impl<S: ByteWrite> Write for Compat<S> {
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

    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::into_inner(self).poll_settle(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::into_inner(self).poll_end(context)
    }
}

foreign! {
    /// A stream with hyper's I/O traits, as a [`ByteStream`](crate::io::ByteStream) of ours: a
    /// connection that hyper has upgraded, for one.
    ///
    /// It does for them what [`FromTokio`](crate::compat::FromTokio) does for tokio's. Feature:
    /// `hyper`.
    FromHyper, Read, Write, poll_shutdown, Write::is_write_vectored
}

impl<S: Read + Unpin> FromHyper<S> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let mut memory = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
        let mut buf = ReadBuf::uninit(&mut memory);
        ready!(Pin::new(&mut self.0).poll_read(context, buf.unfilled()))?;
        Poll::Ready(Ok(ManagedBuf::own(buf.filled().to_vec())))
    }
}
