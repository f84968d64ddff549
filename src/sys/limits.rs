//! Limits that the system sets to this process.

/// A limit of this process: the one that holds, and the one to which the process may raise it by
/// itself. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResourceLimit {
    pub(crate) soft: Option<u64>,
    pub(crate) hard: Option<u64>,
}

impl ResourceLimit {
    /// The limit on descriptors (`RLIMIT_NOFILE`).
    pub(crate) fn descriptors() -> Option<Self> {
        // SAFETY: the kernel writes to the struct during the call.
        Self::of(|limit| unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit) })
    }

    /// The limit on locked memory, in bytes (`RLIMIT_MEMLOCK`).
    pub(crate) fn locked_bytes() -> Option<Self> {
        // SAFETY: as above.
        Self::of(|limit| unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, limit) })
    }

    /// The limit that `read` reads. The C libraries disagree about the type of a limit's number.
    fn of(read: impl FnOnce(*mut libc::rlimit) -> libc::c_int) -> Option<Self> {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        if read(&raw mut limit) < 0 {
            return None;
        }
        let value = |limit| (limit != libc::RLIM_INFINITY).then_some(limit);
        Some(Self {
            soft: value(limit.rlim_cur),
            hard: value(limit.rlim_max),
        })
    }
}

/// How many descriptors this process may have (the soft `RLIMIT_NOFILE`).
pub(crate) fn descriptors_max() -> usize {
    let Some(limit) = ResourceLimit::descriptors() else {
        // It fails for no argument that is given here; this is what every system grants.
        return 1024;
    };
    let soft = limit.soft.map(usize::try_from);
    soft.map_or(usize::MAX, |soft| soft.unwrap_or(usize::MAX))
}
