//! Where the time of a request went.

use std::time::{Duration, Instant};

use super::phase::Phase;

/// Where the time of a request went. With redirects or a retry, it tells of the last exchange, and
/// `total` of all of them.
///
/// A step that did not happen took no time: a request on an idle connection has neither `dns` nor
/// `connect`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Waiting for one of the connections that its host may have.
    pub queue: Duration,
    /// Looking up the host's addresses.
    pub dns: Duration,
    /// Opening a connection.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// Sending the request. Zero when the kernel took it at once.
    pub send: Duration,
    /// From then on until the head of the response was here.
    pub first_byte: Duration,
    /// From the start of the request until the end of the response, or its head while the body is
    /// still on its way.
    pub total: Duration,
    /// Whether the request went on a connection that had served another one.
    pub is_reused: bool,
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
