//! `IORING_OP_SEND`: sends bytes to a connected socket.

use std::io;

use super::{AnyFd, Descriptor, Op, Owner, Progress, WithoutRing, held::Held};
use crate::{
    buf::{BufError, BufResult, IoBuf},
    driver::Driver,
    sys::{self, Completion, Entry, PollEvents, errno, opcode, option},
};

/// The longest that one entry sends; the kernel takes no more at once (`MAX_RW_COUNT`).
const LEN_MAX: usize = 0x7fff_f000;

/// With this many completions a turn or fewer, a plain send is cheaper than an entry: it costs one
/// more system call, and saves the entry, its completion and a second poll of the task.
///
/// Echo of 64 bytes, CPU per message beside a bare C ring server in the same rounds, median of 11,
/// for 1, 8, 64 and 512 connections: plain sends 0.93, 0.99, 1.03, 1.04; entries 1.01, 1.02, 1.02,
/// 1.02; this rule 0.96, 1.00, 1.01, 1.01 (2-vCPU guest, Linux 6.18).
pub(super) const INLINE_BATCH_MAX: usize = 8;

pub(crate) struct SendBytes<B: IoBuf> {
    fd: AnyFd,
    buf: Held<B>,
    sent: usize,
    /// Whether to go on until everything is sent.
    all: bool,
    /// Whether its success does not wake the task.
    is_quiet: bool,
}

impl<B: IoBuf> SendBytes<B> {
    #[inline]
    pub(crate) fn new(fd: AnyFd, buf: B, all: bool) -> Self {
        Self {
            fd,
            buf: Held::new(buf),
            sent: 0,
            all,
            is_quiet: false,
        }
    }

    /// Does not wake the task when all was sent at once: the result is looked at when the task is
    /// polled for another reason. A short send is its end, so that an error says that nothing was
    /// sent.
    pub(crate) fn quietly(mut self) -> Self {
        self.is_quiet = true;
        self.all = false;
        self
    }

    /// Goes on after the first `sent` bytes, which were sent already.
    #[inline]
    pub(crate) fn behind(mut self, sent: usize) -> Self {
        self.sent = sent;
        self
    }

    /// From now on the operation goes on after a short send, and a task waits for it.
    pub(crate) fn send_all(&mut self) {
        self.all = true;
        self.is_quiet = false;
    }

    #[inline]
    fn rest(&self) -> (*const u8, usize) {
        let buf = self.buf.get();
        (
            buf.as_ptr().wrapping_add(self.sent),
            (buf.len() - self.sent).min(LEN_MAX),
        )
    }
}

// SAFETY: the entry points to the buffer's bytes, which by `IoBuf` stay where they are when the
// value moves; `Held` keeps the buffer untouched until `complete`.
unsafe impl<B: IoBuf> Op for SendBytes<B> {
    type Output = BufResult<usize, B>;

    const OPCODE: u8 = opcode::SEND;

    fn entry(&mut self) -> Entry {
        let (start, len) = self.rest();
        let wait_all = if self.all || self.is_quiet {
            option::MSG_WAITALL
        } else {
            0
        };
        Entry::send(
            self.fd.raw(),
            start,
            len as u32,
            option::MSG_NOSIGNAL | wait_all,
        )
    }

    fn quiet_result(&self) -> Option<i32> {
        self.is_quiet.then(|| self.rest().1 as i32)
    }

