//! `IORING_OP_READ`: reads from a file at an offset.

use std::io;

use super::{AnyFd, Op, WithoutRing, held::Held};
use crate::{
    buf::{BufError, BufResult, IoBufMut},
    driver::Driver,
    sys::{self, Entry, errno, opcode},
};

const LEN_MAX: usize = 0x7fff_f000;

/// The offset that preadv2(2) and the ring take for the file's own position. No file has it.
const OWN_POSITION: u64 = u64::MAX;

/// Reads into the buffer's capacity, from its start.
pub(crate) struct Read<B: IoBufMut> {
    fd: AnyFd,
    buf: Held<B>,
    offset: u64,
    len_max: usize,
}

impl<B: IoBufMut> Read<B> {
    pub(crate) fn new(fd: AnyFd, buf: B, offset: u64) -> Self {
        Self::up_to(LEN_MAX, fd, buf, offset)
    }

    /// As [`new`](Self::new), of `len_max` bytes at the most.
    pub(crate) fn up_to(len_max: usize, fd: AnyFd, buf: B, offset: u64) -> Self {
        Self {
            fd,
            buf: Held::new(buf),
            offset: offset.min(OWN_POSITION - 1),
            len_max: len_max.min(LEN_MAX),
        }
    }

    fn room(&mut self) -> (*mut u8, usize) {
        let buf = self.buf.get_mut();
        (buf.as_mut_ptr(), buf.capacity().min(self.len_max))
    }
}

/// An address on its way to a helper thread.
struct Address(*mut u8);

// SAFETY: the memory behind it is the operation's, which touches it only after the thread is done.
unsafe impl Send for Address {}

impl Address {
    fn get(&self) -> *mut u8 {
        self.0
    }
}

// SAFETY: the entry and the thread's call point to the buffer's bytes, which by `IoBufMut` stay
// where they are when the value moves; `Held` keeps the buffer untouched until `complete`.
unsafe impl<B: IoBufMut> Op for Read<B> {
    type Output = BufResult<usize, B>;

    const OPCODE: u8 = opcode::READ;

    const ATTEMPTS_BEFORE_THREAD: bool = true;

    fn entry(&mut self) -> Entry {
        let (start, len) = self.room();
        Entry::read(self.fd.raw(), start, len as u32, self.offset)
    }

    fn without_ring(&mut self) -> WithoutRing {
        let (start, len) = self.room();
        let (fd, offset, start) = (self.fd.raw(), self.offset, Address(start));
        WithoutRing::Thread(Box::new(move || {
            // SAFETY: as said at `Address`.
            unsafe { sys::pread(fd, start.get(), len, offset) }
        }))
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    /// Reads from the page cache, which cannot block, and costs half as much as an entry and
    /// a small part of a helper thread.
    fn attempt(&mut self) -> i32 {
        let (start, len) = self.room();
        // SAFETY: the buffer has `len` writable bytes from `start`, and no other code touches them.
        match unsafe { sys::preadv2_nowait(self.fd.raw(), start, len, self.offset) } {
            // File systems without this kind of read say so; the entry does what they can.
            result if result == -errno::EOPNOTSUPP => -errno::EAGAIN,
            result => result,
        }
    }

    fn attempts_first(&self, _driver: &Driver) -> bool {
        true
    }

    fn complete(self, result: io::Result<u32>) -> Self::Output {
        let mut buf = self.buf.into_inner();
        match result {
            Ok(count) => {
                // SAFETY: the kernel has written that many bytes from the start.
                unsafe { buf.set_len(count as usize) };
                Ok((count as usize, buf))
            }
            Err(error) => Err(BufError::new(error, buf)),
        }
    }
}
