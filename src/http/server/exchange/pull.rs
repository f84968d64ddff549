//! The waits of a handler for the body of its request, and their time limits.
//!
//! A wait for the client has two limits, the time since its last byte and the rate over all the
//! time that was waited; the time in which the handler does not wait counts for neither.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::timer::Timer;
use crate::{
    http::{error_kind::BodyFailure, h1::BodyDecoder, server::timeouts::Timeouts},
    net::{BULK_BYTES_MAX, Flood},
    time, unwind,
};

/// A wait for a client that sends a flood may last until so much of it is there: otherwise each
/// segment wakes the server, which is done with it before the next one. CPU time for a GiB in a
/// bare C loop, beside hyper's: 1.09 without this, 0.79 for one receive's worth, 0.73 for two, 0.63
/// for four, which is as much as the window that a connection begins with (2-vCPU guest, Linux
/// 6.18).
const GATHER_BYTES: usize = 238 * 1024;

/// The longest time that the first of [`GATHER_BYTES`] wait for the others.
const GATHER_TIME: Duration = Duration::from_millis(2);

/// So long after its limit a wait still counts, by which a timer may be late.
const LATE: Duration = Duration::from_millis(100);

/// The state of a request's body, besides the bytes.
pub(super) struct Pull {
    /// The request that is being answered; bodies of earlier ones are out of date.
    number: Cell<u64>,
    /// The waiter for the body, which learns when it is out of date: the last one that asked, which
    /// the connection wakes.
    waiter: RefCell<Option<Waiter>>,
    /// Others who wait; they ask again when that one does not any more.
    displaced: RefCell<Vec<Waiter>>,
    /// How many tickets were given out.
    tickets: Cell<u64>,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// The body broke the protocol or a limit, so the place where the next request begins is
    /// unknown.
    failed: Cell<Option<BodyFailure>>,
    timeout: Cell<Duration>,
    /// Since when the handler waits for the client.
    since: Cell<Option<Instant>>,
    /// The longest wait that begins at `since`.
    limit: Cell<Duration>,
    /// The time that the handler has waited since the last byte, without the wait from `since`.
    quiet: Cell<Duration>,
    /// The time that the handler had waited when the last byte came.
    waited: Cell<Duration>,
    /// The client did not send enough in [`GATHER_TIME`].
    is_slow: Cell<bool>,
    timer: Timer,
}

/// The ways in which a wait for the client ends without a byte of it.
pub(super) enum Waited {
    /// There will be no more that is worth the wait, if there is anything.
    ForMore,
    TooLong,
}

/// A task that waits for the body.
struct Waiter {
    ticket: u64,
    waker: Waker,
}

impl Pull {
    pub(super) fn new() -> Self {
        Self {
            number: Cell::new(0),
            waiter: RefCell::new(None),
            displaced: RefCell::default(),
            tickets: Cell::new(0),
            expects_continue: Cell::new(false),
            failed: Cell::new(None),
            timeout: Cell::new(Duration::ZERO),
            since: Cell::new(None),
            limit: Cell::new(Duration::ZERO),
            quiet: Cell::new(Duration::ZERO),
            waited: Cell::new(Duration::ZERO),
            is_slow: Cell::new(false),
            timer: Timer::default(),
        }
    }

    /// Begins the next request, behind the retirement of the last one, and returns its number.
    #[inline]
    pub(super) fn begin(&self, expects_continue: bool, timeouts: &Timeouts) -> u64 {
        self.expects_continue.set(expects_continue);
        self.failed.set(None);
        self.timeout.set(timeouts.body);
        self.since.set(None);
        self.quiet.set(Duration::ZERO);
        self.waited.set(Duration::ZERO);
        self.is_slow.set(false);
        self.number.get()
    }

    /// Makes the body of the request so far out of date.
    #[inline]
    pub(super) fn retire(&self) {
        self.number.set(self.number.get() + 1);
        self.wake_all();
    }

    #[inline]
    fn wake_all(&self) {
        if self.waiter.borrow().is_some() || !self.displaced.borrow().is_empty() {
            self.wake_waiters();
        }
    }

    #[cold]
    fn wake_waiters(&self) {
        let last = self.waiter.take();
        let all = last.into_iter().chain(self.displaced.take());
        unwind::each(all, |waiter| waiter.waker.wake());
    }

    pub(super) fn is_current(&self, number: u64) -> bool {
        self.number.get() == number
    }

