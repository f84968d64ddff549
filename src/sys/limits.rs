//! Limits that the system sets to this process.

/// How many descriptors this process may have (the soft `RLIMIT_NOFILE`).
pub(crate) fn descriptors_max() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to the struct during the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result < 0 {
        // It fails for no argument that is given here; this is what every system grants.
        return 1024;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}
