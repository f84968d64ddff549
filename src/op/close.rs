//! `IORING_OP_CLOSE`: closes a file and tells what went wrong.

use std::io;

use super::{AnyFd, Op, WithoutRing};
use crate::sys::{self, Entry, Process, errno, opcode};

/// Closes a descriptor that nothing else uses any more.
pub(crate) struct Close {
    raw: i32,
    process: Process,
}

impl Close {
    /// Takes over `raw`, which must be open and have no other owner.
    pub(crate) fn new(raw: i32) -> Self {
        Self {
            raw,
            process: Process::current(),
        }
    }
}

// SAFETY: the entry points to nothing.
unsafe impl Op for Close {
    type Output = io::Result<()>;

    const OPCODE: u8 = opcode::CLOSE;

    /// Linux releases the number before anything can interrupt the close, and the number may be
    /// another file's by now.
    const RETRIES: bool = false;

    fn entry(&mut self) -> Entry {
        Entry::close(self.raw)
    }

    fn without_ring(&mut self) -> WithoutRing {
        let raw = self.raw;
        WithoutRing::Thread(Box::new(move || sys::close(raw)))
    }

    fn fd(&self) -> Option<&AnyFd> {
        None
    }

    fn complete(mut self, result: io::Result<u32>) -> io::Result<()> {
        // The kernel closes a descriptor also when it has an error to tell.
        if !result.as_ref().is_err_and(never_ran) {
            self.raw = -1;
        }
        result.map(drop)
    }

    fn left_behind(error: io::Error) -> Option<io::Result<()>> {
        Some(Err(error))
    }
}

/// Whether the kernel was never asked, which an error that is not its own says, or was told to
/// cancel the close before it ran.
fn never_ran(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), None | Some(errno::ECANCELED))
}

impl Drop for Close {
    /// Closes the descriptor if the kernel did not. It stays open in a child that fork(2) has made:
    /// whether the kernel closed it before the fork is unknown there, and the number may be another
    /// file's by now.
    fn drop(&mut self) {
        if self.raw >= 0 && self.process.is_current() {
            sys::close(self.raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read as _,
        os::{
            fd::{FromRawFd as _, IntoRawFd as _, OwnedFd},
            unix::net::UnixStream,
        },
    };

    use super::*;

    /// Completes a close with `errno`, and tells whether the descriptor is closed after it.
    fn closes(errno: i32) -> bool {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let raw = there.into_raw_fd();
        let result = Err(io::Error::from_raw_os_error(errno));
        assert!(Close::new(raw).complete(result).is_err());
        let closed = here.read(&mut [0]).is_ok_and(|count| count == 0);
        if !closed {
            // SAFETY: the other end says that the descriptor is open, and `Close` let go of it.
            drop(unsafe { OwnedFd::from_raw_fd(raw) });
        }
        closed
    }

    #[test]
    fn a_close_that_was_cancelled_before_it_ran_is_done_by_the_drop() {
        assert!(closes(errno::ECANCELED));
    }

    #[test]
    fn a_close_that_was_interrupted_or_failed_is_not_done_again() {
        assert!(!closes(errno::EINTR));
        assert!(!closes(errno::ENOBUFS));
    }
}
