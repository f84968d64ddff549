//! [`Compat`]: a stream of ours for libraries that poll into buffers of their own.
//!
//! By the time a poll is woken, the kernel has put the bytes into a buffer of the pool. So a read
//! takes what is there and copies it once, and nothing has to be kept for it while the stream is
//! idle. A flood is received straight into the caller's memory, during the poll. A write goes from
//! the caller's memory to the kernel; it is copied only when the kernel takes nothing at once,
//! which the stream's own poll does.

use std::{
    fmt,
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};

use crate::{
    buf::Room,
    io::{ByteRead, ByteWrite},
    pool::ManagedBuf,
    task::ThreadBound,
};

/// A stream of this crate with the I/O traits that other libraries ask for.
///
/// It takes every [`ByteRead`], [`ByteWrite`] and [`ByteStream`](crate::io::ByteStream): sockets,
/// their halves, TLS streams, connections that have left HTTP, [`Duplex`](crate::io::Duplex), and
/// `Box<dyn ByteStream>` of any of them. Which traits it has depends on the crate's features:
///
/// | Feature | Traits |
/// |---|---|
/// | `tokio-io` | `tokio::io::{AsyncRead, AsyncBufRead, AsyncWrite}` |
/// | `futures-io` | `futures_io::{AsyncRead, AsyncBufRead, AsyncWrite}` |
/// | `hyper` | `hyper::rt::{Read, Write}` |
///
/// Polls read and write on the ring as the stream's own methods do. No task and no runtime of
/// another kind takes part.
///
/// # Memory
///
/// An idle stream holds no buffer. A read takes the bytes that have come, in the kernel's pieces,
/// and keeps the part that the caller has no room for. From a peer that sends as fast as it is
/// taken, a socket receives straight into the caller's memory when that has room for 16 KiB. A
/// smaller read of such a flood, and `AsyncBufRead`, get it in pieces of some 120 KB, in memory of
/// their own; no other read allocates. A write that the kernel takes at once is neither copied nor
/// allocated for. One of which it takes nothing is copied, up to 64 KiB, and goes on in the
/// background. A flush waits for that. A vectored write to a socket is one such call for all
/// slices, so that a library sends a head and a body at once without memory to put them together.
///
/// # `Send`
///
/// It is `Send` and `Sync` so that libraries take it that ask for that although nothing moves. It
/// stays on the thread that made it: a use on another thread panics, and a drop there sends the
/// stream home ([`ThreadBound`]). So a library must not hand it to a thread of its own; the
/// [module's page](super#libraries-that-spawn) has the ways around.
///
/// # Errors
///
/// Those of the stream. A shutdown of a connection that is gone already is none.
///
/// # Cancel safety
///
/// A poll may be made and forgotten: its waker stays until the next poll of its direction, and no
/// byte is lost. A library's own futures may lose some, as tokio's `read_exact` does when it is
/// dropped.
///
/// # Examples
///
/// A function that is written for tokio's traits, over a socket of ours:
///
/// ```
/// # #[cfg(feature = "tokio-io")] {
/// use std::{future::poll_fn, io, pin::Pin};
/// use annulus::{compat::Compat, net::UnixStream};
/// use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
///
/// async fn first_byte(mut stream: impl AsyncRead + AsyncWrite + Send + Unpin) -> io::Result<u8> {
///     let mut byte = [0];
///     let mut buf = ReadBuf::new(&mut byte);
///     poll_fn(|context| Pin::new(&mut stream).poll_read(context, &mut buf)).await?;
///     Ok(buf.filled()[0])
/// }
///
/// annulus::run(async {
///     let (near, far) = UnixStream::pair()?;
///     near.write_all("hello").await?;
///     assert_eq!(first_byte(Compat::new(far)).await?, b'h');
///     io::Result::Ok(())
/// })
/// # .unwrap();
/// # }
/// ```
pub struct Compat<S: 'static>(ThreadBound<Polled<S>>);

struct Polled<S> {
    stream: S,
    /// Bytes that were received and not taken. There is at least one.
    unread: Option<ManagedBuf>,
}

impl<S: 'static> Compat<S> {
    /// Wraps a stream, which stays on this thread.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self(ThreadBound::new(Polled {
            stream,
            unread: None,
        }))
    }

    /// Returns the stream.
    ///
    /// # Panics
    ///
    /// On another thread than the one that made this, as the other methods do.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.0.get().stream
    }

    /// Returns the stream. Bytes that are received from it meanwhile do not come to the reader of
    /// this, and those that wait in [`unread`](Self::unread) stand before them.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.0.get_mut().stream
    }

    /// Returns the bytes that were received and not taken yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.0.get().unread.as_deref().unwrap_or_default()
    }

    /// Returns the stream, and the bytes that were received and not taken. Mostly there are none.
    ///
    /// Together they make a [`Reader`](crate::io::Reader::from_parts).
    #[must_use]
    pub fn into_parts(self) -> (S, Vec<u8>) {
        let Polled { stream, unread } = self.0.into_inner();
        (stream, unread.map(ManagedBuf::into_vec).unwrap_or_default())
    }
}

impl<S: ByteRead + 'static> Compat<S> {
    /// The bytes that are there, without taking them. None at the end.
    pub(super) fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let polled = self.0.get_mut();
        if polled.unread.is_none() {
            let received = ready!(polled.stream.poll_recv(context))?;
            polled.unread = (!received.is_empty()).then_some(received);
        }
        Poll::Ready(Ok(polled.unread.as_deref().unwrap_or_default()))
    }

    /// Takes the first bytes of those that are there.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    pub(super) fn take(&mut self, count: usize) {
        let unread = &mut self.0.get_mut().unread;
        if let Some(bytes) = unread.as_mut().filter(|bytes| count != bytes.len()) {
            bytes.advance(count);
        } else {
            assert!(
                count == 0 || unread.is_some(),
                "expected bytes to take, found none"
            );
            *unread = None;
        }
    }

    /// Puts the next bytes into `room`. None at the end, or when it has no room.
    pub(super) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<()>> {
        if room.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let polled = self.0.get_mut();
        if polled.unread.is_none() {
            let received = ready!(polled.stream.poll_recv_into(context, room))?;
            polled.unread = received.filter(|bytes| !bytes.is_empty());
        }
        if let Some(bytes) = &polled.unread {
            let count = room.put(bytes);
            self.take(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteWrite + 'static> Compat<S> {
    pub(super) fn poll_put(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write(context, bytes)
    }

    pub(super) fn poll_put_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_vectored(context, slices)
    }

    pub(super) fn poll_settle(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flush(context)
    }

    /// Ends the writing direction. One that the peer has ended by closing needs no end.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.get_mut().poll_shutdown(context)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl<S: 'static> From<S> for Compat<S> {
    fn from(stream: S) -> Self {
        Self::new(stream)
    }
}

impl<S: fmt::Debug + 'static> fmt::Debug for Compat<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Compat");
        match self.0.try_get() {
            Some(polled) => debug.field("stream", &polled.stream).field(
                "unread",
                &polled.unread.as_ref().map_or(0, |bytes| bytes.len()),
            ),
            None => debug.field("stream", &format_args!("<on another thread>")),
        };
        debug.finish()
    }
}
