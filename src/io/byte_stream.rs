//! The traits of streams of bytes.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    rc::Rc,
    task::{Context, Poll},
};

use crate::{budget, buf::Room, pool::ManagedBuf};

/// A source of bytes: the reading direction of a stream.
///
/// A [`Reader`](super::Reader) joins its pieces to lines and messages.
///
/// # Polling
///
/// [`poll_recv`](Self::poll_recv) is for adapters and for futures that are written by hand. Every
/// implementation of this crate keeps these promises, and one of yours has to:
///
/// - The source keeps one waker, that of the last poll. A poll by another task takes its place.
/// - A poll that has returned `Pending` leaves its waker there until the next one, whether or not
///   the future that has polled still exists. So a poll may be made and forgotten.
/// - Reading and writing are independent: neither changes the waker of the other.
/// - No byte is lost or comes twice when polls and the methods of the type are used in turn.
///
/// # Examples
///
/// A function for everything that can be read from:
///
/// ```
/// use std::io;
/// use annulus::{io::{ByteRead, duplex}, net::UnixStream};
///
/// async fn count(source: &mut impl ByteRead) -> io::Result<usize> {
///     let mut total = 0;
///     loop {
///         let piece = source.recv().await?;
///         if piece.is_empty() {
///             return Ok(total);
///         }
///         total += piece.len();
///     }
/// }
///
/// annulus::run(async {
///     let (near, mut far) = UnixStream::pair()?;
///     near.write_all("hello").await?;
///     drop(near);
///     assert_eq!(count(&mut far).await?, 5);
///
///     let (near, mut far) = duplex(64);
///     near.write_all(b"in memory").await?;
///     drop(near);
///     assert_eq!(count(&mut far).await?, 9);
///     io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a stream that annulus can read from",
    note = "these are: `TcpStream`, `UnixStream`, their reading halves, `TlsStream`, `Duplex`, and \
            references to them",
    note = "a stream of std becomes one by `TcpStream::from_std`; one of tokio by its `into_std`, \
            and that",
    note = "a `fs::File` is read by `File::reader`"
)]
pub trait ByteRead {
    /// Takes the next bytes. An empty buffer is the end of the stream.
    ///
    /// # Errors
    ///
    /// The errors of the source, after all bytes that came before them.
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>>;

    /// Takes the next bytes into `room` where that saves a copy: the result is `None` then, and
    /// `room` has at least one byte more. Otherwise it is as [`poll_recv`](Self::poll_recv), which
    /// is the default.
    ///
    /// Sockets do so while their peer sends as fast as it is taken; see
    /// [`TcpStream::poll_recv_into`](crate::net::TcpStream::poll_recv_into). An implementation
    /// puts bytes there during the poll alone, and does not return `None` without any.
    ///
    /// # Errors
    ///
    /// As [`poll_recv`](Self::poll_recv). Nothing was put into `room` then.
    fn poll_recv_into(
        &mut self,
        context: &mut Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        let _ = room;
        self.poll_recv(context).map_ok(Some)
    }

    /// Waits for the next bytes. An empty buffer is the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`poll_recv`](Self::poll_recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    fn recv(&mut self) -> impl Future<Output = io::Result<ManagedBuf>>
    where
        Self: Sized,
    {
        async {
            budget::turn().await;
            poll_fn(|context| self.poll_recv(context)).await
        }
    }
}

