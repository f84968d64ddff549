//! Tells systemd when the server listens, when it stops, and that it is alive.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::systemd;

/// The messages that a server still owes to systemd. It owes none unless it was asked to tell.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    ready: AtomicBool,
    stopping: AtomicBool,
    watchdog: AtomicBool,
}

impl Announcer {
    pub(crate) fn enable(&self, on: bool) {
        self.ready.store(on, Ordering::Relaxed);
        self.watchdog.store(on, Ordering::Relaxed);
    }

    /// The server listens at all of its addresses.
    pub(crate) fn ready(&self) -> io::Result<()> {
        if self.ready.swap(false, Ordering::Relaxed) {
            systemd::ready().map_err(|error| {
                let text = format!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
                io::Error::new(error.kind(), text)
            })?;
            self.stopping.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The server stops. The stop goes on where the manager cannot be told.
    pub(crate) fn stopping(&self) {
        if self.stopping.swap(false, Ordering::Relaxed) {
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