    fn without_ring(&mut self) -> WithoutRing {
        WithoutRing::Ready(PollEvents::WRITE)
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    fn attempt(&mut self) -> i32 {
        let (start, len) = self.rest();
        // SAFETY: the buffer has `len` initialized bytes from `start`, and no code writes them.
        unsafe { sys::send_now(self.fd.raw(), start, len) }
    }

    fn attempts_first(&self, driver: &Driver) -> bool {
        // One that goes on after a plain send was attempted by that.
        self.sent == 0 && driver.batch() <= INLINE_BATCH_MAX
    }

    fn progress(&mut self, result: i32) -> Progress {
        match usize::try_from(result) {
            Ok(count) => self.sent += count,
            // The count of bytes that were sent before the error comes first; the error comes with
            // the next send.
            Err(_) if self.sent > 0 && !self.all => {}
            Err(_) => return Progress::Done(result),
        }
        if self.all && self.sent < self.buf.get().len() {
            // A send of something that sends nothing would go on for ever.
            return if result == 0 {
                Progress::Done(-errno::EPIPE)
            } else {
                Progress::Again
            };
        }
        Progress::Done(0)
    }

    fn complete(self, result: io::Result<u32>) -> Self::Output {
        let sent = self.sent;
        let buf = self.buf.into_inner();
        match result {
            Ok(_) => Ok((sent, buf)),
            Err(error) => Err(BufError::new(error, buf)),
        }
    }
}

/// Whether a plain send is the first thing to try.
#[inline]
pub(crate) fn sends_at_once<T: Owner + ?Sized>(fd: &Descriptor<T>) -> bool {
    let driver = fd.driver();
    if driver.uses_ring() {
        driver.batch() <= INLINE_BATCH_MAX
    } else {
        driver.maybe_ready(fd.source(), PollEvents::WRITE)
    }
}

/// Sends what the kernel takes at once.
#[inline]
pub(crate) fn send_now<T: Owner + ?Sized>(fd: &Descriptor<T>, bytes: &[u8]) -> io::Result<usize> {
    send_by(fd, |raw| {
        // SAFETY: the bytes are borrowed for the time of the call.
        unsafe { sys::send_now(raw, bytes.as_ptr(), bytes.len().min(LEN_MAX)) }
    })
}

/// Sends what the kernel takes at once of `len` bytes from `offset` of a file.
pub(crate) fn send_file_now<T: Owner + ?Sized>(
    fd: &Descriptor<T>,
    file: i32,
    offset: u64,
    len: usize,
) -> io::Result<usize> {
    // The ring waits for sockets by itself, which are in blocking mode for it.
    let is_blocking = fd.driver().uses_ring();
    send_by(fd, |raw| {
        sys::send_file_now(raw, is_blocking, file, offset, len.min(LEN_MAX))
    })
}

/// Slices of at most so many bytes together are copied to the stack and go by a plain send.
///
/// sendmsg(2) costs more than the copy. A pair of slices over a Unix socket and its receive, best
/// of 9: of 150 and 13 bytes 1777 ns by copy and send, 1963 ns by sendmsg; of 150 and 1000 bytes
/// 2094 and 2334 ns (2-vCPU guest, Linux 6.18).
const GATHERED_BYTES_MAX: usize = 2048;

/// Sends what the kernel takes at once of several slices.
pub(crate) fn send_vectored_now<T: Owner + ?Sized>(
    fd: &Descriptor<T>,
    slices: &[io::IoSlice<'_>],
) -> io::Result<usize> {
    let mut gathered = [0; GATHERED_BYTES_MAX];
    if let Some(len) = gather(slices, &mut gathered) {
        return send_now(fd, &gathered[..len]);
    }
    send_by(fd, |raw| sys::send_slices_now(raw, slices))
}

/// Copies all slices to `memory`, and returns how many bytes they are. None if they are too many.
fn gather(slices: &[io::IoSlice<'_>], memory: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    for slice in slices {
        let end = len + slice.len();
        memory.get_mut(len..end)?.copy_from_slice(slice);
        len = end;
    }
    Some(len)
}

#[inline]
fn send_by<T: Owner + ?Sized>(fd: &Descriptor<T>, send: impl Fn(i32) -> i32) -> io::Result<usize> {
    let driver = fd.driver();
    loop {
        driver.count_attempt();
        let result = send(fd.raw());
        match result {
            result if result == -errno::EINTR => {}
            result => {
                // A short count has other reasons than want of room, and then no event follows.
                if result == -errno::EAGAIN {
                    driver.not_ready(fd.source(), PollEvents::WRITE, false);
                }
                return Completion::new(result).result().map(|count| count as usize);
            }
        }
    }
}
