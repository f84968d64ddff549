//! Listening sockets that the parent process has handed over.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

/// The first descriptor handed over (systemd's sd_listen_fds(3)).
const FIRST: i32 = 3;

/// Takes the sockets that were handed over, by `LISTEN_FDS` for the process `LISTEN_PID`, once.
/// They do not go on to processes that this one starts.
pub(crate) fn inherited_sockets() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| -> Option<i32> { std::env::var(name).ok()?.parse().ok() };
    let is_ours = number("LISTEN_PID") == i32::try_from(std::process::id()).ok();
    let count = number("LISTEN_FDS").unwrap_or(0);
    if !is_ours || count <= 0 || TAKEN.swap(true, Ordering::Relaxed) {
        let text = "expected sockets from the parent process (LISTEN_FDS, LISTEN_PID), \
                    found none that are left";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let mut sockets = Vec::new();
    for fd in FIRST..FIRST.saturating_add(count) {
        // SAFETY: the call takes no address.
        super::as_result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        // SAFETY: the descriptor is open, as the call before has found. By the protocol it was made
        // for this process, and it is taken here, once.
        sockets.push(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    Ok(sockets)
}
