//! A connection in memory.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{ByteWrite, reads_by_method, writes_by_method};
use crate::{budget, pool::ManagedBuf, unwind};

/// Makes the two ends of a connection in memory. Each end takes up to `bytes_max` bytes ahead of
/// its reader. It serves the tests of a protocol: there is no socket and no kernel.
///
/// Both ends stay on their thread. When one is dropped, the other reads what was written and then
/// the end, and its writes fail with `BrokenPipe`.
///
/// # Panics
///
/// When `bytes_max` is 0.
///
/// # Examples
///
/// ```
/// use annulus::io::duplex;
///
/// annulus::run(async {
///     let (near, far) = duplex(64);
///     near.write_all(b"hello").await?;
///     drop(near);
///     assert_eq!(&*far.recv().await?, b"hello");
///     assert!(far.recv().await?.is_empty());
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[must_use]
pub fn duplex(bytes_max: usize) -> (Duplex, Duplex) {
    assert!(bytes_max > 0, "expected room for a byte, found none");
    let (left, right) = (Rc::new(Pipe::new(bytes_max)), Rc::new(Pipe::new(bytes_max)));
    let near = Duplex {
        incoming: Rc::clone(&left),
        outgoing: Rc::clone(&right),
    };
    let far = Duplex {
        incoming: right,
        outgoing: left,
    };
    (near, far)
}

/// One end of a connection in memory, made by [`duplex`].
///
/// Everything works through `&self`: one task may read while another writes. The promises of
/// [`ByteRead`](super::ByteRead) hold for the methods that poll.
pub struct Duplex {
    incoming: Rc<Pipe>,
    outgoing: Rc<Pipe>,
}

/// One direction.
struct Pipe {
    bytes: RefCell<Vec<u8>>,
    bytes_max: usize,
    /// The writer has ended it.
    ended: Cell<bool>,
    /// The reader is gone.
    broken: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl Pipe {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes: RefCell::default(),
            bytes_max,
            ended: Cell::new(false),
            broken: Cell::new(false),
            reader: Cell::new(None),
            writer: Cell::new(None),
        }
    }

    fn wake_reader(&self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

impl Duplex {
    /// Receives all that is there. Empty means that the other end has finished writing.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        budget::turn().await;
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Writes all of `bytes`, as fast as the other end reads.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when the other end is gone, or this one has ended the direction.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has written a beginning of `bytes` of unknown length.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        ByteWrite::write_all(&mut &*self, bytes).await
    }

    /// Ends the writing direction. Reading goes on.
    ///
    /// # Errors
    ///
    /// None today.
    pub async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_shutdown(context)).await
    }

    /// Takes all that is there. An empty buffer means that the other end has finished writing.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let pipe = &self.incoming;
        let bytes = pipe.bytes.take();
        if !bytes.is_empty() {
            pipe.wake_writer();
            return Poll::Ready(Ok(ManagedBuf::own(bytes)));
        }
        if pipe.ended.get() {
            return Poll::Ready(Ok(ManagedBuf::empty()));
        }
        drop(pipe.reader.replace(Some(context.waker().clone())));
        Poll::Pending
    }

    /// Takes as many of `bytes` as there is room for.
    ///
    /// # Errors
    ///
    /// As [`write_all`](Self::write_all).
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let pipe = &self.outgoing;
        if pipe.ended.get() || pipe.broken.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = pipe.bytes_max - pipe.bytes.borrow().len();
        if room == 0 && !bytes.is_empty() {
            drop(pipe.writer.replace(Some(context.waker().clone())));
            return Poll::Pending;
        }
        let count = room.min(bytes.len());
        pipe.bytes.borrow_mut().extend_from_slice(&bytes[..count]);
        pipe.wake_reader();
        Poll::Ready(Ok(count))
    }

    /// Is ready at once: what was taken is there for the other end.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn poll_flush(&self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the writing direction at once. Reading goes on.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn poll_shutdown(&self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.ended.set(true);
        self.outgoing.wake_reader();
        Poll::Ready(Ok(()))
    }
}

reads_by_method!(Duplex);
writes_by_method!(Duplex);

impl Drop for Duplex {
    fn drop(&mut self) {
        self.outgoing.ended.set(true);
        self.incoming.broken.set(true);
        unwind::then(
            || self.outgoing.wake_reader(),
            || self.incoming.wake_writer(),
        );
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex").finish_non_exhaustive()
    }
}
