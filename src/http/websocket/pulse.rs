//! The times of a connection: when it was heard last, and until when an answer has to come.

use std::cell::Cell;

use super::options::Settings;
use crate::http::tick::Tick;

/// The next thing that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a ping.
    Ping,
    /// The ping was not answered.
    PingTimeout,
    /// The close frame was not answered.
    CloseTimeout,
}

/// An answer that the peer owes, and since when.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Nothing,
    /// To a ping.
    Pong(Tick),
    /// To a close frame.
    Close(Tick),
}

/// The times of a connection. It has no timer: its server's worker, or the task that drives it at a
/// client, polls it at the tick that is [`due`](Self::due).
pub(super) struct Pulse {
    heard_at: Cell<Tick>,
    asked: Cell<Asked>,
    /// The ping or the close frame waits to be written, after bytes that a slow peer takes first.
    is_waiting: Cell<bool>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            heard_at: Cell::new(Tick::now()),
            asked: Cell::new(Asked::Nothing),
            is_waiting: Cell::new(false),
        }
    }

    /// Notes that bytes came from the peer, or that some wait to be received.
    pub(super) fn note_heard(&self) {
        self.heard_at.set(Tick::now());
        if self.is_pinged() {
            self.asked.set(Asked::Nothing);
        }
    }

    pub(super) fn note_ping(&self) {
        self.asked.set(Asked::Pong(Tick::now()));
        self.is_waiting.set(true);
    }

    /// Whether an answer to a ping is to come.
    pub(super) fn is_pinged(&self) -> bool {
        matches!(self.asked.get(), Asked::Pong(_))
    }

    pub(super) fn note_close(&self) {
        self.asked.set(Asked::Close(Tick::now()));
        self.is_waiting.set(true);
    }

    /// Notes that bytes were written, and whether those were all: the time for an answer begins
    /// when its question is written, and anew as long as the peer takes what stands before it.
    #[inline]
    pub(super) fn note_written(&self, is_all: bool) {
        if !self.is_waiting.get() {
            return;
        }
        self.is_waiting.set(!is_all);
        match self.asked.get() {
            Asked::Nothing => {}
            Asked::Pong(_) => self.asked.set(Asked::Pong(Tick::now())),
            Asked::Close(_) => self.asked.set(Asked::Close(Tick::now())),
        }
    }

    /// The tick at which something is due, and what; none when that is never.
    pub(super) fn due(&self, settings: &Settings) -> Option<(Tick, Due)> {
        let (begin, timeout, due) = match self.asked.get() {
            Asked::Nothing => (self.heard_at.get(), settings.ping_interval, Due::Ping),
            Asked::Pong(since) => (since, settings.ping_timeout, Due::PingTimeout),
            Asked::Close(since) => (since, settings.close_timeout, Due::CloseTimeout),
        };
        Some((begin.after(timeout)?, due))
    }
}
