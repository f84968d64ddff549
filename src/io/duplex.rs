//! A connection in memory.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    mem,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{ByteWrite, reads_by_method, writes_by_method};
use crate::{
    budget,
    buf::Room,
    pool::ManagedBuf,
    unwind,
    wait_note::{self, WaitNote},
};

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
    assert!(
        bytes_max > 0,
        "expected a duplex with room for a byte, found none"
    );
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

    /// Takes all that is there. Empty is the end, and `None` means that more may come.
    fn take(&self) -> Option<ManagedBuf> {
        let bytes = self.bytes.take();
        if bytes.is_empty() {
            return self.ended.get().then(ManagedBuf::empty);
        }
        let mut taken = Taken { bytes, pipe: self };
        self.wake_writer();
        Some(ManagedBuf::own(mem::take(&mut taken.bytes)))
    }

    /// Adds as many bytes of `slices` as there is room for. `None` means that there is none.
    fn put(&self, slices: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        if self.ended.get() || self.broken.get() {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut bytes = self.bytes.borrow_mut();
        let before = bytes.len();
        let room = self.bytes_max.saturating_sub(before);
        if room == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return None;
        }
        for slice in slices {
            let left = before + room - bytes.len();
            bytes.extend_from_slice(&slice[..left.min(slice.len())]);
        }
        let count = bytes.len() - before;
        drop(bytes);
        self.wake_reader();
        Some(Ok(count))
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

/// Bytes on their way to the reader. They stay in the pipe when the writer's waker panics.
struct Taken<'a> {
    bytes: Vec<u8>,
    pipe: &'a Pipe,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            let mut bytes = self.pipe.bytes.borrow_mut();
            self.bytes.append(&mut bytes);
            *bytes = mem::take(&mut self.bytes);
        }
    }
}

impl Duplex {
    /// Receives all bytes that are there. Empty means that the other end has finished writing.
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

    /// Takes all bytes that are there. An empty buffer means that the other end has finished
    /// writing.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let pipe = &self.incoming;
        if let Some(bytes) = pipe.take() {
            return Poll::Ready(Ok(bytes));
        }
        let waker = context.waker().clone();
        // That was the user's code, which may have written.
        if let Some(bytes) = pipe.take() {
            return Poll::Ready(Ok(bytes));
        }
        drop(pipe.reader.replace(Some(waker)));
        wait_note::leave(WaitNote::Duplex);
        Poll::Pending
    }

    /// As `poll_recv`: the bytes are handed over in the memory that they are in.
    pub(crate) fn poll_recv_into(
        &self,
        context: &mut Context<'_>,
        _room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        self.poll_recv(context).map_ok(Some)
    }

    /// Takes as many of `bytes` as there is room for.
    ///
    /// # Errors
    ///
    /// As [`write_all`](Self::write_all).
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    /// Takes as many bytes of `slices` as there is room for, one slice after the other.
    ///
    /// # Errors
    ///
    /// As [`write_all`](Self::write_all).
    pub fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let pipe = &self.outgoing;
        if let Some(taken) = pipe.put(slices) {
            return Poll::Ready(taken);
        }
        let waker = context.waker().clone();
        // That was the user's code, which may have read.
        if let Some(taken) = pipe.put(slices) {
            return Poll::Ready(taken);
        }
        drop(pipe.writer.replace(Some(waker)));
        wait_note::leave(WaitNote::Duplex);
        Poll::Pending
    }

    /// Returns ready at once: bytes that were taken are there for the other end.
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

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        sync::Arc,
        task::Wake,
    };

    use super::*;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("a waker's panic"));
        }
    }

    fn received(end: &Duplex) -> Option<Vec<u8>> {
        match end.poll_recv(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bytes) => Some(bytes.unwrap().to_vec()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_writers_waker_that_panics_costs_the_reader_no_byte() {
        let (near, far) = duplex(4);
        let waker = Waker::from(Arc::new(Panics));
        let mut context = Context::from_waker(&waker);
        assert!(near.poll_write(&mut context, b"kept").is_ready());
        assert!(near.poll_write(&mut context, b"next").is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| received(&far))).is_err());
        assert_eq!(received(&far).unwrap(), b"kept");
    }
}
