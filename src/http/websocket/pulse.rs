//! The times of a connection: when it was heard last, and until when an answer has to come.

use std::{
    cell::Cell,
    task::{Context, Poll},
    time::Instant,
};

use super::options::Settings;
use crate::{http::alarm::Alarm, time};

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
    Pong(Instant),
    /// To a close frame.
    Close(Instant),
}

/// The times of a connection. One timer is set for the earliest of them. It is not set anew when
/// the peer is heard: it rings too early then, and is set to what is left.
pub(super) struct Pulse {
    heard_at: Cell<Instant>,
    asked: Cell<Asked>,
    alarm: Cell<Alarm>,
    rings_at: Cell<Option<Instant>>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            heard_at: Cell::new(time::now()),
            asked: Cell::new(Asked::Nothing),
            alarm: Cell::default(),
            rings_at: Cell::new(None),
        }
    }

    /// Notes that bytes came from the peer, or that some wait to be received.
    pub(super) fn note_heard(&self) {
        self.heard_at.set(time::now());
        if self.is_pinged() {
            self.asked.set(Asked::Nothing);
        }
    }

    pub(super) fn note_ping(&self) {
        self.asked.set(Asked::Pong(time::now()));
    }

    /// Whether an answer to a ping is to come.
    pub(super) fn is_pinged(&self) -> bool {
        matches!(self.asked.get(), Asked::Pong(_))
    }

    pub(super) fn note_close(&self) {
        self.asked.set(Asked::Close(time::now()));
    }

    /// Lets no time count any more.
    pub(super) fn stop(&self) {
        drop(self.alarm.take());
        self.rings_at.set(None);
    }

    /// Ready when something is due. Otherwise the waker is registered for that moment.
    pub(super) fn poll(&self, settings: &Settings, context: &mut Context<'_>) -> Poll<Due> {
        loop {
            // A deadline that does not fit an `Instant` is no limit.
            let Some((deadline, due)) = self.next(settings) else {
                self.stop();
                return Poll::Pending;
            };
            let mut alarm = self.alarm.take();
            if self
                .rings_at
                .get()
                .is_none_or(|rings_at| deadline < rings_at)
            {
                alarm.set(deadline);
                self.rings_at.set(Some(deadline));
            }
            let polled = alarm.poll(context);
            self.alarm.set(alarm);
            if polled.is_pending() {
                return Poll::Pending;
            }
            self.rings_at.set(None);
            if deadline <= time::now() {
                return Poll::Ready(due);
            }
        }
    }

    fn next(&self, settings: &Settings) -> Option<(Instant, Due)> {
        let (begin, timeout, due) = match self.asked.get() {
            Asked::Nothing => (self.heard_at.get(), settings.ping_interval, Due::Ping),
            Asked::Pong(since) => (since, settings.ping_timeout, Due::PingTimeout),
            Asked::Close(since) => (since, settings.close_timeout, Due::CloseTimeout),
        };
        Some((begin.checked_add(timeout)?, due))
    }
}
