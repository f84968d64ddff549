//! Counts of a runtime's work.

#[cfg(not(feature = "tokio-context"))]
mod no_tokio_counts;
#[cfg(feature = "tokio-context")]
pub(crate) mod tokio_counts;

#[cfg(not(feature = "tokio-context"))]
use no_tokio_counts as tokio_counts;

use super::Runtime;
use crate::{
    blocking::{self, HelperStats},
    driver::{self, DriverStats},
    pool,
    task::{self, TaskCounters},
    time,
};

/// Counts of the work of this thread's runtime, and the state of the process's helper threads.
/// Reading it is cheap, and nothing resets it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The driver's figures.
    pub driver: DriverStats,
    /// The tasks' figures.
    pub tasks: TaskCounters,
    /// Timers that have fired.
    pub timers_fired: u64,
    /// Receives that found no buffer and brought memory of their own.
    pub buffers_exhausted: u64,
    /// The helper threads of the whole process, as they are now.
    pub helpers: HelperStats,
    /// The use of a runtime of tokio's beside this one.
    pub tokio: TokioStats,
}

/// Counts of the use of a runtime of tokio's, which the feature `tokio-context` brings. Without it
/// they are zero.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TokioStats {
    /// Polls and drops of this thread inside of tokio's context.
    pub contexts: u64,
    /// Futures that this thread has handed to tokio's threads.
    pub tasks: u64,
    /// Threads of tokio's that this crate has started for the process and that run now. Zero means
    /// that no helper runs.
    pub threads: usize,
}

impl Runtime {
    /// Returns the counts of this runtime's work so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            driver: self.driver.stats(),
            tasks: self.tasks.counters(),
            timers_fired: self.timers.fired_count(),
            buffers_exhausted: self.pool.exhausted(),
            helpers: blocking::stats(),
            tokio: tokio_counts::stats(),
        }
    }
}

/// Returns the counts of the runtime that this code runs in.
///
/// # Panics
///
/// Outside a runtime.
#[must_use]
pub fn stats() -> Stats {
    let driver = driver::current().unwrap_or_else(|error| panic!("{error}"));
    Stats {
        driver: driver.stats(),
        tasks: task::counters(),
        timers_fired: time::fired_count(),
        buffers_exhausted: pool::of(&driver).exhausted(),
        helpers: blocking::stats(),
        tokio: tokio_counts::stats(),
    }
}
