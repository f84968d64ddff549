//! accept4(2) as a plain call, for listeners that are waited for by readiness.

use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::sys::{self, errno, option};

/// The next connection of a non-blocking listener, or the errno.
pub(crate) fn accept_now(listener: i32) -> Result<OwnedFd, i32> {
    loop {
        let result = sys::accept_now(listener, option::SOCK_CLOEXEC);
        if result >= 0 {
            // SAFETY: the kernel has just made this descriptor for us.
            return Ok(unsafe { OwnedFd::from_raw_fd(result) });
        }
        if result != -errno::EINTR {
            return Err(-result);
        }
    }
}
