//! [`AsyncFd`]: the readiness of any descriptor.

mod registration;

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    task::{Context, Poll},
};

use self::registration::{Direction, Registration};
use super::{Interest, Ready};
use crate::budget;

/// Waits for the readiness of a descriptor that other code reads and writes.
///
/// It is for what this crate has no type of: eventfd, timerfd, inotify, signalfd, pidfd, terminals,
/// netlink, and libraries that give their descriptor away, such as libpq, ZeroMQ, D-Bus, ALSA and
/// libcurl. Sockets of this crate do not need it. `examples/ecosystem` has inotify (`watch.rs`),
/// ZeroMQ (`zeromq.rs`) and QUIC by quinn (`quic.rs`).
///
/// A library that gives its descriptor as a number needs a type of yours beside it, which has
/// [`AsFd`] by [`BorrowedFd::borrow_raw`]: an unsafe call, since nothing else tells how long the
/// descriptor stays open.
///
/// # Readiness
///
/// A wait is *level-triggered*, as poll(2) is: it ends when the descriptor is ready, whether or not
/// that was told before. So no event is lost by code that takes a part of it, by a wait that is
/// dropped, or by two tasks that wait for the same descriptor, and there is no state to clear. The
/// answer may be out of date when the task runs, since other code may have read in between: a call
/// then says `WouldBlock`, and the task waits again. [`async_io`](Self::async_io) is that loop.
///
/// Descriptors without readiness, those of files and of directories, are always readable and
/// writable.
///
/// A library's descriptor may tell only that its state may have changed, once, as that of ZeroMQ
/// does. Ask the library for its state before each wait, also after calls of your own: one that has
/// sent something may have received as well. Where two tasks use it, the call of one may take what
/// was told for the other: wake that one then.
///
/// # Non-blocking mode
///
/// This type does not change the descriptor's mode. One that [`async_io`](Self::async_io) works on
/// has to be in non-blocking mode (`O_NONBLOCK`), or else its calls block the thread. In blocking
/// mode one read, after each wait, does not block unless other code has read in between.
///
/// # The descriptor
///
/// The value keeps its descriptor open, and has the same one as long as it is here. Drop
/// the `AsyncFd` before a call that makes a library close it. A descriptor that is closed too early
/// does no harm to others that get its number, and its waits do not end.
///
/// One descriptor may be here several times, and a duplicate of it as well: each has its own waits.
///
/// It belongs to the runtime in which it was made. In a child that fork(2) makes its waits fail;
/// dropping it there leaves the parent's as they are.
///
/// # Cost
///
/// A wait allocates nothing, and an idle descriptor without a wait has no memory elsewhere on the
/// ring. There a wait is an entry (`POLL_ADD`). On the poll driver the descriptor is registered
/// with epoll at its first wait, and each wait begins with a call of poll(2).
///
/// # Coming from tokio
///
/// There are no guards, because there is nothing to clear: `readable` gives `()`. `try_io` and
/// `async_io` are called in the same way.
///
/// # Kernel
///
/// Any with a driver. The events are those of [poll(2)].
///
/// [poll(2)]: https://man7.org/linux/man-pages/man2/poll.2.html
///
/// # Examples
///
/// A datagram socket of std:
///
/// ```
/// use std::{io, os::unix::net::UnixDatagram};
/// use annulus::{io::{AsyncFd, Interest}, spawn};
///
/// annulus::run(async {
///     let (near, far) = UnixDatagram::pair()?;
///     near.set_nonblocking(true)?;
///     let near = AsyncFd::new(near)?;
///     let receiving = spawn(async move {
///         let mut bytes = [0; 16];
///         let count = near
///             .async_io(Interest::READABLE, |socket| socket.recv(&mut bytes))
///             .await?;
///         io::Result::Ok(bytes[..count].to_vec())
///     });
///     far.send(b"hello")?;
///     assert_eq!(receiving.await.unwrap()?, b"hello");
///     io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
///
/// A library that reads its descriptor itself, when the program calls it:
///
/// ```no_run
/// use std::{io, os::fd::{AsFd, OwnedFd}};
/// use annulus::io::AsyncFd;
///
/// trait Library {
///     /// A duplicate of the library's descriptor.
///     fn descriptor(&self) -> io::Result<OwnedFd>;
///     /// Reads what has come.
///     fn process(&mut self) -> io::Result<()>;
///     fn next_message(&mut self) -> Option<String>;
/// }
///
/// async fn print_messages(mut library: impl Library) -> io::Result<()> {
///     let readiness = AsyncFd::new(library.descriptor()?)?;
///     loop {
///         // First, because the library may have read more than it has given out.
///         while let Some(message) = library.next_message() {
///             println!("{message}");
///         }
///         readiness.readable().await?;
///         library.process()?;
///     }
/// }
/// ```
pub struct AsyncFd<T: AsFd> {
    // The waits end before the descriptor may be closed: fields are dropped in this order.
    registration: Registration,
    inner: T,
}

