//! The times that the steps of a request took.

use std::time::{Duration, Instant};

use super::phase::Phase;

/// The times that the steps of a request took. With redirects or a retry, they are those of the
/// last exchange, and `total` is of all of them.
///
/// A step that was skipped has a time of zero: a request on an idle connection has neither `dns`
/// nor `connect`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// The wait for one of the connections that its host may have.
    pub queue: Duration,
    /// The look-up of the host's addresses.
    pub dns: Duration,
    /// The opening of a connection.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// The sending of the request. Zero when the kernel took it at once.
    pub send: Duration,
    /// The time from then on until the head of the response was here.
    pub first_byte: Duration,
    /// The time from the start of the request until the end of the response, or its head while the
    /// body is still on its way.
    pub total: Duration,
    /// Whether the request went on a connection that had served another one.
    pub is_reused: bool,
}

/// The moments of an exchange. Their differences are taken when the caller asks: each costs some 30
/// instructions, and few callers do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    /// When the whole request began, and when this exchange did.
    pub(super) started: Instant,
    pub(super) began: Instant,
    /// When the request had been sent. As `began` where the kernel took it at once.
    pub(super) sent: Instant,
    /// When the head of the response was here.
    pub(super) head: Instant,
    /// When the response ended, or its head was here.
    pub(super) ended: Instant,
}

impl Moments {
    pub(super) fn new(started: Instant, began: Instant) -> Self {
        Self {
            started,
            began,
            sent: began,
            head: began,
            ended: began,
        }
    }

    /// The times between them. `before` has those before the exchange.
    pub(super) fn timings(&self, before: Timings) -> Timings {
        Timings {
            send: self.sent.saturating_duration_since(self.began),
            first_byte: self.head.saturating_duration_since(self.sent),
            total: self.ended.saturating_duration_since(self.started),
            ..before
        }
    }
}

/// Measures the phases before anything is sent.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) timings: Timings,
    pub(super) phase: Phase,
    since: Instant,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            timings: Timings::default(),
            phase: Phase::Queue,
            since: now,
        }
    }

    /// When the phase so far began.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Ends the phase so far and begins another.
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        let took = now.saturating_duration_since(self.since);
        match self.phase {
            Phase::Queue => self.timings.queue = took,
            Phase::Dns => self.timings.dns = took,
            Phase::Connect => self.timings.connect = took,
            Phase::Tls => self.timings.tls = took,
            _ => {}
        }
        self.since = now;
        self.phase = phase;
    }
}
