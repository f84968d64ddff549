//! The processors to use.

use std::io;

use crate::sys;

/// The processors to use, one worker on each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cores {
    /// Those that this process may use: its affinity mask, cut to what its control group's quota
    /// pays for. Under `taskset -c 1` that is one.
    #[default]
    All,
    /// The first so many of them, at least one.
    Count(usize),
}

impl Cores {
    /// The processors' numbers, never empty.
    #[must_use]
    pub fn list(&self) -> Vec<usize> {
        let mut cores = sys::allowed_cores();
        if let Self::Count(count) = self {
            cores.truncate((*count).max(1));
        }
        cores
    }
}

/// Keeps the calling thread on one processor.
///
/// # Errors
///
/// `EINVAL` when this process may not use that processor.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    sys::pin_to_core(core)
}
