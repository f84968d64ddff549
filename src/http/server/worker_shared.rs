//! The state that the exchanges of one worker share.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    access_log::Access,
    end_reason::EndReason,
    phase::Phase,
    refusals::{Refusal, Refused},
    report::Report,
    settings::Settings,
};
use crate::{
    http::{
        HeaderValue, StatusCode,
        error_answer::ErrorAnswer,
        h1::{AnswerTo, DateCache, PlainEncoder, RequestHead, ResponseFraming},
        stop_notice::StopNotice,
        trusted_proxies::Peer,
    },
    net::Outbox,
};

/// Bytes that all connections of a worker together send in one of its turns, before it looks for
/// new connections and requests: clients that ask for much and take it at once, or whose kernels
/// hold it for them, would keep all others waiting. One piece more may be sent.
const TURN_BYTES_MAX: usize = 1024 * 1024;

/// With more connections than this being served, large bodies go to the kernel in pieces. A whole
/// one saves a turn for each piece.
const CROWD_MIN: usize = 8;

/// The state that the exchanges of one worker share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    date: RefCell<DateCache>,
    plain: RefCell<PlainEncoder>,
    /// Upgraded connections have it, too.
    pub(crate) stop: Rc<StopNotice>,
    answered: Cell<u64>,
    /// The worker's clock, if there is a worker.
    second: Cell<Option<u32>>,
    has_writes: Cell<bool>,
    is_crowded: Cell<bool>,
    /// Bytes that were sent in this turn of the worker's.
    turn_bytes: Cell<usize>,
    /// Answers that are sent while their connections are idle.
    pub(crate) outbox: Rc<Outbox>,
    /// Bytes of bodies that went through memory of their own since the worker asked last.
    body_bytes: Cell<usize>,
    report: RefCell<Report>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, is_stopping: Arc<AtomicBool>) -> Self {
        Self {
            settings,
            date: RefCell::new(DateCache::new(unix_seconds())),
            plain: RefCell::new(PlainEncoder::new()),
            stop: Rc::new(StopNotice::new(is_stopping)),
            answered: Cell::new(0),
            second: Cell::new(None),
            has_writes: Cell::new(false),
            is_crowded: Cell::new(false),
            turn_bytes: Cell::new(0),
            outbox: Rc::default(),
            body_bytes: Cell::new(0),
            report: RefCell::default(),
        }
    }

    /// Notes that so many bytes of a body went through memory of their own.
    pub(crate) fn note_body_bytes(&self, bytes: usize) {
        self.body_bytes
            .set(self.body_bytes.get().saturating_add(bytes));
    }

    pub(crate) fn take_body_bytes(&self) -> usize {
        self.body_bytes.take()
    }

    /// The `Date` field's line, as of this turn.
    pub(crate) fn date_line(&self) -> [u8; 37] {
        *self.date.borrow().line()
    }

    /// Adds a whole answer without fields of its own to `out`, dated as of this turn.
    #[inline]
    pub(crate) fn encode_plain(
        &self,
        out: &mut Vec<u8>,
        status: StatusCode,
        content_type: &HeaderValue,
        body: &[u8],
        answer_to: AnswerTo,
    ) -> ResponseFraming {
        let mut plain = self.plain.borrow_mut();
        let date = self.date.borrow();
        plain.encode(out, status, content_type, body, answer_to, &date)
    }

    /// Notes that the writes under way are watched once a second, the last time at second `now`.
    pub(crate) fn set_second(&self, now: u32) {
        self.second.set(Some(now));
    }

    /// Whether the writes under way are watched.
    #[inline]
    pub(crate) fn watches_writes(&self) -> bool {
        self.second.get().is_some()
    }

    /// Notes that a write is under way. Returns the present second if writes are watched.
    pub(crate) fn note_write(&self) -> Option<u32> {
        self.has_writes.set(true);
        self.second.get()
    }

    /// Whether there may be writes under way.
    pub(crate) fn has_writes(&self) -> &Cell<bool> {
        &self.has_writes
    }

    /// Begins a turn of the worker's, with so many connections being served.
    pub(crate) fn begin_turn(&self, served_count: usize) {
        self.turn_bytes.set(0);
        self.is_crowded.set(served_count > CROWD_MIN);
    }

    /// Whether so many connections are served that none may be sent much at once.
    pub(crate) fn is_crowded(&self) -> bool {
        self.is_crowded.get()
    }

    /// Counts bytes that are sent.
    #[inline]
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.turn_bytes
            .set(self.turn_bytes.get().saturating_add(bytes));
    }

    /// Whether so much was sent in this turn that the rest is for answers under way.
    pub(crate) fn is_turn_half_over(&self) -> bool {
        self.turn_bytes.get() >= TURN_BYTES_MAX / 2
    }

    /// Whether so much was sent in this turn that it is over. Without a worker there are no other
    /// connections, and it never is.
    pub(crate) fn is_turn_over(&self) -> bool {
        self.turn_bytes.get() >= TURN_BYTES_MAX && self.watches_writes()
    }

    /// Reads the clock for `Date`, once a turn.
    pub(crate) fn look_at_clock(&self) {
        self.date.borrow_mut().at(unix_seconds());
    }

    /// Whether the server is stopping: every answer from now on closes its connection.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_stopping()
    }

    /// Begins the stop, and tells the handlers that wait for it.
    pub(crate) fn begin_stop(&self) {
        self.stop.begin();
    }

    /// Waits until the server begins to stop.
    pub(crate) async fn stopping(&self) {
        self.stop.stopping().await;
    }

    /// Counts a request that was answered.
    pub(crate) fn count_answer(&self) {
        self.answered.set(self.answered.get() + 1);
    }

    /// Counts why the server refused a request, or bytes that were none, or cut an answer off.
    #[cold]
    pub(crate) fn count_refusal(&self, reason: EndReason) {
        self.report.borrow_mut().count_refusal(reason);
    }

    /// Counts a request that was refused, or bytes that were none, and tells the access log. There
    /// may be a `head`, when they were a request.
    #[cold]
    pub(crate) fn note_refusal(
        &self,
        peer: impl FnOnce() -> Option<SocketAddr>,
        reason: EndReason,
        head: Option<&RequestHead>,
    ) {
        self.count_refusal(reason);
        if let Some(log) = &self.settings.access_log {
            let peer = peer();
            let client = self
                .settings
                .client_addr(peer.map_or(Peer::Gone, Peer::Addr), head);
            log(&Access {
                client,
                ..Access::refused(peer, reason, head)
            });
        }
    }

    /// The answer of the hook for refusals, if there is one.
    #[cold]
    pub(crate) fn refusal_answer(
        &self,
        peer: impl FnOnce() -> Option<SocketAddr>,
        reason: EndReason,
        request: Refused<'_>,
    ) -> Option<ErrorAnswer> {
        let hook = self.settings.refusals.as_ref()?;
        let refusal = Refusal {
            reason,
            request,
            peer: peer(),
        };
        refusal.answer(hook)
    }

    /// Changes the other counts of this worker.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Report)) {
        count(&mut self.report.borrow_mut());
    }

    /// Counts a connection that was served until it was cut, in this phase.
    pub(crate) fn count_cut(&self, phase: Phase) {
        self.count(|report| {
            // Its client has had the whole answer, and has yet to close its side.
            let count = if phase == Phase::Closing {
                &mut report.finished
            } else {
                &mut report.cut
            };
            *count += 1;
        });
    }

    /// The counts of this worker so far.
    pub(crate) fn report(&self) -> Report {
        let mut report = self.report.borrow().clone();
        report.answered = self.answered.get();
        report
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
