//! The counts of one worker, as metrics show them.

use std::thread;

use crate::http::server::{phase::Phase, report::Report};

/// The counts of one worker of a server.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// The name of the worker's thread.
    pub(crate) thread: String,
    pub(crate) report: Report,
    /// The connections by their phases, in the order of [`Phase::ALL`].
    pub(crate) connections: [u64; Phase::ALL.len()],
}

impl Counts {
    /// Of the calling thread's worker, whose connections are in these phases.
    pub(super) fn new(report: Report, phases: impl Iterator<Item = Phase>) -> Self {
        let mut connections = [0; Phase::ALL.len()];
        for phase in phases {
            connections[phase as usize] += 1;
        }
        Self {
            thread: thread::current().name().unwrap_or("unnamed").to_owned(),
            report,
            connections,
        }
    }
}
