//! `IORING_OP_OPENAT2`: opens a file beneath a folder, and waits for no peer.
//!
//! Non-blocking mode is as in `open.rs`. The call takes no other flags beside `O_PATH`, whose
//! descriptors have no such mode.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::{AnyFd, Op, WithoutRing};
use crate::{
    driver::Driver,
    sys::{self, Entry, OpenFlags, OpenHow, opcode},
};

pub(crate) struct OpenBeneath {
    folder: AnyFd,
    path: CString,
    /// In a box, since the kernel reads it there.
    how: Box<OpenHow>,
    by_entry: bool,
}

impl OpenBeneath {
    pub(crate) fn new(folder: AnyFd, path: CString, how: OpenHow) -> Self {
        Self {
            folder,
            path,
            how: Box::new(how),
            by_entry: false,
        }
    }
}

// SAFETY: the entry points to the path's bytes and to the boxed struct, which are on the heap and
// only freed by `complete`. Neither is written to by the kernel.
unsafe impl Op for OpenBeneath {
    type Output = io::Result<OwnedFd>;

    const OPCODE: u8 = opcode::OPENAT2;

    const ATTEMPTS_BEFORE_THREAD: bool = true;

    /// "Not now" means that another process has to give up its lease, or that a folder was renamed
    /// while the path was looked up.
    const RETRIES: bool = false;

    fn entry(&mut self) -> Entry {
        self.by_entry = true;
        Entry::openat2(self.folder.raw(), self.path.as_ptr(), &raw const *self.how)
    }

    fn without_ring(&mut self) -> WithoutRing {
        // As in `open.rs`, a copy needs no promise about the life of this one.
        let (folder, path, how) = (self.folder.raw(), self.path.clone(), *self.how);
        self.by_entry = false;
        WithoutRing::Thread(Box::new(move || sys::open_beneath(folder, &path, how)))
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.folder)
    }

    /// As in `open.rs`.
    fn attempt(&mut self) -> i32 {
        sys::open_beneath_cached(self.folder.raw(), &self.path, *self.how)
    }

    fn attempts_first(&self, driver: &Driver) -> bool {
        !driver.uses_ring()
    }

    fn complete(self, result: io::Result<u32>) -> io::Result<OwnedFd> {
        // SAFETY: the kernel made this descriptor for us and told it in this result only.
        let fd = result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })?;
        if self.by_entry && self.how.flags() & OpenFlags::NONBLOCKING != 0 {
            sys::set_nonblocking(fd.as_raw_fd(), false)?;
        }
        Ok(fd)
    }

    fn left_behind(error: io::Error) -> Option<io::Result<OwnedFd>> {
        Some(Err(error))
    }
}
