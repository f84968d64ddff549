//! The two directions of a stream, for two tasks.

use std::{
    fmt, io,
    net::Shutdown,
    rc::Rc,
    task::{Context, Poll},
};

use super::{TcpStream, socket::Stream};
use crate::{
    buf::{BufError, BufResult, IoBuf, IoBufMut, IoVectored, Room},
    io::{reads_by_method, writes_by_method},
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

/// The receiving direction of a stream. Made by [`TcpStream::into_split`] and
/// [`UnixStream::into_split`](super::UnixStream::into_split).
///
/// # Examples
///
/// ```
/// use annulus::{io::Reader, net::UnixStream, spawn};
///
/// annulus::run(async {
///     let (stream, peer) = UnixStream::pair()?;
///     let (reads, writes) = stream.into_split();
///     let reading = spawn(async move { Reader::new(reads).read_line(80).await });
///     writes.write_all("a question\n").await?;
///     drop(writes); // the peer sees the end
///
///     let mut peer = Reader::new(peer);
///     assert_eq!(peer.read_line(80).await?.as_deref(), Some("a question"));
///     assert_eq!(peer.read_line(80).await?, None);
///     peer.get_ref().write_all("an answer\n").await?;
///     assert_eq!(reading.await??.as_deref(), Some("an answer"));
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub struct OwnedReadHalf<S: Stream = TcpStream> {
    stream: Rc<S>,
}

impl<S: Stream> OwnedReadHalf<S> {
    /// Receives the next bytes; see [`TcpStream::recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        self.stream.socket().recv().await
    }

    /// Reads into `buf`; see [`TcpStream::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        self.stream.socket().read(buf).await
    }

    /// Polls for the next bytes; see [`TcpStream::poll_recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.stream.socket().poll_recv_in_turn(context)
    }

    /// Polls for the next bytes; see [`TcpStream::poll_recv_into`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_recv_into(
        &self,
        context: &mut Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        self.stream.socket().poll_recv_into_in_turn(context, room)
    }

    /// Returns the whole connection, for what both directions share.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

reads_by_method!(OwnedReadHalf<S>, S: Stream);

/// The sending direction of a stream. Made by [`TcpStream::into_split`] and
/// [`UnixStream::into_split`](super::UnixStream::into_split). Dropping it tells the peer that no
/// more will come, after the writes that have begun.
///
/// # Examples
///
/// One task writes the messages of all others:
///
/// ```
/// use annulus::{net::UnixStream, spawn, sync::mpsc};
///
/// annulus::run(async {
///     let (stream, peer) = UnixStream::pair()?;
///     let (_reads, writes) = stream.into_split();
///     let (messages, mut outgoing) = mpsc::channel::<String>(16);
///     let writing = spawn(async move {
///         while let Some(message) = outgoing.recv().await {
///             writes.write_all(message).await?;
///         }
///         std::io::Result::Ok(())
///     });
///     messages.send("hello".to_owned()).await.expect("the task takes it");
///     drop(messages);
///     writing.await??;
///     assert_eq!(&*peer.recv().await?, b"hello");
///     assert!(peer.recv().await?.is_empty());
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub struct OwnedWriteHalf<S: Stream = TcpStream> {
    stream: Rc<S>,
}

impl<S: Stream> OwnedWriteHalf<S> {
    /// Sends the start of `buf`; see [`TcpStream::write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write<B>(&self, buf: B) -> BufResult<usize, B>
    where
        B: IoBuf, // the buffer itself: `write(text)`, not `write(text.as_bytes())`
    {
        self.stream.socket().write(buf).await
    }

    /// Sends all of `buf`; see [`TcpStream::write_all`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_all<B>(&self, buf: B) -> Result<B, BufError<B>>
    where
        B: IoBuf, // the buffer itself: `write_all(text)`, not `write_all(text.as_bytes())`
    {
        self.stream.socket().write_all(buf).await
    }

    /// Sends all of several buffers; see [`TcpStream::write_all_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_all_vectored<B: IoVectored>(&self, bufs: B) -> Result<B, BufError<B>> {
        self.stream.socket().write_all_vectored(bufs).await
    }

    /// Waits until every write that has begun is in the kernel's hands; see [`TcpStream::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flush(&self) -> io::Result<()> {
        self.stream.socket().flush().await
    }

    /// Ends the sending direction after the writes that have begun. See [`TcpStream::shutdown`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.stream.socket().shutdown(Shutdown::Write).await
    }

    /// Sends the first bytes of `bytes`; see [`TcpStream::poll_write`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.socket().poll_write(context, bytes)
    }

    /// Polls for the end of the writes that have begun; see [`TcpStream::poll_flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.socket().poll_flush(context)
    }

    /// Takes the first bytes of `slices`; see [`TcpStream::poll_write_vectored`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.socket().poll_write_vectored(context, slices)
    }

    /// Ends the sending direction; see [`TcpStream::poll_shutdown`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.socket().poll_shutdown(context)
    }

    /// Returns the whole connection, for what both directions share.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

writes_by_method!(OwnedWriteHalf<S>, S: Stream);

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
