//! The way back: streams of other libraries as ours.

use std::io;

/// How much one read takes. It lies on the stack while the stream is polled.
pub(super) const READ_BYTES_MAX: usize = 16 * 1024;

/// How many bytes a stream of another library has taken. It must not take none of some.
pub(super) fn taken(count: usize, had_some: bool) -> io::Result<usize> {
    if count == 0 && had_some {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(count)
}

/// Makes the wrapper of a stream with traits of another library. The wrapper has our traits; its
/// own method `poll_piece` reads, and `is_write_vectored` is that of the other library.
macro_rules! foreign {
    (
        $(#[$doc:meta])*
        $Name:ident, $Read:ident, $Write:ident, $poll_shutdown:ident, $is_write_vectored:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $Name<S>(S);

        impl<S> $Name<S> {
            /// Wraps a stream.
            #[must_use]
            pub fn new(stream: S) -> Self {
                Self(stream)
            }

            /// Returns the stream.
            #[must_use]
            pub fn get_ref(&self) -> &S {
                &self.0
            }

            /// Returns the stream.
            #[must_use]
            pub fn get_mut(&mut self) -> &mut S {
                &mut self.0
            }

            /// Returns the stream. No byte was read that was not given out.
            #[must_use]
            pub fn into_inner(self) -> S {
                self.0
            }
        }

        impl<S: $Read + Unpin> crate::io::ByteRead for $Name<S> {
            fn poll_recv(
                &mut self,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<crate::pool::ManagedBuf>> {
                self.poll_piece(context)
            }
        }

        impl<S: $Write + Unpin> crate::io::ByteWrite for $Name<S> {
            fn poll_write(
                &mut self,
                context: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let stream = std::pin::Pin::new(&mut self.0);
                let count = std::task::ready!(stream.poll_write(context, bytes))?;
                let taken = crate::compat::foreign::taken(count, !bytes.is_empty());
                std::task::Poll::Ready(taken)
            }

            fn poll_write_vectored(
                &mut self,
                context: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let stream = std::pin::Pin::new(&mut self.0);
                let count = std::task::ready!(stream.poll_write_vectored(context, slices))?;
                let had_some = slices.iter().any(|slice| !slice.is_empty());
                std::task::Poll::Ready(crate::compat::foreign::taken(count, had_some))
            }

            fn is_write_vectored(&self) -> bool {
                ($is_write_vectored)(&self.0)
            }

            fn poll_flush(
                &mut self,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).poll_flush(context)
            }

            fn poll_shutdown(
                &mut self,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).$poll_shutdown(context)
            }
        }
    };
}

pub(super) use foreign;
