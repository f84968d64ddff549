//! tokio's I/O traits on our streams, and our traits on tokio's.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Compat,
    foreign::{READ_BYTES_MAX, foreign},
};
use crate::{
    buf,
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
};

/// Feature: `tokio-io`.
impl<S: ByteRead> AsyncRead for Compat<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = Pin::into_inner(self);
        buf::lend_read_buf(buf, |room| this.poll_fill(context, room))
    }
}

/// Feature: `tokio-io`.
impl<S: ByteRead> AsyncBufRead for Compat<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::into_inner(self).poll_peek(context)
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        Pin::into_inner(self).take(count);
    }
}

/// Feature: `tokio-io`.
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
    /// A stream with tokio's I/O traits, as a [`ByteStream`](crate::io::ByteStream) of ours.
    ///
    /// So [`Reader`](crate::io::Reader), TLS and the HTTP client run over streams of other
    /// libraries. Feature: `tokio-io`.
    ///
    /// A read goes by way of the stack to memory of its own, which is allocated when bytes have
    /// come: an idle stream holds none. Sockets of tokio need its runtime as ever. The promises of
    /// [`ByteRead`] hold as far as the stream keeps those of its own traits.
    ///
    /// # Examples
    ///
    /// Lines from a pipe of tokio's:
    ///
    /// ```
    /// use annulus::{compat::FromTokio, io::{ByteWrite, Reader}};
    ///
    /// annulus::run(async {
    ///     let (near, far) = tokio_pipe();
    ///     let mut near = FromTokio::new(near);
    ///     near.write_all(b"hello\n").await?;
    ///     let mut far = Reader::new(FromTokio::new(far));
    ///     assert_eq!(far.read_line(64).await?.as_deref(), Some("hello"));
    ///     std::io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// # // tokio's own needs a feature of tokio that this crate does not ask for.
    /// # use annulus::{compat::Compat, io::{Duplex, duplex}};
    /// # fn tokio_pipe() -> (Compat<Duplex>, Compat<Duplex>) {
    /// #     let (near, far) = duplex(64);
    /// #     (Compat::new(near), Compat::new(far))
    /// # }
    /// ```
    FromTokio, AsyncRead, AsyncWrite, poll_shutdown, AsyncWrite::is_write_vectored
}

impl<S: AsyncRead + Unpin> FromTokio<S> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let mut memory = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
        let mut buf = ReadBuf::uninit(&mut memory);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buf))?;
        Poll::Ready(Ok(ManagedBuf::own(buf.filled().to_vec())))
    }
}