    /// Whether a task waits for the body.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiter.borrow().is_some()
    }

    /// Notes that a task waits; `ticket` is what it had before, and what it has to give up.
    pub(super) fn wait(&self, ticket: &mut Option<u64>, context: &Context<'_>) {
        let ticket = *ticket.get_or_insert_with(|| {
            self.tickets.set(self.tickets.get() + 1);
            self.tickets.get()
        });
        let waiter = Waiter {
            ticket,
            waker: context.waker().clone(),
        };
        let before = self.waiter.replace(Some(waiter));
        if let Some(before) = before.filter(|before| before.ticket != ticket) {
            let again = self.remove_displaced(ticket);
            self.displaced.borrow_mut().push(before);
            drop(again);
        }
    }

    fn remove_displaced(&self, ticket: u64) -> Option<Waiter> {
        let mut displaced = self.displaced.borrow_mut();
        let at = displaced.iter().position(|other| other.ticket == ticket)?;
        Some(displaced.swap_remove(at))
    }

    /// The holder of `ticket` does not wait any more; others that do ask again.
    pub(super) fn leave(&self, ticket: Option<u64>) {
        self.stop_clock();
        let waiter = self.waiter.take();
        let is_last = waiter.as_ref().map(|waiter| waiter.ticket) == ticket;
        if !is_last {
            // The socket has woken its owner, or will.
            drop(self.waiter.replace(waiter));
            let displaced = ticket.and_then(|ticket| self.remove_displaced(ticket));
            return drop(displaced);
        }
        unwind::each(self.displaced.take(), |other| other.waker.wake());
    }

    pub(super) fn set_timeout(&self, timeout: Duration) {
        self.timeout.set(timeout);
    }

    pub(super) fn failed(&self) -> Option<BodyFailure> {
        self.failed.get()
    }

    pub(super) fn set_failed(&self, failure: Option<BodyFailure>) {
        self.failed.set(failure);
    }

    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue.get()
    }

    /// Notes that the client need not wait any more; returns whether it did.
    pub(super) fn take_expectation(&self) -> bool {
        self.expects_continue.replace(false)
    }

    /// Notes that the client did not send enough in the time for gathering.
    pub(super) fn note_slow(&self) {
        self.is_slow.set(true);
    }

    pub(super) fn reset(&self) {
        self.retire();
        self.expects_continue.set(false);
        self.timer.clear();
    }

    /// Notes that the handler does not wait. A wait that went on past its limit shows that this
    /// thread was busy elsewhere, so it does not count against the client.
    fn stop_clock(&self) {
        if let Some(since) = self.since.take() {
            let waited = time::now().saturating_duration_since(since);
            if waited <= self.limit.get().saturating_add(LATE) {
                self.quiet.set(self.quiet.get().saturating_add(waited));
            }
        }
    }

    /// Notes that the client sent something; whether it was as much as is received at once.
    pub(super) fn arrived(&self, is_full: bool) {
        if is_full {
            self.is_slow.set(false);
        }
        self.stop_clock();
        let waited = self.waited.get().saturating_add(self.quiet.take());
        self.waited.set(waited);
    }

    /// How to receive: no more than the body has, where that is known. Only then is the client's
    /// last byte sure to end a wait for more.
    pub(super) fn flood(&self, body: &BodyDecoder) -> Flood {
        let at_most = |bytes: usize, left: u64| left.min(bytes as u64) as u32;
        let gather_bytes = match body.bytes_left() {
            Some(left) if !self.is_slow.get() => at_most(GATHER_BYTES, left),
            _ => 0,
        };
        Flood {
            bytes_max: at_most(BULK_BYTES_MAX, body.bytes_left().unwrap_or(u64::MAX)),
            gather_bytes,
        }
    }

    /// Waits for a client of which `received` bytes have come, at most until a limit.
    pub(super) fn poll_limit(
        &self,
        received: u64,
        gathers: bool,
        timeouts: &Timeouts,
        context: &mut Context<'_>,
    ) -> Poll<Waited> {
        let since = self.since.get().unwrap_or_else(time::now);
        self.since.set(Some(since));
        let quiet = self.quiet.get();
        let mut left = self.timeout.get().saturating_sub(quiet);
        if timeouts.body_rate_min > 0 {
            let earned = Duration::from_secs(received / u64::from(timeouts.body_rate_min));
            let allowed = timeouts.body_rate_grace.max(earned);
            let waited = self.waited.get().saturating_add(quiet);
            left = left.min(allowed.saturating_sub(waited));
        }
        self.limit.set(left);
        let mut waited = Waited::TooLong;
        let gather = GATHER_TIME.saturating_sub(quiet);
        if gathers && gather < left {
            (left, waited) = (gather, Waited::ForMore);
        }
        match since.checked_add(left) {
            Some(deadline) => self.timer.poll(deadline, context).map(|()| waited),
            // The deadline does not fit an `Instant`: there is no limit.
            None => Poll::Pending,
        }
    }
}
