//! `IORING_OP_RECV` into a buffer of the caller's.

use std::io;

use super::{AnyFd, Op, WithoutRing, held::Held};
use crate::{
    buf::{BufError, BufResult, IoBufMut, Room},
    sys::{self, Entry, PollEvents, opcode},
};

const LEN_MAX: usize = 0x7fff_f000;

/// Receives into the buffer's whole capacity, from its start.
pub(crate) struct Recv<B: IoBufMut> {
    fd: AnyFd,
    buf: Held<B>,
}

impl<B: IoBufMut> Recv<B> {
    pub(crate) fn new(fd: AnyFd, buf: B) -> Self {
        Self {
            fd,
            buf: Held::new(buf),
        }
    }

    fn room(&mut self) -> (*mut u8, usize) {
        let buf = self.buf.get_mut();
        (buf.as_mut_ptr(), buf.capacity().min(LEN_MAX))
    }
}

// SAFETY: the entry points to the buffer's bytes, which by `IoBufMut` stay where they are when the
// value moves; `Held` keeps the buffer untouched until `complete`.
unsafe impl<B: IoBufMut> Op for Recv<B> {
    type Output = BufResult<usize, B>;

    const OPCODE: u8 = opcode::RECV;

    fn entry(&mut self) -> Entry {
        let (start, len) = self.room();
        Entry::recv(self.fd.raw(), start, len as u32)
    }

    fn without_ring(&mut self) -> WithoutRing {
        WithoutRing::Ready(PollEvents::READ)
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    fn attempt(&mut self) -> i32 {
        let (start, len) = self.room();
        // SAFETY: the buffer has `len` writable bytes from `start`, and no other code touches them.
        unsafe { sys::recv_now(self.fd.raw(), start, len) }
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

/// Receives what is there into `buf`, without waiting: a count, or minus the errno.
pub(crate) fn recv_now<B: IoBufMut>(fd: i32, buf: &mut B) -> i32 {
    let len = buf.capacity().min(LEN_MAX);
    // SAFETY: the buffer has that many writable bytes, and is borrowed mutably.
    let result = unsafe { sys::recv_now(fd, buf.as_mut_ptr(), len) };
    if let Ok(count) = usize::try_from(result) {
        // SAFETY: the kernel has written that many bytes from the start.
        unsafe { buf.set_len(count) };
    }
    result
}

/// Receives what is there into `room`, without waiting: a count, or minus the errno.
pub(crate) fn recv_into(fd: i32, room: &mut Room<'_>) -> i32 {
    let len = room.remaining().min(LEN_MAX);
    // SAFETY: the room has that many writable bytes, and is borrowed mutably.
    let result = unsafe { sys::recv_now(fd, room.as_mut_ptr(), len) };
    if let Ok(count) = usize::try_from(result) {
        // SAFETY: the kernel has written that many bytes from the start of the room.
        unsafe { room.advance(count) };
    }
    result
}
