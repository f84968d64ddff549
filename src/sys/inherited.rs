//! Descriptors that the parent process has handed over.

use std::{
    env, io,
    os::fd::{FromRawFd as _, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

/// The first descriptor handed over (systemd's sd_listen_fds(3)).
pub(super) const FIRST: i32 = 3;

/// Takes the descriptors that were handed over, by `LISTEN_FDS` for the process `LISTEN_PID`, once,
/// with their names of `LISTEN_FDNAMES`. They do not go on to processes that this one starts.
pub(crate) fn inherited_descriptors() -> io::Result<Vec<(Option<String>, OwnedFd)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| -> Option<i32> { env::var(name).ok()?.parse().ok() };
    let is_ours = number("LISTEN_PID") == i32::try_from(std::process::id()).ok();
    let count = number("LISTEN_FDS").unwrap_or(0);
    if !is_ours || count <= 0 || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").ok();
    let names: Option<Vec<&str>> = names.as_deref().map(|names| names.split(':').collect());
    if let Some(names) = &names {
        if i32::try_from(names.len()) != Ok(count) {
            let text = format!(
                "expected {count} names in LISTEN_FDNAMES, as many as LISTEN_FDS says, found {}",
                names.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    let mut descriptors = Vec::new();
    for (index, fd) in (FIRST..FIRST.saturating_add(count)).enumerate() {
        // SAFETY: the call takes no address.
        let set = super::as_result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) });
        set.map_err(|error| {
            let text = format!("descriptor {fd} of LISTEN_FDS={count} cannot be used: {error}");
            io::Error::new(error.kind(), text)
        })?;
        let name = names.as_ref().map(|names| names[index].to_owned());
        // SAFETY: the descriptor is open, as the call before has found. By the protocol it was made
        // for this process, and it is taken here, once.
        descriptors.push((name, unsafe { OwnedFd::from_raw_fd(fd) }));
    }
    Ok(descriptors)
}
