//! The methods that the streams of all families have, documented once.

/// Gives a public type, whose field `socket` is a `Socket`, the methods of a stream.
///
/// Those that take a buffer return the future below them as it is: an `async fn` around it would
/// keep room for the buffer twice.
///
/// The compiler shows a caller whose buffer is a borrow the line of the bound, with its comment.
/// `use` keeps it from advising to change the signature here.
macro_rules! stream_methods {
    ($Stream:ident, $family:expr) => {
        impl $Stream {
            /// Receives the next bytes, in memory that the kernel filled. Empty means that the peer
            /// has finished sending.
            ///
            /// No memory is held while nothing arrives. Several callers are served in the order of
            /// asking.
            ///
            /// # Errors
            ///
            /// `ECONNRESET` and others, after all bytes that came before; from then on, empty.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: what arrives after the future is dropped is there at the next call.
            ///
            /// # Kernel
            ///
            /// From 6.0 on one operation serves a whole TCP connection. One serves each message of
            /// a Unix socket, and of any socket from 5.19 on; before that, and on the poll driver,
            /// readiness and a plain receive do.
            pub async fn recv(&self) -> io::Result<ManagedBuf> {
                self.socket.recv().await
            }

            /// Receives bytes that have arrived already, without waiting.
            ///
            /// # Errors
            ///
            /// `WouldBlock` when no bytes are there, or another task waits for them.
            pub fn try_recv(&self) -> io::Result<ManagedBuf> {
                self.socket.try_recv()
            }

            /// Reads into `buf`, overwriting it from its start, and sets its length. A count of
            /// zero means that the peer has finished sending.
            ///
            /// From a peer that sends much at a time the kernel writes straight into a large `buf`;
            /// otherwise bytes are copied from where they arrived.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv), and `InvalidInput` when `buf` has no room; the buffer comes
            /// back with the error.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: bytes that had already arrived are kept for the next call. The
            /// buffer is dropped, as soon as the kernel no longer uses it.
            pub fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                self.socket.read(buf)
            }

            /// Appends to `buf`: reads into the room after its bytes, and lengthens it. It makes no
            /// room: a vector that is full needs `reserve` first.
            ///
            /// # Errors
            ///
            /// As [`read`](Self::read).
            ///
            /// # Cancel safety
            ///
            /// No received byte is lost, but the buffer is dropped, with what it held.
            pub fn read_append<B: IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = BufResult<usize, B>> {
                self.socket.read_append(buf)
            }

            /// Reads into `buf` and leaves the bytes in the stream: the next read reads them again.
            ///
            /// # Errors
            ///
            /// As [`read`](Self::read).
            ///
            /// # Cancel safety
            ///
            /// As [`read`](Self::read).
            pub fn peek<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                self.socket.peek(buf)
            }

            /// Resolves when the peer has finished sending, or the connection is gone, whether or
            /// not all bytes before that were taken.
            ///
            /// # Errors
            ///
            /// Only when the wait itself fails.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            pub async fn closed(&self) -> io::Result<()> {
                self.socket.closed().await
            }

            /// Sends the start of `buf`, as much as the kernel takes, and returns how many bytes
            /// that was.
            ///
            /// # Errors
            ///
            /// `EPIPE` and `ECONNRESET` when the peer is gone, or the error of an earlier write
            /// whose future was dropped. The buffer comes back with the error.
            ///
            /// # Cancel safety
            ///
            /// Dropped before its turn it has sent nothing. Dropped in flight it is sent whole, in
            /// the background and before any later write: never write the same bytes again.
            pub fn write<B>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<'_, B>
            where
                B: IoBuf, // the buffer itself: `write(text)`, not `write(text.as_bytes())`
            {
                self.socket.write(buf)
            }

            /// Sends as much of `bytes` as the kernel takes at once, and returns how many bytes
            /// that was.
            ///
            /// # Errors
            ///
            /// `WouldBlock` when the kernel takes none, or another write is under way. Otherwise as
            /// [`write`](Self::write).
            pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                self.socket.try_write(bytes)
            }

            /// Sends all of `buf`.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write). The number of bytes that were sent before the error is
            /// unknown.
            ///
            /// # Cancel safety
            ///
            /// As [`write`](Self::write).
            pub fn write_all<B>(
                &self,
                buf: B,
            ) -> impl Future<Output = Result<B, BufError<B>>> + use<'_, B>
            where
                B: IoBuf, // the buffer itself: `write_all(text)`, not `write_all(text.as_bytes())`
            {
                self.socket.write_all(buf)
            }

            /// Sends the start of several buffers, as much as the kernel takes, by one call.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Cancel safety
            ///
            /// As [`write`](Self::write).
            pub fn write_vectored<B: IoVectored>(
                &self,
                bufs: B,
            ) -> impl Future<Output = BufResult<usize, B>> {
                self.socket.write_vectored(bufs)
            }

            /// Sends all of several buffers, one after the other.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Cancel safety
            ///
            /// As [`write`](Self::write).
            pub fn write_all_vectored<B: IoVectored>(
                &self,
                bufs: B,
            ) -> impl Future<Output = Result<B, BufError<B>>> {
                self.socket.write_all_vectored(bufs)
            }

            /// Waits until every write that has begun is in the kernel's hands.
            ///
            /// # Errors
            ///
            /// The error of a write whose future was dropped.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            pub async fn flush(&self) -> io::Result<()> {
                self.socket.flush().await
            }

            /// Ends one direction, or both. Ending the sending one waits for the writes before it;
            /// the peer then sees the end of the stream after their bytes.
            ///
            /// # Errors
            ///
            /// The error of a write whose future was dropped; `ENOTCONN` when the connection is
            /// gone.
            ///
            /// # Cancel safety
            ///
            /// Dropped before it resolves, nothing was ended.
            pub async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.socket.shutdown(how).await
            }

            /// Takes the next bytes, in memory that the kernel filled. An empty buffer means that
            /// the peer has finished sending. For adapters and for futures that are written by
            /// hand.
            ///
            /// The stream keeps one waker for this direction, that of the last poll. It stays when
            /// the future that has polled is dropped, and a later poll, or a call of
            /// [`recv`](Self::recv) and its like, takes its place. While another task waits by
            /// `recv` or `read`, a poll waits until that one is served. Writing does not matter to
            /// it. Bytes come once and in their order, however polls and calls alternate.
            ///
            /// No memory is held while nothing arrives. From a peer that sends as fast as it is
            /// taken, one poll brings up to 119 KiB.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv). Outside of its runtime, or after the end of that, the error
            /// says so and the poll never waits.
            ///
            /// # Examples
            ///
            /// ```
            /// use annulus::net::UnixStream;
            /// use std::future::poll_fn;
            ///
            /// annulus::run(async {
            ///     let (near, far) = UnixStream::pair()?;
            ///     let sent = poll_fn(|context| near.poll_write(context, b"hello")).await?;
            ///     let received = poll_fn(|context| far.poll_recv(context)).await?;
            ///     assert_eq!(&*received, &b"hello"[..sent]);
            ///     std::io::Result::Ok(())
            /// })
            /// # .unwrap();
            /// ```
            pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
                self.socket.poll_recv_in_turn(context)
            }

            /// As [`poll_recv`](Self::poll_recv), into `room` where that saves a copy. The result
            /// is `None` then, and `room` has at least one byte more.
            ///
            /// It does so for a peer that sends as fast as it is taken, when `room` has 16 KiB or
            /// more. Bytes that are received already still come in the memory that has them. `room`
            /// is written to during the poll alone, and never after it has returned.
            ///
            /// # Errors
            ///
            /// As [`poll_recv`](Self::poll_recv).
            ///
            /// # Examples
            ///
            /// A read into memory of the caller's, which a type with such a method is made of:
            ///
            /// ```
            /// use annulus::{ManagedBuf, buf::Room, net::UnixStream};
            /// use std::{future::poll_fn, io, task::{Context, Poll, ready}};
            ///
            /// /// Reads into `memory`. `unread` has the bytes that had no room the last time.
            /// fn poll_read(
            ///     stream: &UnixStream,
            ///     unread: &mut Option<ManagedBuf>,
            ///     context: &mut Context<'_>,
            ///     memory: &mut [u8],
            /// ) -> Poll<io::Result<usize>> {
            ///     let (result, filled) = Room::lend(memory, |room| {
            ///         if unread.is_none() {
            ///             *unread = ready!(stream.poll_recv_into(context, room))?;
            ///         }
            ///         if let Some(bytes) = unread {
            ///             let count = room.put(bytes);
            ///             bytes.advance(count);
            ///         }
            ///         *unread = unread.take().filter(|bytes| !bytes.is_empty());
            ///         Poll::Ready(io::Result::Ok(()))
            ///     });
            ///     result.map_ok(|()| filled)
            /// }
            ///
            /// annulus::run(async {
            ///     let (near, far) = UnixStream::pair()?;
            ///     near.write_all("hello").await?;
            ///     let (mut unread, mut memory) = (None, [0; 3]);
            ///     let read = poll_fn(|cx| poll_read(&far, &mut unread, cx, &mut memory));
            ///     assert_eq!(read.await?, 3);
            ///     assert_eq!((&memory, unread.as_deref()), (b"hel", Some(&b"lo"[..])));
            ///     io::Result::Ok(())
            /// })
            /// # .unwrap();
            /// ```
            pub fn poll_recv_into(
                &self,
                context: &mut Context<'_>,
                room: &mut Room<'_>,
            ) -> Poll<io::Result<Option<ManagedBuf>>> {
                self.socket.poll_recv_into_in_turn(context, room)
            }

            /// Takes the first bytes of `bytes`, and returns how many; at least one, unless there
            /// are none. For adapters and for futures that are written by hand.
            ///
            /// The kernel takes what it has room for, and nothing is copied or allocated for that.
            /// When it has no room, the stream takes up to 64 KiB in a copy and sends them in the
            /// background, before any later write. Bytes that were taken are never lost, also when
            /// the stream is dropped, after which the send goes on for at most five seconds.
            ///
            /// While a write is under way it waits. The stream keeps one waker for this direction,
            /// that of the last poll of this method, [`poll_flush`](Self::poll_flush) or
            /// [`poll_shutdown`](Self::poll_shutdown). It stays when the future that has polled is
            /// dropped. Reading does not matter to it.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write). The next poll or write returns the error of bytes that
            /// were sent in the background, once. Nothing of `bytes` was taken then. Outside of its
            /// runtime, or after the end of that, the error says so and the poll never waits.
            pub fn poll_write(
                &self,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_write(context, bytes)
            }

            /// Takes the first bytes of `slices`, one slice after the other, and returns how many.
            /// Otherwise it is [`poll_write`](Self::poll_write).
            ///
            /// One call of the kernel's takes them from where they are, out of at most 1,024
            /// slices. Up to 2 KiB are copied together on the stack, which costs less.
            ///
            /// # Errors
            ///
            /// As [`poll_write`](Self::poll_write).
            pub fn poll_write_vectored(
                &self,
                context: &mut Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.socket.poll_write_vectored(context, slices)
            }

            /// Waits until every write that has begun is in the kernel's hands, with the waker of
            /// [`poll_write`](Self::poll_write).
            ///
            /// # Errors
            ///
            /// As [`flush`](Self::flush).
            pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.socket.poll_flush(context)
            }

            /// Ends the sending direction after the writes that have begun, with the waker of
            /// [`poll_write`](Self::poll_write). Receiving goes on.
            ///
            /// # Errors
            ///
            /// As [`shutdown`](Self::shutdown).
            pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.socket.poll_shutdown(context)
            }

            /// Splits the stream into two halves, for two tasks. Dropping the writing half ends
            /// that direction.
            #[must_use]
            pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
                super::owned_halves::split(self)
            }

            /// Takes the connection out of this runtime, with the bytes that were received and not
            /// taken: for another worker, or for std. [`Detached`] has an example.
            ///
            /// It waits for writes under way, however slow the peer takes them, and for the kernel
            /// to end its receive. If the peer has finished sending, the stream that it becomes
            /// reads its bytes and then the end.
            ///
            /// # Errors
            ///
            /// The error of a write whose future was dropped, or of the receive when no bytes came
            /// before it. The connection is closed then. An error that came after bytes goes along
            /// with them.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future closes the connection.
            pub async fn detach(self) -> io::Result<Detached<Self>> {
                Detached::of(self.socket).await
            }

            /// Returns the socket below the public type.
            pub(crate) fn into_socket(self) -> Socket {
                self.socket
            }
        }

        impl Stream for $Stream {
            const FAMILY: Family = $family;

            fn from_socket(socket: Socket) -> Self {
                Self { socket }
            }

            fn socket(&self) -> &Socket {
                &self.socket
            }
        }

        impl std::fmt::Debug for $Stream {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($Stream))
                    .field("fd", &self.socket.raw())
                    .finish_non_exhaustive()
            }
        }

        crate::io::reads_by_method!($Stream);
        crate::io::writes_by_method!($Stream);
    };
}

pub(super) use stream_methods;
