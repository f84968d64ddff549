//! The two directions of a stream, for two tasks.

use std::{fmt, io, rc::Rc};

use super::{TcpStream, socket::Stream};
use crate::{
    buf::{BufError, BufResult, IoBuf, IoBufMut, IoVectored},
    pool::ManagedBuf,
};

pub(super) fn split<S: Stream>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Rc::new(stream);
    (
        OwnedReadHalf {
            stream: Rc::clone(&stream),
        },
        OwnedWriteHalf { stream },
    )
}

/// The receiving direction. Made by [`TcpStream::into_split`] and
/// [`UnixStream::into_split`](super::UnixStream::into_split).
pub struct OwnedReadHalf<S: Stream = TcpStream> {
    stream: Rc<S>,
}

impl<S: Stream> OwnedReadHalf<S> {
    /// See [`TcpStream::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        self.stream.socket().recv().await
    }

    /// See [`TcpStream::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        self.stream.socket().read(buf).await
    }

    /// The whole connection, for what both directions share.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

/// The sending direction. Made by [`TcpStream::into_split`] and
/// [`UnixStream::into_split`](super::UnixStream::into_split). Dropping it tells the peer that no
/// more will come, behind the writes that have begun.
pub struct OwnedWriteHalf<S: Stream = TcpStream> {
    stream: Rc<S>,
}

impl<S: Stream> OwnedWriteHalf<S> {
    /// See [`TcpStream::write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.stream.socket().write(buf).await
    }

    /// See [`TcpStream::write_all`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_all<B: IoBuf>(&self, buf: B) -> Result<B, BufError<B>> {
        self.stream.socket().write_all(buf).await
    }

    /// See [`TcpStream::write_all_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_all_vectored<B: IoVectored>(&self, bufs: B) -> Result<B, BufError<B>> {
        self.stream.socket().write_all_vectored(bufs).await
    }

    /// See [`TcpStream::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flush(&self) -> io::Result<()> {
        self.stream.socket().flush().await
    }

    /// The whole connection, for what both directions share.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: Stream> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        self.stream.socket().end_sends();
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for OwnedReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf")
            .field("stream", &self.stream)
            .finish()
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for OwnedWriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("stream", &self.stream)
            .finish()
    }
}