impl<T: AsFd> AsyncFd<T> {
    /// Takes a descriptor, to wait for it in this runtime. It asks nothing of the kernel.
    ///
    /// `T` has the descriptor: it is an `OwnedFd`, a socket of std, a type of another crate, or
    /// an `Rc` of one of these.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn new(inner: T) -> io::Result<Self> {
        let registration = Registration::new(inner.as_fd().as_raw_fd())?;
        Ok(Self {
            registration,
            inner,
        })
    }

    /// Waits until a read does not block: there is something to read, the end of the stream, or an
    /// error.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it takes nothing from the descriptor.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write does not block: there is room, or an error.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Waits until the descriptor has one of the events of `interest`, an error or a hang-up, and
    /// tells which.
    ///
    /// # Errors
    ///
    /// Outside the descriptor's runtime, or after its end. `EBADF` for a descriptor that was
    /// closed, `EPERM` for events that its kind never has, such as [`Interest::PRIORITY`] of a
    /// file. `ENOSPC` at the limit of epoll's registrations of a user, on the poll driver.
    /// `EMFILE` when the process is out of descriptors and the wait needs one of its own: for
    /// [`Interest::PRIORITY`] on the ring, and for a descriptor that is here twice on the poll
    /// driver.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it takes nothing from the descriptor.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io, net::Shutdown, os::unix::net::UnixStream};
    /// use annulus::io::{AsyncFd, Interest};
    ///
    /// annulus::run(async {
    ///     let (near, far) = UnixStream::pair()?;
    ///     let near = AsyncFd::new(near)?;
    ///     let ready = near.ready(Interest::READABLE | Interest::WRITABLE).await?;
    ///     assert!(ready.is_writable() && !ready.is_readable());
    ///     far.shutdown(Shutdown::Write)?;
    ///     let ready = near.ready(Interest::READABLE).await?;
    ///     assert!(ready.is_read_closed() && !ready.is_hung_up());
    ///     io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let ready = self.registration.ready(interest.events()).await?;
        Ok(Ready::new(ready))
    }

    /// Calls `call` if the descriptor is ready for `interest` now. It asks poll(2) first, so a read
    /// of a descriptor in blocking mode does not block unless other code reads in between.
    ///
    /// For a descriptor in non-blocking mode a call on [`get_ref`](Self::get_ref) does the same,
    /// and costs one system call less.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is not ready, and the errors of `call`. Outside the descriptor's runtime.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        call: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        budget::spend();
        if self.registration.now(interest.events())?.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        call(&self.inner)
    }

    /// Calls `call`, and again each time that the descriptor is ready for `interest`, until it
    /// returns something else than `WouldBlock` or `Interrupted`.
    ///
    /// The descriptor is in non-blocking mode. `interest` is what `call` does: a read that waits
    /// for a descriptor to be writable would be called without end, though other tasks run in
    /// between.
    ///
    /// # Errors
    ///
    /// Those of `call`, and of [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: `call` is called in a poll, and its result is returned by the same poll.
    ///
    /// # Examples
    ///
    /// A read and a write that wait, of a pair of sockets of std:
    ///
    /// ```
    /// use std::{io::{self, Read, Write}, os::unix::net::UnixStream};
    /// use annulus::{future::join, io::{AsyncFd, Interest}};
    ///
    /// annulus::run(async {
    ///     let (near, far) = UnixStream::pair()?;
    ///     near.set_nonblocking(true)?;
    ///     far.set_nonblocking(true)?;
    ///     let (near, far) = (AsyncFd::new(near)?, AsyncFd::new(far)?);
    ///     let mut bytes = [0; 5];
    ///     let (read, written) = join(
    ///         near.async_io(Interest::READABLE, |mut stream| stream.read(&mut bytes)),
    ///         far.async_io(Interest::WRITABLE, |mut stream| stream.write(b"hello")),
    ///     )
    ///     .await;
    ///     assert_eq!((read?, written?), (5, 5));
    ///     assert_eq!(&bytes, b"hello");
    ///     io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        budget::turn().await;
        loop {
            self.registration.check_current()?;
            match call(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.ready(interest.events()).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Polls whether a read does not block.
    ///
    /// This is for adapters and for futures that are written by hand. The descriptor keeps one
    /// waker for each direction, that of the last poll, whether or not the future that has polled
    /// still exists. Reading and writing are independent, and so are the futures of the other
    /// methods. A poll that is ready ends its wait: the next one begins another. It may be out of
    /// date, so the reader polls again when its read says `WouldBlock`.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration.poll_direction(Direction::Read, context)
    }

    /// Polls whether a write does not block, as [`poll_readable`](Self::poll_readable) does for a
    /// read.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration.poll_direction(Direction::Write, context)
    }

    /// The value that has the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The value that has the descriptor. It has to keep the same one.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives back the value that has the descriptor.
    ///
    /// It waits for nothing. The kernel may keep the open file until the runtime's next turn if a
    /// wait for it was under way: a socket that is closed before that is closed then.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
