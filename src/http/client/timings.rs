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
    /// The beginning of the whole request, and of this exchange.
    pub(super) started: Instant,
    pub(super) began: Instant,
    /// The moment when the request had been sent. As `began` where the kernel took it at once.
    pub(super) sent: Instant,
    /// The moment when the head of the response was here.
    pub(super) head: Instant,
    /// The end of the response, or the moment when its head was here.
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
        // The head of a response may come while the request is still being sent.
        let asked = if self.sent > self.head {
            self.began
        } else {
            self.sent
        };
        Timings {
            send: self.sent.saturating_duration_since(self.began),
            first_byte: self.head.saturating_duration_since(asked),
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

    /// Returns the beginning of the present phase.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_counts_from_the_end_of_sending_or_else_from_the_beginning() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let mut moments = Moments::new(began, at(1));
        (moments.head, moments.ended) = (at(8), at(8));
        let first = moments.timings(Timings::default());
        assert_eq!(first.send, Duration::ZERO);
        assert_eq!(first.first_byte, Duration::from_millis(7));
        moments.sent = at(3);
        let later = moments.timings(first);
        assert_eq!(later.send, Duration::from_millis(2));
        assert_eq!(later.first_byte, Duration::from_millis(5));
        // The response came before the body was sent.
        (moments.sent, moments.ended) = (at(20), at(30));
        let last = moments.timings(later);
        assert_eq!(last.send, Duration::from_millis(19));
        assert_eq!(last.first_byte, Duration::from_millis(7));
        assert_eq!(last.total, Duration::from_millis(30));
    }
}
