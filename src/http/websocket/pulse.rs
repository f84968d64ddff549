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

/// The last event that counts, and when it was.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// The peer was heard.
    Heard(Tick),
    /// A ping waits to be written, after bytes that a slow peer takes first. The last of these were
    /// written then.
    Pinging(Tick),
    /// A ping was sent, and the peer was not heard since.
    Pinged(Tick),
    /// As `Pinging`, with a close frame.
    Closing(Tick),
    /// A close frame was sent.
    Closed(Tick),
}

/// The times of a connection. It has no timer: its server's worker, or the task that drives it at a
/// client, polls it at the tick that is [`due`](Self::due).
pub(super) struct Pulse {
    last: Cell<Last>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            last: Cell::new(Last::Heard(Tick::now())),
        }
    }

    /// Notes that bytes came from the peer, or that some wait to be received.
    #[inline]
    pub(super) fn note_heard(&self, now: Tick) {
        if !matches!(self.last.get(), Last::Closing(_) | Last::Closed(_)) {
            self.last.set(Last::Heard(now));
        }
    }

    pub(super) fn note_ping(&self) {
        self.last.set(Last::Pinging(Tick::now()));
    }

    /// Whether no answer is waited for, so that it does not matter when bytes are written.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        matches!(self.last.get(), Last::Heard(_))
    }

    /// Whether the peer was heard at this tick, so that nothing is due.
    #[inline]
    pub(super) fn was_heard(&self, now: Tick) -> bool {
        matches!(self.last.get(), Last::Heard(since) if since == now)
    }

    /// Whether an answer to a ping is to come.
    pub(super) fn is_pinged(&self) -> bool {
        matches!(self.last.get(), Last::Pinging(_) | Last::Pinged(_))
    }

    pub(super) fn note_close(&self) {
        self.last.set(Last::Closing(Tick::now()));
    }

    /// Notes that bytes were written, and whether those were all: the time for an answer begins
    /// when its question is written, and anew as long as the peer takes what stands before it.
    #[inline]
    pub(super) fn note_written(&self, is_all: bool) {
        self.last.set(match (self.last.get(), is_all) {
            (Last::Pinging(_), true) => Last::Pinged(Tick::now()),
            (Last::Pinging(_), false) => Last::Pinging(Tick::now()),
            (Last::Closing(_), true) => Last::Closed(Tick::now()),
            (Last::Closing(_), false) => Last::Closing(Tick::now()),
            _ => return,
        });
    }

    /// The tick at which something is due, and what; none when that is never.
    pub(super) fn due(&self, settings: &Settings) -> Option<(Tick, Due)> {
        let (since, timeout, due) = match self.last.get() {
            Last::Heard(since) => (since, settings.ping_interval, Due::Ping),
            Last::Pinging(since) | Last::Pinged(since) => {
                (since, settings.ping_timeout, Due::PingTimeout)
            }
            Last::Closing(since) | Last::Closed(since) => {
                (since, settings.close_timeout, Due::CloseTimeout)
            }
        };
        Some((since.after(timeout)?, due))
    }
}