/// A destination of bytes: the writing direction of a stream.
///
/// # Polling
///
/// The methods that poll keep the promises of [`ByteRead`], for the one waker of this direction.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a stream that annulus can write to",
    note = "these are: `TcpStream`, `UnixStream`, their writing halves, `TlsStream`, `Duplex`, and \
            references to them",
    note = "a stream of std becomes one by `TcpStream::from_std`; one of tokio by its `into_std`, \
            and that",
    note = "a `fs::File` is written by `File::writer`"
)]
pub trait ByteWrite {
    /// Takes the first bytes of `bytes`, and returns how many. It takes at least one, unless there
    /// are none.
    ///
    /// Bytes that were taken are sent, though perhaps later. Their error is returned by the next
    /// poll of this direction then.
    ///
    /// # Errors
    ///
    /// The errors of the destination. None of `bytes` was taken then.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Takes the first bytes of `slices`, one slice after the other, and returns how many. It takes
    /// at least one, unless there are none.
    ///
    /// A destination without a method of its own takes bytes of one slice, the first that has some.
    /// Sockets take all that the kernel has room for, by one call, and TLS puts short slices into
    /// one record.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{future::poll_fn, io::{self, IoSlice}};
    /// use annulus::{io::{ByteRead, ByteWrite}, net::UnixStream};
    ///
    /// annulus::run(async {
    ///     let (mut near, mut far) = UnixStream::pair()?;
    ///     let parts = [IoSlice::new(b"head "), IoSlice::new(b"and body")];
    ///     let sent = poll_fn(|context| {
    ///         ByteWrite::poll_write_vectored(&mut near, context, &parts)
    ///     });
    ///     assert_eq!(sent.await?, 13);
    ///     assert_eq!(&*far.recv().await?, b"head and body");
    ///     io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(context, first.map_or(&[], |slice| &**slice))
    }

    /// Whether [`poll_write_vectored`](Self::poll_write_vectored) takes bytes of several slices. A
    /// protocol copies its parts together for a destination that does not.
    fn is_write_vectored(&self) -> bool {
        false
    }

    /// Waits until the bytes that were taken are on their way.
    ///
    /// # Errors
    ///
    /// The error of bytes that were taken before.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the writing direction, after everything that was taken. Reading goes on.
    ///
    /// # Errors
    ///
    /// As [`poll_flush`](Self::poll_flush), and the error of the end itself.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes all of `bytes`, and waits until they are on their way.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write), and `WriteZero` from a destination that takes nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has sent a beginning of `bytes` of unknown length.
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        async move {
            let mut rest = bytes;
            while !rest.is_empty() {
                budget::turn().await;
                let count = poll_fn(|context| self.poll_write(context, rest)).await?;
                if count == 0 || count > rest.len() {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                rest = &rest[count..];
            }
            poll_fn(|context| self.poll_flush(context)).await
        }
    }

    /// Waits until the bytes that were taken are on their way.
    ///
    /// # Errors
    ///
    /// As [`poll_flush`](Self::poll_flush).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        poll_fn(|context| self.poll_flush(context))
    }

    /// Ends the writing direction, after everything that was taken. Reading goes on.
    ///
    /// # Errors
    ///
    /// As [`poll_shutdown`](Self::poll_shutdown).
    ///
    /// # Cancel safety
    ///
    /// The next call goes on.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>>
    where
        Self: Sized,
    {
        poll_fn(|context| self.poll_shutdown(context))
    }
}

/// A connection of any kind, which reads and writes bytes.
///
/// Each type that is [`ByteRead`] and [`ByteWrite`] is one: sockets, TLS streams, connections that
/// have left HTTP, and [`Duplex`](super::Duplex) in memory. The two directions are traits of their
/// own because the halves of a stream have one each.
///
/// # Examples
///
/// A protocol is one generic function. It is tested in memory and runs over a socket:
///
/// ```
/// use std::io;
/// use annulus::{io::{ByteStream, Reader, duplex}, net::TcpStream, spawn};
///
/// /// Answers each line by its length, until the peer has finished.
/// async fn serve(stream: impl ByteStream) -> io::Result<()> {
///     let mut reader = Reader::new(stream);
///     while let Some(line) = reader.read_line(1024).await? {
///         let answer = format!("{}\n", line.len());
///         reader.get_mut().write_all(answer.as_bytes()).await?;
///     }
///     Ok(())
/// }
///
/// /// The same over TCP.
/// async fn serve_tcp(stream: TcpStream) -> io::Result<()> {
///     serve(stream).await
/// }
///
/// annulus::run(async {
///     let (near, far) = duplex(64);
///     spawn(serve(far));
///     near.write_all(b"hello\r\nyou\n").await?;
///     let mut answers = Reader::new(near);
///     assert_eq!(answers.read_line(16).await?.as_deref(), Some("5"));
///     assert_eq!(answers.read_line(16).await?.as_deref(), Some("3"));
///     io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub trait ByteStream: ByteRead + ByteWrite {}

// Each of the two says what is a stream.
impl<S: ByteRead + ByteWrite + ?Sized> ByteStream for S {}

