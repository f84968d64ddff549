//! Counts of a runtime's work.

#[cfg(not(feature = "tokio-context"))]
mod no_tokio_counts;
#[cfg(feature = "tokio-context")]
pub(crate) mod tokio_counts;

#[cfg(not(feature = "tokio-context"))]
use no_tokio_counts as tokio_counts;

use std::time::Duration;

use super::Runtime;
use crate::{
    blocking::{self, HelperStats},
    driver::{self, Driver, DriverStats},
    pool, sys,
    task::{self, PollTimes, TaskCounters, ThreadTimes},
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
    /// Timers that are armed now.
    pub timers: u64,
    /// Timers that have fired.
    pub timers_fired: u64,
    /// Receive buffers of the runtime.
    pub buffers: u64,
    /// The receive buffers among them that are free now.
    pub buffers_free: u64,
    /// Receives that found no buffer and brought memory of their own.
    pub buffers_exhausted: u64,
    /// The helper threads of the whole process, as they are now.
    pub helpers: HelperStats,
    /// The use of a runtime of tokio's beside this one.
    pub tokio: TokioStats,
    /// The processor time that the thread has used since its start, in the runtime and elsewhere.
    pub cpu: Duration,
    /// Whether [`RuntimeBuilder::measure`](super::RuntimeBuilder::measure) asked for the rest, and
    /// for `driver.kinds`. They are zero otherwise.
    pub is_measured: bool,
    /// How long polls took.
    pub polls: PollTimes,
    /// How long the thread was busy, and how long it slept.
    pub times: ThreadTimes,
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
        let _timers = self.timers.enter();
        let _tasks = self.tasks.enter();
        gather(&self.driver)
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
    gather(&driver)
}

/// The counts of a runtime whose timers and tasks are current.
fn gather(driver: &Driver) -> Stats {
    let pool = pool::of(driver);
    let (buffers, buffers_free) = pool.counts(driver);
    let measured = task::measured(|measure| (measure.polls(), measure.times()));
    let (polls, times) = measured.unwrap_or_default();
    Stats {
        driver: driver.stats(),
        tasks: task::counters(),
        timers: time::pending_count() as u64,
        timers_fired: time::fired_count(),
        buffers,
        buffers_free,
        buffers_exhausted: pool.exhausted(),
        helpers: blocking::stats(),
        tokio: tokio_counts::stats(),
        cpu: Duration::from_nanos(sys::thread_cpu_nanos().unsigned_abs()),
        is_measured: measured.is_some(),
        polls,
        times,
    }
}
