//! Forks.

use std::{io, sync::atomic::Ordering};

use crate::{bombs, support::quarantine};

/// Seconds after which a child hangs.
const HANG_SECONDS: u32 = 60;

/// Runs `last` in a child, and waits for that.
pub(crate) fn fork(last: impl FnOnce()) {
    // Another thread may have the lock of the quarantine at the moment of the fork.
    quarantine::IS_ON.store(false, Ordering::Relaxed);
    // SAFETY: what other threads may have locked is not touched in the child: they are helper
    // threads, and the allocator's locks survive a fork.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "{}", io::Error::last_os_error());
    if process == 0 {
        // SAFETY: the call takes no address.
        unsafe { libc::alarm(HANG_SECONDS) };
        let done = bombs::defused(last);
        // SAFETY: the call takes no address and does not come back.
        unsafe { libc::_exit(if done.is_some() { 7 } else { 8 }) };
    }
    quarantine::IS_ON.store(true, Ordering::Relaxed);
    let mut status = 0;
    // SAFETY: the kernel writes to the status during the call.
    while unsafe { libc::waitpid(process, &raw mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
    }
    let is_well = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7;
    assert!(is_well, "the child ended with {status:#x}");
}
