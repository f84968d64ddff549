//! `IORING_OP_OPENAT`: opens a file, and waits for no peer.
//!
//! The open of a FIFO waits for its other end, that of a terminal for a carrier. It is done in
//! non-blocking mode, where both are there at once or fail. The ring waits by itself for what is
//! open, so the mode is taken back then. A helper thread must not be held by a peer, and keeps the
//! mode for what may wait for one.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::{AnyFd, Op, WithoutRing};
use crate::{
    driver::Driver,
    sys::{self, Entry, OpenFlags, opcode},
};

pub(crate) struct Open {
    path: CString,
    flags: i32,
    mode: u32,
    by_entry: bool,
}

impl Open {
    pub(crate) fn new(path: CString, flags: i32, mode: u32) -> Self {
        Self {
            path,
            flags: flags | OpenFlags::NONBLOCKING,
            mode,
            by_entry: false,
        }
    }
}

// SAFETY: the entry points to the path's bytes, which are on the heap and only freed by `complete`.
unsafe impl Op for Open {
    type Output = io::Result<OwnedFd>;

    const OPCODE: u8 = opcode::OPENAT;

    const ATTEMPTS_BEFORE_THREAD: bool = true;

    /// "Not now" means that another process has to give up its lease, which takes time.
    const RETRIES: bool = false;

    fn entry(&mut self) -> Entry {
        self.by_entry = true;
        Entry::openat(self.path.as_ptr(), self.flags, self.mode)
    }

    fn without_ring(&mut self) -> WithoutRing {
        // A path is short, and a copy of it needs no promise about this one's life.
        let (path, flags, mode) = (self.path.clone(), self.flags, self.mode);
        self.by_entry = false;
        WithoutRing::Thread(Box::new(move || sys::open_and_settle(&path, flags, mode)))
    }

    fn fd(&self) -> Option<&AnyFd> {
        None
    }

    /// Opens what the kernel finds without asking a device.
    fn attempt(&mut self) -> i32 {
        sys::open_cached(&self.path, self.flags)
    }

    /// The ring makes the same attempt by itself.
    fn attempts_first(&self, driver: &Driver) -> bool {
        !driver.uses_ring()
    }

    fn complete(self, result: io::Result<u32>) -> io::Result<OwnedFd> {
        // SAFETY: the kernel made this descriptor for us and told it in this result only.
        let fd = result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })?;
        if self.by_entry && self.flags & OpenFlags::PATH == 0 {
            sys::set_nonblocking(fd.as_raw_fd(), false)?;
        }
        Ok(fd)
    }

    fn left_behind(error: io::Error) -> Option<io::Result<OwnedFd>> {
        Some(Err(error))
    }
}
