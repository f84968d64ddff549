//! A connection in memory.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::ByteStream;
use crate::unwind;

/// Two ends of a connection in memory, each of which takes up to `bytes_max` bytes ahead of its
/// reader. For tests of whatever speaks over a stream: no socket, no kernel.
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
/// use std::{future::poll_fn, pin::pin};
/// use annulus::io::{ByteStream as _, duplex};
///
/// annulus::run(async {
///     let (mut near, mut far) = duplex(64);
///     let sent = poll_fn(|context| near.poll_write(context, b"hello")).await?;
///     assert_eq!(sent, 5);
///     drop(near);
///     let mut bytes = Vec::new();
///     while poll_fn(|context| far.poll_read(context, &mut bytes)).await? > 0 {}
///     assert_eq!(bytes, b"hello");
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

impl ByteStream for Duplex {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let pipe = &self.incoming;
        let count = pipe.bytes.borrow().len();
        if count > 0 {
            buf.append(&mut pipe.bytes.borrow_mut());
            pipe.wake_writer();
            return Poll::Ready(Ok(count));
        }
        if pipe.ended.get() {
            return Poll::Ready(Ok(0));
        }
        drop(pipe.reader.replace(Some(context.waker().clone())));
        Poll::Pending
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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

    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.ended.set(true);
        self.outgoing.wake_reader();
        Poll::Ready(Ok(()))
    }
}

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
