//! `IORING_OP_OPENAT`: opens a file.

use std::{
    ffi::CString,
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

use super::{AnyFd, Op, WithoutRing};
use crate::sys::{self, Entry, opcode};

pub(crate) struct Open {
    path: CString,
    flags: i32,
    mode: u32,
}

impl Open {
    pub(crate) fn new(path: CString, flags: i32, mode: u32) -> Self {
        Self { path, flags, mode }
    }
}

// SAFETY: the entry points to the path's bytes, which are on the heap and only freed by `complete`.
unsafe impl Op for Open {
    type Output = io::Result<OwnedFd>;

    const OPCODE: u8 = opcode::OPENAT;

    fn entry(&mut self) -> Entry {
        Entry::openat(self.path.as_ptr(), self.flags, self.mode)
    }

    fn without_ring(&mut self) -> WithoutRing {
        // A path is short, and a copy of it needs no promise about this one's life.
        let (path, flags, mode) = (self.path.clone(), self.flags, self.mode);
        WithoutRing::Thread(Box::new(move || sys::open(&path, flags, mode)))
    }

    fn fd(&self) -> Option<&AnyFd> {
        None
    }

    fn complete(self, result: io::Result<u32>) -> io::Result<OwnedFd> {
        // SAFETY: the kernel made this descriptor for us and told it in this result only.
        result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    fn left_behind(error: io::Error) -> Option<io::Result<OwnedFd>> {
        Some(Err(error))
    }
}
