//! Tells systemd when the server is ready, when it stops, and that it is alive.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{systemd, unwind::lock};

/// The messages that a server still owes to systemd. It owes none unless it was asked to tell.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    /// Held while a message is sent, so that the end comes after the begin.
    state: Mutex<State>,
    watchdog: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    owed: Owed,
    /// The workers that do not serve yet.
    starting_count: usize,
}

/// The next message.
#[derive(Debug, Default, PartialEq, Eq)]
enum Owed {
    #[default]
    Nothing,
    Ready,
    Stopping,
}

impl Announcer {
    pub(crate) fn enable(&self, on: bool) {
        lock(&self.state).owed = if on { Owed::Ready } else { Owed::Nothing };
        self.watchdog.store(on, Ordering::Relaxed);
    }

    /// The server listens at all of its addresses, and has so many workers to start.
    pub(crate) fn expect_workers(&self, count: usize) {
        lock(&self.state).starting_count = count;
    }

    /// Counts a worker that serves, and tells the manager when it is the last.
    pub(crate) fn worker_serves(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.starting_count = state.starting_count.saturating_sub(1);
        if state.starting_count > 0 || state.owed != Owed::Ready {
            return Ok(());
        }
        state.owed = Owed::Nothing;
        systemd::ready().map_err(|error| {
            let text = format!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
            io::Error::new(error.kind(), text)
        })?;
        state.owed = Owed::Stopping;
        Ok(())
    }

    /// The server stops. The stop goes on where the manager cannot be told. A server that was not
    /// ready before will not be.
    pub(crate) fn stopping(&self) {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.owed) == Owed::Stopping {
            let _ = systemd::stopping();
        }
    }

    /// Whether tasks shall say that the server is alive.
    pub(crate) fn has_watchdog(&self) -> bool {
        self.watchdog.load(Ordering::Relaxed)
    }

    /// Whether a task shall say that the server is alive. True once.
    pub(crate) fn takes_watchdog(&self) -> bool {
        self.watchdog.swap(false, Ordering::Relaxed)
    }
}
