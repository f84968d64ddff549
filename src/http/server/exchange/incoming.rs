//! The receiving side of an exchange, from which a handler pulls the body of its request.
//!
//! The body stays with the client until it is pulled: nothing is received ahead but what the socket
//! has parked. `pull.rs` has the waits for it.

use std::{
    cell::RefCell,
    io,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    line::Line,
    outgoing::Outgoing,
    pull::{Pull, Waited},
};
use crate::{
    budget,
    http::{
        HeaderMap,
        error::Result,
        error_kind::BodyFailure,
        h1::{BodyDecoder, BodyLength, CONTINUE, RequestHead, Rules},
        server::{settings::Settings, worker_shared::Shared},
        transport::input::Input,
    },
    net::BULK_BYTES_MAX,
    pool::ManagedBuf,
};

/// How much of a body that its handler did not read is skipped to keep the connection.
pub(super) const DRAIN_BYTES_MAX: u64 = 256 * 1024;

/// How much is skipped of a body that could still be read when the head of the answer was written,
/// and that head said that the connection stays. A client that has sent all of its request counts
/// on that, and what it has under way may fill the buffers of both sockets.
pub(super) const PROMISED_DRAIN_BYTES_MAX: u64 = 64 << 20;

/// Memory that a used exchange keeps for its input.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// The received bytes that are not consumed yet, the decoder of the present body, and the waits for
/// more of it.
pub(super) struct Incoming {
    input: RefCell<Input>,
    body: RefCell<BodyDecoder>,
    pull: Pull,
}

