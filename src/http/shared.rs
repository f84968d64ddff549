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
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            date: RefCell::new(DateCache::new(unix_seconds())),
            is_stopping: Cell::new(false),
            stop: Notify::new(),
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
