//! The eventfd by which other threads wake a sleeping one.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use super::{Process, as_result};

/// An eventfd(2). Written from any thread, read by the thread that sleeps on it.
///
/// A child that fork(2) makes shares it with its parent, and neither wakes the parent nor takes its
/// wakes.
#[derive(Debug)]
pub(crate) struct WakeFd {
    fd: OwnedFd,
    process: Process,
}

impl WakeFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call takes no address.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let fd = as_result(fd)?;
        Ok(Self {
            // SAFETY: the descriptor is new and has no other owner.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            process: Process::current(),
        })
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Wakes the sleeper. A counter that is full has woken it already. It may be called in a
    /// handler of a signal.
    pub(crate) fn wake(&self) {
        if !self.process.is_current() {
            return;
        }
        let one = 1_u64;
        // SAFETY: the kernel reads eight bytes during the call.
        let _ = unsafe { libc::write(self.raw(), (&raw const one).cast(), 8) };
    }

    /// Takes the wakes back, so that the next sleep sleeps, and tells whether there were any.
    pub(crate) fn take(&self) -> bool {
        if !self.process.is_current() {
            return false;
        }
        let mut count = 0_u64;
        // SAFETY: the kernel writes eight bytes during the call.
        let result = unsafe { libc::read(self.raw(), (&raw mut count).cast(), 8) };
        result == 8
    }

    /// Another descriptor of the same eventfd.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}