/// The rest of an exchange, as far as the body of a request needs it.
pub(super) struct Way<'a> {
    pub(super) line: &'a Line,
    pub(super) outgoing: &'a Outgoing,
    pub(super) shared: &'a Shared,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self {
            input: RefCell::default(),
            body: RefCell::new(BodyDecoder::new()),
            pull: Pull::new(),
        }
    }

    /// Adds received bytes.
    pub(super) fn push(&self, bytes: ManagedBuf) {
        self.input.borrow_mut().push(bytes);
    }

    /// Drops the first `count` of the bytes that are here.
    pub(super) fn consume(&self, count: usize) {
        self.input.borrow_mut().consume(count);
    }

    /// Copies what is here out of the kernel's memory, which is wanted back.
    pub(super) fn copy_out(&self) {
        self.input.borrow_mut().copy_out();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.input.borrow().is_empty()
    }

    /// Calls with the bytes that are here.
    #[inline]
    pub(super) fn with_bytes<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R {
        call(self.input.borrow().bytes())
    }

    /// Takes the bytes that are here.
    pub(super) fn take_bytes(&self) -> Vec<u8> {
        let mut input = self.input.borrow_mut();
        let bytes = input.bytes().to_vec();
        input.clear();
        bytes
    }

    /// Takes the head of a request out of the input and begins its body; returns the request's
    /// number.
    #[inline]
    pub(super) fn begin(&self, head: &RequestHead, settings: &Settings) -> u64 {
        self.consume(head.consumed());
        let bytes_max = settings.rules.limits.body_bytes_max;
        self.body.borrow_mut().begin(head.body_length(), bytes_max);
        self.pull.begin(head.expects_continue(), &settings.timeouts)
    }

    /// Forgets a connection that has ended.
    pub(super) fn end(&self) {
        self.pull.reset();
        self.body.borrow_mut().begin(BodyLength::None, 0);
        let mut input = self.input.borrow_mut();
        input.clear();
        input.shrink(KEPT_BYTES_MAX);
    }

    /// Forgets the requests of a connection that is idle next.
    pub(super) fn rest(&self) {
        self.pull.reset();
        self.input.borrow_mut().shrink(KEPT_BYTES_MAX);
    }

    /// Forgets who waits.
    pub(super) fn reset(&self) {
        self.pull.reset();
    }

    /// Makes the body of the request so far out of date.
    #[inline]
    pub(super) fn retire(&self) {
        self.pull.retire();
    }

    /// Whether request `number` is the present one.
    pub(super) fn is_current(&self, number: u64) -> bool {
        self.pull.is_current(number)
    }

    /// Whether a task waits for the body.
    pub(super) fn is_waited_for(&self) -> bool {
        self.pull.is_waited_for()
    }

    /// The error of the present body.
    #[inline]
    pub(super) fn failed(&self) -> Option<BodyFailure> {
        self.pull.failed()
    }

    pub(super) fn set_timeout(&self, timeout: Duration) {
        self.pull.set_timeout(timeout);
    }

    pub(super) fn set_bytes_max(&self, bytes_max: u64) {
        self.body.borrow_mut().set_bytes_max(bytes_max);
    }

    /// Whether the whole body was consumed.
    #[inline]
    pub(super) fn is_end(&self) -> bool {
        self.body.borrow().is_end()
    }

    /// How many bytes of the body are to come, where that is known.
    pub(super) fn bytes_left(&self) -> Option<u64> {
        self.body.borrow().bytes_left()
    }

    /// How many bytes of the body have come.
    pub(super) fn received(&self) -> u64 {
        self.body.borrow().received()
    }

    /// How many bytes the client has yet to send, where that is known.
    pub(super) fn to_come(&self) -> Option<u64> {
        // There may be more here than the body: another request, or bytes that could not be read.
        self.bytes_left()?
            .checked_sub(self.input.borrow().bytes().len() as u64)
    }

    /// Trailers of the body of request `number`; none before its end.
    pub(super) fn trailers(&self, number: u64) -> HeaderMap {
        let body = self.body.borrow();
        if self.is_current(number) && body.is_end() {
            body.trailers().to_header_map()
        } else {
            HeaderMap::new()
        }
    }

    /// The next piece of the body of request `number`. While it waits there is a `ticket`, which a
    /// caller that gives up has to give back.
    pub(super) fn poll_body(
        &self,
        number: u64,
        ticket: &mut Option<u64>,
        way: &Way<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<ManagedBuf>>> {
        if !self.is_current(number) {
            let text = "the request was answered, and the rest of its body was skipped";
            return Poll::Ready(Err(io::Error::other(text).into()));
        }
        let result = match self.poll_piece(way, context) {
            Poll::Pending => {
                self.pull.wait(ticket, context);
                return Poll::Pending;
            }
            Poll::Ready(result) => result,
        };
        self.pull.leave(ticket.take());
        budget::spend();
        if let Err(error) = &result {
            self.pull.set_failed(error.body_failure());
        }
        if !matches!(result, Ok(Some(_))) {
            // From now on it is the exchange that watches over the client.
            way.line.wake();
        }
        Poll::Ready(result)
    }

    /// Gives up a wait for a piece of the body of request `number`, so that the exchange watches
    /// over the client again.
    pub(super) fn give_up(&self, number: u64, ticket: u64) {
        if self.is_current(number) {
            self.pull.leave(Some(ticket));
        }
    }

    fn poll_piece(
        &self,
        way: &Way<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<ManagedBuf>>> {
        let settings = &way.shared.settings;
        loop {
            let (received, flood) = {
                let mut input = self.input.borrow_mut();
                let mut body = self.body.borrow_mut();
                if body.is_end() {
                    return Poll::Ready(Ok(None));
                }
                body.check_length()?;
                if !input.is_empty() {
                    // Chunks are handed out together: one by one, the bytes after each would be
                    // copied again and again.
                    let step = body.decode_in_place(input.bytes_mut(), &settings.rules)?;
                    if let Some(data) = input.take(step.data, step.consumed) {
                        return Poll::Ready(Ok(Some(data)));
                    }
                    continue;
                }
                (body.received(), self.pull.flood(&body))
            };
            self.ask(way)?;
            match way.line.poll_receive_up_to(flood, context) {
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                    return Poll::Ready(match self.body.borrow_mut().eof() {
                        Ok(()) => Ok(None),
                        Err(error) => Err(error.into()),
                    });
                }
                Poll::Ready(Ok(bytes)) => {
                    self.pull.arrived(bytes.len() >= BULK_BYTES_MAX);
                    way.shared.note_body_bytes(bytes.len());
                    self.push(bytes);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    let gathers = way.line.with(|transport| Ok(transport.is_gathering()))?;
                    let timeouts = &settings.timeouts;
                    match self.pull.poll_limit(received, gathers, timeouts, context) {
                        // The bytes that are there come now.
                        Poll::Ready(Waited::ForMore) => self.pull.note_slow(),
                        Poll::Ready(Waited::TooLong) => {
                            return Poll::Ready(Err(BodyFailure::Timeout.into()));
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
    }

    /// Tells a client that waits for it to send the body.
    pub(super) fn ask(&self, way: &Way<'_>) -> io::Result<()> {
        if !self.pull.take_expectation() {
            return Ok(());
        }
        let Way { line, outgoing, .. } = way;
        outgoing.add_interim(CONTINUE);
        if outgoing.has_head() {
            // It leaves with the head that follows it, or comes too late.
            line.wake();
            return Ok(());
        }
        let mut output = outgoing.take_bytes();
        let result = line.with(|transport| transport.try_write(&output));
        match result {
            Ok(sent) => drop(output.drain(..sent)),
            // The rest leaves when the handler waits.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let is_sent = output.is_empty();
        outgoing.put_back(output);
        if !is_sent {
            line.wake();
        }
        Ok(())
    }

    /// Whether the connection can stay open after an answer, as its head is to say, when the body
    /// is not read any more: the end of the body is here, or it is known to be near.
    #[inline]
    pub(super) fn can_skip(&self, rules: &Rules) -> bool {
        self.is_end() || self.can_skip_rest(rules)
    }

    #[cold]
    fn can_skip_rest(&self, rules: &Rules) -> bool {
        if !self.may_end() {
            return false;
        }
        self.lift_limit();
        match self.skip_step(&mut 0, DRAIN_BYTES_MAX, rules) {
            Some(is_skipped) => is_skipped,
            // Where the body ends is not known before it has ended.
            None => self.bytes_left().is_some(),
        }
    }

    /// Whether a task may still read the body to its end. A client that waits for `100 Continue`
    /// may send its body or not, and nothing on the connection would tell which.
    pub(super) fn may_end(&self) -> bool {
        self.is_end() || !self.pull.expects_continue() && self.failed().is_none()
    }

    /// The limit on a body is about what its handler takes, and has no say in what is skipped.
    pub(super) fn lift_limit(&self) {
        self.set_bytes_max(u64::MAX);
    }

    /// Takes what the handler left of the body out of the input; `None` when more has to come, and
    /// false when the connection has to end for it: the body broke a rule, or has more than
    /// `bytes_max` bytes. `skipped` counts what was skipped so far.
    pub(super) fn skip_step(
        &self,
        skipped: &mut u64,
        bytes_max: u64,
        rules: &Rules,
    ) -> Option<bool> {
        loop {
            let mut input = self.input.borrow_mut();
            let mut body = self.body.borrow_mut();
            if body.is_end() {
                return Some(true);
            }
            let before = body.received();
            let Ok(step) = body.decode(input.bytes(), rules) else {
                return Some(false);
            };
            *skipped += body.received() - before;
            input.consume(step.consumed);
            if body.is_end() {
                return Some(true);
            }
            if skipped.saturating_add(body.bytes_left().unwrap_or(0)) > bytes_max {
                return Some(false);
            }
            if input.is_empty() {
                return None;
            }
        }
    }
}
