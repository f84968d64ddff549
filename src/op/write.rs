//! `IORING_OP_WRITE`: writes to a file at an offset.

use std::io;

use super::{AnyFd, Op, WithoutRing, held::Held};
use crate::{
    buf::{BufError, BufResult, IoBuf},
    sys::{self, Entry, opcode},
};

const LEN_MAX: usize = 0x7fff_f000;

/// The offset that means the file's own position, which a file in append mode moves to its end.
const OWN_POSITION: u64 = u64::MAX;

pub(crate) struct Write<B: IoBuf> {
    fd: AnyFd,
    buf: Held<B>,
    offset: u64,
}

impl<B: IoBuf> Write<B> {
    pub(crate) fn at(fd: AnyFd, buf: B, offset: u64) -> Self {
        Self {
            fd,
            buf: Held::new(buf),
            offset: offset.min(OWN_POSITION - 1),
        }
    }

    pub(crate) fn append(fd: AnyFd, buf: B) -> Self {
        Self {
            fd,
            buf: Held::new(buf),
            offset: OWN_POSITION,
        }
    }
}

/// An address on its way to a helper thread.
struct Address(*const u8);

// SAFETY: the memory behind it is the operation's, and no code writes it until the thread is done.
unsafe impl Send for Address {}

impl Address {
    fn get(&self) -> *const u8 {
        self.0
    }
}

// SAFETY: the entry and the thread's call point to the buffer's bytes, which by `IoBuf` stay where
// they are when the value moves; `Held` keeps the buffer untouched until `complete`.
unsafe impl<B: IoBuf> Op for Write<B> {
    type Output = BufResult<usize, B>;

    const OPCODE: u8 = opcode::WRITE;

    fn entry(&mut self) -> Entry {
        let buf = self.buf.get();
        let len = buf.len().min(LEN_MAX) as u32;
        Entry::write(self.fd.raw(), buf.as_ptr(), len, self.offset)
    }

    fn without_ring(&mut self) -> WithoutRing {
        let buf = self.buf.get();
        let (fd, offset, len) = (self.fd.raw(), self.offset, buf.len().min(LEN_MAX));
        let start = Address(buf.as_ptr());
        WithoutRing::Thread(Box::new(move || {
            if offset == OWN_POSITION {
                // SAFETY: as said at `Address`.
                unsafe { sys::write_fd(fd, start.get(), len) }
            } else {
                // SAFETY: as said at `Address`.
                unsafe { sys::pwrite(fd, start.get(), len, offset) }
            }
        }))
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    fn complete(self, result: io::Result<u32>) -> Self::Output {
        let buf = self.buf.into_inner();
        match result {
            Ok(count) => Ok((count as usize, buf)),
            Err(error) => Err(BufError::new(error, buf)),
        }
    }
}
