//! The two directions of a stream, for two tasks.

use std::{fmt, io, rc::Rc};

use super::TcpStream;
use crate::{
    buf::{BufError, BufResult, IoBuf, IoBufMut, IoVectored},
    pool::ManagedBuf,
};

pub(super) fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Rc::new(stream);
    (
        OwnedReadHalf {
            stream: Rc::clone(&stream),
        },
        OwnedWriteHalf { stream },
    )
}

/// The receiving direction. Made by [`TcpStream::into_split`].
pub struct OwnedReadHalf {
    stream: Rc<TcpStream>,
}

impl OwnedReadHalf {
    /// See [`TcpStream::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        self.stream.recv().await
    }

    /// See [`TcpStream::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        self.stream.read(buf).await
    }

    /// The whole connection, for what both directions share.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// The sending direction. Made by [`TcpStream::into_split`]. Dropping it tells the peer that no
/// more will come, behind the writes that have begun.
pub struct OwnedWriteHalf {
    stream: Rc<TcpStream>,
}

impl OwnedWriteHalf {
    /// See [`TcpStream::write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        self.stream().write(buf).await
    }

    /// See [`TcpStream::write_all`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_all<B: IoBuf>(&self, buf: B) -> Result<B, BufError<B>> {
        self.stream().write_all(buf).await
    }

    /// See [`TcpStream::write_all_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_all_vectored<B: IoVectored>(&self, bufs: B) -> Result<B, BufError<B>> {
        self.stream().write_all_vectored(bufs).await
    }

    /// See [`TcpStream::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flush(&self) -> io::Result<()> {
        self.stream().flush().await
    }

    /// The whole connection, for what both directions share.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        self.stream.end_sends();
    }
}

impl fmt::Debug for OwnedReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedReadHalf")
            .field("stream", &self.stream)
            .finish()
    }
}

impl fmt::Debug for OwnedWriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedWriteHalf")
            .field("stream", &self.stream)
            .finish()
    }
}
