//! What every connection of a server is held to.

use std::fmt;

use super::{Timeouts, access::AccessLog, h1::Rules};

/// What a server was built with, as its workers know it.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) rules: Rules,
    pub(super) timeouts: Timeouts,
    pub(super) access_log: Option<AccessLog>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("rules", &self.rules)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
