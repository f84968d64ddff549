//! `IORING_OP_FSYNC`: writes a file's data back to its device.

use std::io;

use super::{AnyFd, Op, WithoutRing};
use crate::sys::{self, Entry, opcode};

pub(crate) struct Fsync {
    fd: AnyFd,
    data_only: bool,
}

impl Fsync {
    pub(crate) fn new(fd: AnyFd, data_only: bool) -> Self {
        Self { fd, data_only }
    }
}

// SAFETY: the entry points to nothing.
unsafe impl Op for Fsync {
    type Output = io::Result<()>;

    const OPCODE: u8 = opcode::FSYNC;

    fn entry(&mut self) -> Entry {
        Entry::fsync(self.fd.raw(), self.data_only)
    }

    /// It waits for the device.
    fn without_ring(&mut self) -> WithoutRing {
        let (fd, data_only) = (self.fd.raw(), self.data_only);
        WithoutRing::Thread(Box::new(move || sys::sync(fd, data_only)))
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    fn complete(self, result: io::Result<u32>) -> io::Result<()> {
        result.map(drop)
    }

    fn left_behind(error: io::Error) -> Option<io::Result<()>> {
        Some(Err(error))
    }
}
