//! The kinds of work that helper threads do.

use std::time::Duration;

use super::threads::Threads;
use crate::sys;

/// The threads that calls of the user's may take.
const CALL_THREADS_MAX: usize = 512;

/// The threads that look-ups of names may take. One waits for a name server most of its time, up to
/// half a minute when that does not answer.
const NAME_THREADS_MAX: usize = 64;

/// The threads that files may take: so many for each core, and no fewer than the least.
const FILE_THREADS_PER_CORE: usize = 4;
const FILE_THREADS_MIN: usize = 8;

static CALLS: Threads = Threads::new("annulus-blocking", true);
static NAMES: Threads = Threads::new("annulus-names", false);
static FILES: Threads = Threads::new("annulus-files", false);

/// A kind of work that helper threads do. Each has threads and a queue of its own, so that none
/// waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Work {
    /// Calls given to [`run`](super::run).
    Calls,
    /// Look-ups of names by the system's resolver.
    Names,
    /// Operations on files, where the kernel or the driver has no other way for them, and other
    /// short calls of the runtime's own.
    Files,
}

impl Work {
    pub(super) fn threads(self) -> &'static Threads {
        let threads: &'static Threads = match self {
            Self::Calls => &CALLS,
            Self::Names => &NAMES,
            Self::Files => &FILES,
        };
        threads.of_this_process()
    }

    /// The threads that it may take by default.
    pub(super) fn threads_max_default(self) -> usize {
        match self {
            Self::Calls => CALL_THREADS_MAX,
            Self::Names => NAME_THREADS_MAX,
            Self::Files => {
                (sys::unpinned_core_count() * FILE_THREADS_PER_CORE).max(FILE_THREADS_MIN)
            }
        }
    }
}

/// The threads that do one kind of work, as they are now.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct WorkStats {
    /// Threads that there are.
    pub threads: u64,
    /// The threads among them that have nothing to do.
    pub idle: u64,
    /// Threads that there may be, which calls made on a helper thread may exceed.
    pub threads_max: u64,
    /// Jobs that wait for a thread.
    pub queued: u64,
    /// The time that the oldest of these has waited.
    pub oldest_wait: Duration,
}

/// The helper threads of the process, as they are now. All runtimes share them.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HelperStats {
    /// The counts of [`Work::Calls`].
    pub calls: WorkStats,
    /// The counts of [`Work::Names`].
    pub names: WorkStats,
    /// The counts of [`Work::Files`].
    pub files: WorkStats,
}