/// Implements the traits for types that give access to a stream.
macro_rules! forward {
    ($S:ident, $Type:ty) => {
        impl<$S: ByteRead + ?Sized> ByteRead for $Type {
            fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
                (**self).poll_recv(context)
            }

            fn poll_recv_into(
                &mut self,
                context: &mut Context<'_>,
                room: &mut Room<'_>,
            ) -> Poll<io::Result<Option<ManagedBuf>>> {
                (**self).poll_recv_into(context, room)
            }
        }

        impl<$S: ByteWrite + ?Sized> ByteWrite for $Type {
            fn poll_write(
                &mut self,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                (**self).poll_write(context, bytes)
            }

            fn poll_write_vectored(
                &mut self,
                context: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                (**self).poll_write_vectored(context, slices)
            }

            fn is_write_vectored(&self) -> bool {
                (**self).is_write_vectored()
            }

            fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_flush(context)
            }

            fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_shutdown(context)
            }
        }
    };
}

forward!(S, &mut S);
forward!(S, Box<S>);

/// A shared stream reads as a reference to it does.
impl<S> ByteRead for Rc<S>
where
    for<'a> &'a S: ByteRead,
{
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        (&mut &**self).poll_recv(context)
    }

    fn poll_recv_into(
        &mut self,
        context: &mut Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        (&mut &**self).poll_recv_into(context, room)
    }
}

/// A shared stream writes as a reference to it does.
impl<S> ByteWrite for Rc<S>
where
    for<'a> &'a S: ByteWrite,
{
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        (&mut &**self).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        (&mut &**self).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        (&&**self).is_write_vectored()
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        (&mut &**self).poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        (&mut &**self).poll_shutdown(context)
    }
}

/// Gives a type and references to it the reading trait, by the type's own methods that take
/// `&self`.
macro_rules! reads_by_method {
    ($Type:ty $(, $($bound:tt)+)?) => {
        crate::io::reads_by_method!(@impl $Type, $Type $(, $($bound)+)?);
        crate::io::reads_by_method!(@impl $Type, &$Type $(, $($bound)+)?);
    };
    (@impl $Type:ty, $Reading:ty $(, $($bound:tt)+)?) => {
        impl $(<$($bound)+>)? crate::io::ByteRead for $Reading {
            fn poll_recv(
                &mut self,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<crate::pool::ManagedBuf>> {
                <$Type>::poll_recv(self, context)
            }

            fn poll_recv_into(
                &mut self,
                context: &mut std::task::Context<'_>,
                room: &mut crate::buf::Room<'_>,
            ) -> std::task::Poll<std::io::Result<Option<crate::pool::ManagedBuf>>> {
                <$Type>::poll_recv_into(self, context, room)
            }
        }
    };
}

/// Gives a type and references to it the writing trait, by the type's own methods that take
/// `&self`. The type may name the method that tells whether it takes several slices at once.
macro_rules! writes_by_method {
    (vectored if $is_vectored:expr => $Type:ty $(, $($bound:tt)+)?) => {
        crate::io::writes_by_method!(@impl $is_vectored, $Type, $Type $(, $($bound)+)?);
        crate::io::writes_by_method!(@impl $is_vectored, $Type, &$Type $(, $($bound)+)?);
    };
    ($Type:ty $(, $($bound:tt)+)?) => {
        crate::io::writes_by_method!(vectored if |_| true => $Type $(, $($bound)+)?);
    };
    (@impl $is_vectored:expr, $Type:ty, $Writing:ty $(, $($bound:tt)+)?) => {
        impl $(<$($bound)+>)? crate::io::ByteWrite for $Writing {
            fn poll_write(
                &mut self,
                context: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                <$Type>::poll_write(self, context, bytes)
            }

            fn poll_write_vectored(
                &mut self,
                context: &mut std::task::Context<'_>,
                slices: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                <$Type>::poll_write_vectored(self, context, slices)
            }

            fn is_write_vectored(&self) -> bool {
                let is_vectored: fn(&$Type) -> bool = $is_vectored;
                is_vectored(self)
            }

            fn poll_flush(
                &mut self,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                <$Type>::poll_flush(self, context)
            }

            fn poll_shutdown(
                &mut self,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                <$Type>::poll_shutdown(self, context)
            }
        }
    };
}

pub(crate) use {reads_by_method, writes_by_method};
