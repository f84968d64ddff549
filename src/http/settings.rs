//! What every connection of a server is held to.

use std::fmt;

use super::{Timeouts, access::AccessLog, exchange::WhenGone, h1::Rules};

/// What a server was built with, as its workers know it.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) rules: Rules,
    pub(super) timeouts: Timeouts,
    pub(super) access_log: Option<AccessLog>,
    /// Handlers go on when their client has left.
    pub(super) keeps_running: bool,
}

impl Settings {
    /// When a handler's future is dropped, unless its request says otherwise.
    pub(super) fn when_gone(&self) -> WhenGone {
        if self.keeps_running {
            WhenGone::GoOn
        } else {
            WhenGone::Reset
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("rules", &self.rules)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
