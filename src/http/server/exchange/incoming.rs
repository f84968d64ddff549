//! How a handler pulls the body of its request.
//!
//! The body stays with the client until it is pulled: nothing is received ahead but what the socket
//! has parked. A wait for the client has two limits, the time since its last byte and the rate over
//! all the time that was waited; the time in which the handler does not wait counts for neither.

use std::{
    cell::{Cell, RefCell},
    io,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{Exchange, Gone, timer::Timer};
use crate::{
    budget,
    http::{
        HeaderMap,
        error::Result,
        h1::{BodyDecoder, BodyError, CONTINUE},
        server::{phase::Phase, timeouts::Timeouts},
        transport::BULK_BYTES_MAX,
    },
    net::Flood,
    pool::ManagedBuf,
    time, unwind,
};

/// How much of a body that its handler did not read is skipped to keep the connection.
const DRAIN_BYTES_MAX: u64 = 256 * 1024;

/// How much is skipped of a body that could still be read when the head of the answer was written,
/// and that head said that the connection stays. A client that has sent all of its request counts on
/// that, and what it has under way may fill the buffers of both sockets.
const PROMISED_DRAIN_BYTES_MAX: u64 = 64 << 20;

/// A wait for a client that sends a flood may last until so much of it is there: otherwise each
/// segment wakes the server, which is done with it before the next one. CPU time for a GiB in a bare
/// C loop, beside hyper's: 1.09 without this, 0.79 for one receive's worth, 0.73 for two, 0.63 for
/// four, which is as much as the window that a connection begins with (2-vCPU guest, Linux 6.18).
const GATHER_BYTES: usize = 238 * 1024;

/// How long the first of those bytes wait for the others at the most.
const GATHER_TIME: Duration = Duration::from_millis(2);

/// So long after its limit a wait still counts, by which a timer may be late.
const LATE: Duration = Duration::from_millis(100);

/// What an exchange knows of its request's body besides the bytes.
pub(crate) struct Pull {
    /// The request that is being answered; bodies of earlier ones are out of date.
    number: Cell<u64>,
    /// Who waits for the body, to be told when it is out of date: the last one who asked, whom the
    /// connection wakes.
    waiter: RefCell<Option<Waiter>>,
    /// Others who wait; they ask again when that one does not any more.
    displaced: RefCell<Vec<Waiter>>,
    /// How many tickets were given out.
    tickets: Cell<u64>,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// The body broke the protocol or a limit, so that nobody knows where the next request begins.
    failed: Cell<Option<BodyError>>,
    timeout: Cell<Duration>,
    /// Since when the handler waits for the client.
    since: Cell<Option<Instant>>,
    /// How long it may wait from then on.
    limit: Cell<Duration>,
    /// How long it has waited before that, since the last byte.
    quiet: Cell<Duration>,
    /// How long it has waited until the last byte.
    waited: Cell<Duration>,
    /// The client did not send enough in [`GATHER_TIME`].
    is_slow: Cell<bool>,
    timer: Timer,
}

/// How a wait for the client ends without a byte of it.
enum Waited {
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
    pub(crate) fn new() -> Self {
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
    pub(crate) fn begin(&self, expects_continue: bool, timeouts: &Timeouts) -> u64 {
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
    pub(crate) fn retire(&self) {
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

    pub(crate) fn is_current(&self, number: u64) -> bool {
        self.number.get() == number
    }

    /// Whether somebody waits for the body.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiter.borrow().is_some()
    }

    /// Notes that a task waits; `ticket` is what it had before, and what it has to give up.
    fn wait(&self, ticket: &mut Option<u64>, context: &Context<'_>) {
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

    /// Who had `ticket` does not wait any more; others that do ask again.
    fn leave(&self, ticket: Option<u64>) {
        self.stop_clock();
        let waiter = self.waiter.take();
        let is_last = waiter.as_ref().map(|waiter| waiter.ticket) == ticket;
        if !is_last {
            // What woke its owner, or will, is the socket.
            drop(self.waiter.replace(waiter));
            let displaced = ticket.and_then(|ticket| self.remove_displaced(ticket));
            return drop(displaced);
        }
        unwind::each(self.displaced.take(), |other| other.waker.wake());
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.set(timeout);
    }

    pub(crate) fn failed(&self) -> Option<BodyError> {
        self.failed.get()
    }

    pub(crate) fn reset(&self) {
        self.retire();
        self.expects_continue.set(false);
        self.timer.clear();
    }

    /// Notes that the handler does not wait. A wait that nobody ended at its limit says that this
    /// thread was away, and nothing about the client: it does not count.
    fn stop_clock(&self) {
        if let Some(since) = self.since.take() {
            let waited = time::now().saturating_duration_since(since);
            if waited <= self.limit.get().saturating_add(LATE) {
                self.quiet.set(self.quiet.get().saturating_add(waited));
            }
        }
    }

    /// Notes that the client sent something; whether it was as much as is received at once.
    fn arrived(&self, is_full: bool) {
        if is_full {
            self.is_slow.set(false);
        }
        self.stop_clock();
        let waited = self.waited.get().saturating_add(self.quiet.take());
        self.waited.set(waited);
    }

    /// How to receive: no more than the body has, where that is known. Only then is the client's last
    /// byte sure to end a wait for more.
    fn flood(&self, body: &BodyDecoder) -> Flood {
        let at_most = |bytes: usize, left: u64| left.min(bytes as u64) as u32;
        let gather_bytes = match body.left() {
            Some(left) if !self.is_slow.get() => at_most(GATHER_BYTES, left),
            _ => 0,
        };
        Flood {
            bytes_max: at_most(BULK_BYTES_MAX, body.left().unwrap_or(u64::MAX)),
            gather_bytes,
        }
    }

    /// Waits for a client of which `received` bytes have come, at most until a limit.
    fn poll_limit(
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

impl Exchange {
    /// The next piece of the body of request `number`. While it waits there is a `ticket`, which
    /// whoever gives up has to give back.
    pub(crate) fn poll_body(
        &self,
        number: u64,
        ticket: &mut Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<ManagedBuf>>> {
        if !self.pull.is_current(number) {
            let text = "the request was answered, and the rest of its body was skipped";
            return Poll::Ready(Err(io::Error::other(text).into()));
        }
        let result = match self.poll_piece(context) {
            Poll::Pending => {
                self.pull.wait(ticket, context);
                return Poll::Pending;
            }
            Poll::Ready(result) => result,
        };
        self.pull.leave(ticket.take());
        budget::spend();
        if let Err(error) = &result {
            self.pull.failed.set(error.body_error());
        }
        if !matches!(result, Ok(Some(_))) {
            // From now on it is the exchange that watches over the client.
            self.wake();
        }
        Poll::Ready(result)
    }

    fn poll_piece(&self, context: &mut Context<'_>) -> Poll<Result<Option<ManagedBuf>>> {
        loop {
            let (received, flood) = {
                let mut input = self.input.borrow_mut();
                let mut body = self.body.borrow_mut();
                if body.is_end() {
                    return Poll::Ready(Ok(None));
                }
                body.check_length()?;
                if !input.is_empty() {
                    let rules = &self.shared.settings.rules;
                    // Chunks are handed out together: one by one, what is behind each would be
                    // copied again and again.
                    let step = body.decode_in_place(input.bytes_mut(), rules)?;
                    if let Some(data) = input.take(step.data, step.consumed) {
                        return Poll::Ready(Ok(Some(data)));
                    }
                    continue;
                }
                (body.received(), self.pull.flood(&body))
            };
            self.ask_for_body()?;
            match self.poll_receive_up_to(flood, context) {
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                    return Poll::Ready(match self.body.borrow_mut().eof() {
                        Ok(()) => Ok(None),
                        Err(error) => Err(error.into()),
                    });
                }
                Poll::Ready(Ok(bytes)) => {
                    self.pull.arrived(bytes.len() >= BULK_BYTES_MAX);
                    self.shared.note_body_bytes(bytes.len());
                    self.input.borrow_mut().push(bytes);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    let timeouts = &self.shared.settings.timeouts;
                    let gathers = self.with_transport(|transport| Ok(transport.is_gathering()))?;
                    match self.pull.poll_limit(received, gathers, timeouts, context) {
                        // What there is comes now.
                        Poll::Ready(Waited::ForMore) => self.pull.is_slow.set(true),
                        Poll::Ready(Waited::TooLong) => {
                            return Poll::Ready(Err(BodyError::TimedOut.into()));
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
    }

    fn poll_receive_up_to(
        &self,
        flood: Flood,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ManagedBuf>> {
        match &*self.transport.borrow() {
            Some(transport) => transport.poll_recv_up_to(flood, context),
            None => Poll::Ready(Ok(ManagedBuf::empty())),
        }
    }

    /// Gives up a wait for a piece of the body of request `number`, so that the exchange watches
    /// over the client again.
    pub(crate) fn give_up_body(&self, number: u64, ticket: u64) {
        if self.pull.is_current(number) {
            self.pull.leave(Some(ticket));
        }
    }

    /// Tells a client that waits for it to send the body.
    pub(crate) fn ask_for_body(&self) -> io::Result<()> {
        if !self.pull.expects_continue.replace(false) {
            return Ok(());
        }
        self.outgoing.add_interim(CONTINUE);
        if self.outgoing.has_head() {
            // It leaves with the head behind it, or comes too late.
            self.wake();
            return Ok(());
        }
        let mut output = self.outgoing.bytes.take();
        let result = self.with_transport(|transport| transport.try_write(&output));
        match result {
            Ok(sent) => drop(output.drain(..sent)),
            // What cannot leave now does so when the handler waits.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let is_sent = output.is_empty();
        self.outgoing.put_back(output);
        if !is_sent {
            self.wake();
        }
        Ok(())
    }

    /// Fields that came behind the body of request `number`; none before its end.
    pub(crate) fn trailers(&self, number: u64) -> HeaderMap {
        let body = self.body.borrow();
        if self.pull.is_current(number) && body.is_end() {
            body.trailers().to_header_map()
        } else {
            HeaderMap::new()
        }
    }

    /// Whether the connection can stay open behind an answer, as its head is to say, when the body is
    /// not read any more: the end of the body is here, or it is known to be near.
    #[inline]
    pub(crate) fn can_skip_body(&self) -> bool {
        self.body.borrow().is_end() || self.can_skip_rest()
    }

    #[cold]
    fn can_skip_rest(&self) -> bool {
        // A client that still waits for `100 Continue` may send its body or not, and nothing on the
        // connection would tell which.
        if self.pull.expects_continue.get() || self.pull.failed.get().is_some() {
            return false;
        }
        self.lift_body_limit();
        match self.skip_step(&mut 0, DRAIN_BYTES_MAX) {
            Some(is_skipped) => is_skipped,
            // Where the body ends is not known before it has ended.
            None => self.body.borrow().left().is_some(),
        }
    }

    /// The limit on a body is about what its handler takes, and has no say in what is skipped.
    fn lift_body_limit(&self) {
        self.body.borrow_mut().set_bytes_max(u64::MAX);
    }

    /// The same while somebody may read the body to its end after the head was written.
    pub(crate) fn may_end_body(&self) -> bool {
        self.body.borrow().is_end()
            || !self.pull.expects_continue.get() && self.pull.failed.get().is_none()
    }

    /// Takes what the handler left of the body out of the input; `None` when more has to come, and
    /// false when the connection has to end for it: the body broke a rule, or has more than
    /// `bytes_max` bytes. `skipped` counts what was skipped so far.
    fn skip_step(&self, skipped: &mut u64, bytes_max: u64) -> Option<bool> {
        loop {
            let mut input = self.input.borrow_mut();
            let mut body = self.body.borrow_mut();
            if body.is_end() {
                return Some(true);
            }
            let before = body.received();
            let Ok(step) = body.decode(input.bytes(), &self.shared.settings.rules) else {
                return Some(false);
            };
            *skipped += body.received() - before;
            input.consume(step.consumed);
            if body.is_end() {
                return Some(true);
            }
            if skipped.saturating_add(body.left().unwrap_or(0)) > bytes_max {
                return Some(false);
            }
            if input.is_empty() {
                return None;
            }
        }
    }

    /// Skips the body of a request, for something else to begin behind it; false when there is too
    /// much of it.
    pub(crate) async fn skip_body(&self) -> std::result::Result<bool, Gone> {
        self.skip_up_to(DRAIN_BYTES_MAX).await
    }

    /// Skips what was left of the body behind an answer that said that the connection stays open;
    /// false when the connection has to end for it nevertheless.
    pub(crate) async fn skip_promised(&self) -> std::result::Result<bool, Gone> {
        if self.may_end_body() {
            self.lift_body_limit();
            self.skip_up_to(PROMISED_DRAIN_BYTES_MAX).await
        } else {
            Ok(false)
        }
    }

    async fn skip_up_to(&self, bytes_max: u64) -> std::result::Result<bool, Gone> {
        let mut skipped = 0;
        let mut deadline = None;
        loop {
            if let Some(is_skipped) = self.skip_step(&mut skipped, bytes_max) {
                return Ok(is_skipped);
            }
            self.phase.set(Phase::Body);
            self.flush().await?;
            if deadline.is_none() {
                deadline = time::now().checked_add(self.shared.settings.timeouts.body);
            }
            if !self.receive(deadline).await? {
                return Ok(false);
            }
        }
    }
}
