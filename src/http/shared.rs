//! What the exchanges of one worker share.

use std::{
    cell::{Cell, RefCell},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{h1::DateCache, settings::Settings};
use crate::sync::Notify;

/// What the exchanges of one worker share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    date: RefCell<DateCache>,
    is_stopping: Cell<bool>,
    stop: Notify,
    answered: Cell<u64>,
    refused: Cell<u64>,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            date: RefCell::new(DateCache::new(unix_seconds())),
            is_stopping: Cell::new(false),
            stop: Notify::new(),
            answered: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    /// The `Date` field's line, as of this turn.
    pub(super) fn date_line(&self) -> [u8; 37] {
        *self.date.borrow().line()
    }

    /// Reads the clock for `Date`, once a turn.
    pub(super) fn look_at_clock(&self) {
        self.date.borrow_mut().at(unix_seconds());
    }

    /// Counts a request that was answered.
    pub(super) fn count_answer(&self) {
        self.answered.set(self.answered.get() + 1);
    }

    /// Counts bytes that were no request.
    pub(super) fn count_refused(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// Requests that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.get()
    }

    /// Connections that sent something else than a request.
    pub(super) fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Whether the server is stopping: every answer from now on closes its connection.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.get()
    }

    /// Begins the stop, and tells the handlers that wait for it.
    pub(super) fn begin_stop(&self) {
        self.is_stopping.set(true);
        self.stop.notify_waiters();
    }

    /// Waits until the server begins to stop.
    pub(super) async fn stopping(&self) {
        while !self.is_stopping() {
            self.stop.notified().await;
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
