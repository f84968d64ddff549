//! The methods that the streams of all families have, documented once.

/// Gives a public type, whose field `socket` is a `Socket`, the methods of a stream.
///
/// Those that take a buffer return the future below them as it is: an `async fn` around it would
/// keep room for the buffer twice.
macro_rules! stream_methods {
    ($Stream:ident) => {
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
            /// From 6.0 on one operation serves a whole TCP connection. One serves each message of a Unix
            /// socket, and of any socket from 5.19 on; before that, and on the poll driver, readiness and
            /// a plain receive do.
            pub async fn recv(&self) -> io::Result<ManagedBuf> {
                self.socket.recv().await
            }

            /// Receives what is here already.
            ///
            /// # Errors
            ///
            /// `WouldBlock` when there is nothing, or somebody is waiting for it.
            pub fn try_recv(&self) -> io::Result<ManagedBuf> {
                self.socket.try_recv()
            }

            /// Reads into `buf`, overwriting it from its start, and sets its length. A count of
            /// zero means that the peer has finished sending.
            ///
            /// After several reads in a row that filled their buffers the kernel writes straight
            /// into a large `buf`; otherwise bytes are copied from where they arrived.
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

            /// Reads into the room behind what `buf` holds, and lengthens it. It makes no room: a
            /// vector that is full needs `reserve` first.
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

            /// Reads into `buf` what the next read will read again.
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

            /// Sends the start of `buf`, as much as the kernel takes, and tells how many bytes that
            /// was.
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
            pub fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                self.socket.write(buf)
            }

            /// Sends as much of `bytes` as the kernel takes at once, and tells how many bytes that
            /// was.
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
            /// As [`write`](Self::write). How much was sent before the error is not known.
            ///
            /// # Cancel safety
            ///
            /// As [`write`](Self::write).
            pub fn write_all<B: IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = Result<B, BufError<B>>> {
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
            /// the peer then sees the end of the stream behind their bytes.
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

            /// Two halves, for two tasks. Dropping the writing half ends that direction.
            #[must_use]
            pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
                super::owned_halves::split(self)
            }

            /// What the stream is below its type.
            #[cfg_attr(
                not(any(feature = "http", test)),
                expect(dead_code, reason = "only HTTP uses it")
            )]
            pub(crate) fn into_socket(self) -> Socket {
                self.socket
            }
        }

        impl Stream for $Stream {
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

        impl crate::io::Receive for $Stream {
            type Bytes = ManagedBuf;

            async fn receive(&self) -> io::Result<ManagedBuf> {
                self.recv().await
            }
        }
    };
}

pub(super) use stream_methods;
