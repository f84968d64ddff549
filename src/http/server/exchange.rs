//! Serves a connection from its first unread byte until nothing is left to answer.
//!
//! An exchange is a future that never ends (`serve.rs`): it waits for a connection
//! (`Exchange::give`), serves it, says how that ended (`Exchange::take_ended`), and waits for the
//! next. So its storage, its handler's included, is used again without being made again, however
//! large it is.
//!
//! [`Exchange`] is shared by that future, the request's [`Body`](crate::http::Body), a
//! [`BodyWriter`](crate::http::BodyWriter) and the worker. It has three parts: `line.rs` is the
//! connection, `incoming.rs` the request's body, `outgoing.rs` the bytes that gather to be sent.
//! `sending.rs` sends them, and `driving.rs` polls the handler's futures.

mod detached;
#[cfg(any(feature = "http2", feature = "tower"))]
mod detached_answer;
mod driving;
mod incoming;
mod line;
mod outgoing;
mod pull;
mod sending;
mod timer;
mod tunnel;

use std::{
    cell::{Cell, RefCell, RefMut},
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

pub(crate) use driving::Driven;
pub(crate) use line::Written;
pub(crate) use tunnel::Tunnel;

use super::{
    connection_info::ConnectionInfo,
    end_reason::EndReason,
    phase::Phase,
    refusals::{self, Refused},
    settings::WhenGone,
    trace::ConnectionId,
    worker_shared::Shared,
};
use crate::{
    budget,
    http::{
        HeaderMap, StatusCode,
        error::Result as BodyResult,
        error_kind::BodyFailure,
        h1::{AnswerTo, RequestHead},
        transport::{
            Transport,
            tunnelled::{Departed, MakeTunnel},
        },
        trusted_proxies::Peer,
    },
    pool::ManagedBuf,
    time,
};
use incoming::{DRAIN_BYTES_MAX, Incoming, PROMISED_DRAIN_BYTES_MAX, Way};
use line::Line;
use outgoing::Outgoing;

/// The ways in which the service of a connection ends.
pub(crate) enum Ended {
    /// It waits for the next request.
    Idle(Transport),
    /// It is closed, or has left HTTP: [`Exchange::take_tunnel`] tells. A third variant would cost
    /// a request 15 instructions.
    Closed,
}

/// The state that an exchange's future, its request and its worker share.
pub(crate) struct Exchange {
    shared: Rc<Shared>,
    line: Line,
    incoming: Incoming,
    outgoing: Outgoing,
    when_gone: Cell<WhenGone>,
    /// The span of the connection.
    span: Cell<ConnectionId>,
    ended: RefCell<Option<Ended>>,
    /// The connection's life after HTTP, if it has one.
    tunnel: RefCell<Option<Box<Tunnel>>>,
}

/// Why serving a connection stops without another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone(pub(crate) EndReason);

impl From<io::Error> for Gone {
    fn from(_error: io::Error) -> Self {
        Self(EndReason::ClientGone)
    }
}

impl Exchange {
    pub(crate) fn new(shared: Rc<Shared>) -> Rc<Self> {
        let when_gone = shared.settings.when_gone();
        Rc::new(Self {
            shared,
            line: Line::new(),
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
            when_gone: Cell::new(when_gone),
            span: Cell::default(),
            ended: RefCell::new(None),
            tunnel: RefCell::new(None),
        })
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    #[inline]
    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Gives it a connection with the first bytes of a request.
    pub(crate) fn give(&self, transport: Transport, bytes: ManagedBuf) {
        self.incoming.push(bytes);
        let is_logged = self.shared.settings.access_log.is_some();
        self.line.begin(transport, is_logged);
    }

    /// Says which span belongs to the connection that it is given.
    #[inline]
    pub(crate) fn set_span(&self, span: ConnectionId) {
        self.span.set(span);
    }

    /// The span of the connection.
    #[inline]
    pub(crate) fn span(&self) -> ConnectionId {
        self.span.get()
    }

    pub(crate) fn take_ended(&self) -> Option<Ended> {
        self.ended.take()
    }

    /// Waits for a connection. It is no async function, whose state would cost a request some
    /// instructions.
    #[inline]
    pub(crate) fn given(&self) -> impl Future<Output = ()> {
        poll_fn(|_| {
            if self.line.has_transport() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    /// Forgets the connection, which has ended or goes on as a tunnel, so that nothing of it
    /// reaches the next one.
    pub(crate) fn end(&self) {
        self.line.end();
        self.incoming.end();
        self.outgoing.clear();
        self.ended.replace(Some(Ended::Closed));
    }

    /// As [`end`](Self::end) for a connection that is idle next: all received requests are
    /// answered, and all gathered output was sent.
    pub(crate) fn rest(&self, transport: Transport) {
        self.incoming.rest();
        self.line.rest();
        self.ended.replace(Some(Ended::Idle(transport)));
    }

    /// Lets go of the connection, after a panic that nothing inside has caught.
    pub(crate) fn abort(&self) {
        if let Some(transport) = self.line.take() {
            transport.cut();
        }
        self.incoming.reset();
        self.outgoing.clear();
    }

    /// Takes the connection away.
    pub(crate) fn take_transport(&self) -> Option<Transport> {
        self.line.take()
    }

    /// Begins a tunnel after the answer with `status`, and hands the connection over. `make` makes
    /// the protocol that it speaks now.
    pub(crate) fn begin_tunnel(
        &self,
        status: StatusCode,
        make: Box<MakeTunnel>,
    ) -> Result<(), Gone> {
        let transport = self.line.take().ok_or(Gone(EndReason::ClientGone))?;
        let used = make(Departed {
            transport,
            unread: ManagedBuf::own(self.incoming.take_bytes()),
            stop: Some(Rc::clone(&self.shared.stop)),
        });
        let tunnel = Box::new(Tunnel::new(status, used));
        self.tunnel.replace(Some(tunnel));
        Ok(())
    }

    /// The tunnel that the connection goes on as, if it has left HTTP.
    pub(crate) fn tunnel(&self) -> Option<RefMut<'_, Tunnel>> {
        RefMut::filter_map(self.tunnel.borrow_mut(), |tunnel| tunnel.as_deref_mut()).ok()
    }

    /// Takes the tunnel that the connection goes on as, if it has left HTTP.
    pub(crate) fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.take()
    }

    /// Ends the connection so that the client sees that something is missing.
    pub(crate) fn cut(&self) {
        self.line.cut();
    }

    pub(crate) fn phase(&self) -> Phase {
        self.line.phase()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.line.set_phase(phase);
    }

    /// The address of the client, for the access log.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.other_end().addr()
    }

    /// The other end of the connection, for the access log.
    pub(crate) fn other_end(&self) -> Peer {
        self.line.other_end()
    }

    /// Describes the connection, which was accepted `age` ago.
    pub(crate) fn info(&self, age: Duration) -> ConnectionInfo {
        self.line.info(age)
    }

    /// How many empty lines came since the last request, when the connection was idle before.
    pub(crate) fn empty_line_count(&self) -> usize {
        self.line.empty_line_count()
    }

    /// Keeps that count with the connection, which is idle next.
    pub(crate) fn set_empty_line_count(&self, count: usize) {
        self.line.set_empty_line_count(count);
    }

    /// Calls with the connection, unless it was taken away.
    pub(crate) fn with_transport<R>(
        &self,
        call: impl FnOnce(&Transport) -> io::Result<R>,
    ) -> io::Result<R> {
        self.line.with(call)
    }

    /// Whether some of the present answer was sent, and the rest is still to come.
    pub(crate) fn is_answering(&self) -> bool {
        match self.line.phase() {
            Phase::Writing => true,
            Phase::Handler => self.outgoing.is_under_way(),
            _ => false,
        }
    }

    /// Lets a write that the worker found to take long count its time.
    pub(crate) fn look_at_write(&self, now: u32) -> Written {
        self.line.look_at_write(now)
    }

    pub(crate) fn when_gone(&self) -> WhenGone {
        self.when_gone.get()
    }

    /// Changes when the handler's future is dropped.
    pub(crate) fn set_when_gone(&self, when_gone: WhenGone) {
        self.when_gone.set(when_gone);
    }

    /// Tells the exchange's future that something was added from outside of it.
    pub(crate) fn wake(&self) {
        self.line.wake();
    }

    /// Adds the answer to a request that is refused.
    #[cold]
    pub(crate) fn refuse(&self, reason: EndReason, answer_to: AnswerTo, request: Refused<'_>) {
        let answer = self.shared.refusal_answer(|| self.peer(), reason, request);
        let date_line = &self.shared.date_line();
        self.outgoing.with_bytes(|bytes| {
            refusals::encode(bytes, reason, answer.as_ref(), answer_to, date_line);
        });
    }

    // Requests: their bytes and their bodies.

    /// Calls with the bytes that were received and not consumed.
    #[inline]
    pub(crate) fn with_input<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R {
        self.incoming.with_bytes(call)
    }

    /// Whether all bytes that were received are consumed.
    #[inline]
    pub(crate) fn has_no_input(&self) -> bool {
        self.incoming.is_empty()
    }

    /// Drops the first `count` bytes of the input.
    pub(crate) fn consume(&self, count: usize) {
        self.incoming.consume(count);
    }

    /// Copies the input out of the kernel's memory, for a wait.
    pub(crate) fn copy_out_input(&self) {
        self.incoming.copy_out();
    }

    /// Takes the head out of the input and begins the body after it; returns the request's number.
    #[inline(always)] // a refusal calls it as well; out of line it costs a request 25 instructions
    pub(crate) fn begin(&self, head: &RequestHead) -> u64 {
        budget::spend();
        let number = self.incoming.begin(head, &self.shared.settings);
        self.when_gone.set(self.shared.settings.when_gone());
        self.outgoing.begin_answer();
        number
    }

    /// Makes what the handler has of the present request out of date, and tells those who wait.
    pub(crate) fn retire(&self) {
        self.incoming.retire();
        self.outgoing.wake_writer();
    }

    /// Whether request `number` is the present one.
    pub(crate) fn is_current(&self, number: u64) -> bool {
        self.incoming.is_current(number)
    }

    /// The next piece of the body of request `number`. While it waits there is a `ticket`, which a
    /// caller that gives up has to give back.
    pub(crate) fn poll_body(
        &self,
        number: u64,
        ticket: &mut Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<BodyResult<Option<ManagedBuf>>> {
        self.incoming
            .poll_body(number, ticket, &self.way(), context)
    }

    /// Gives up a wait for a piece of the body of request `number`, so that the exchange watches
    /// over the client again.
    pub(crate) fn give_up_body(&self, number: u64, ticket: u64) {
        self.incoming.give_up(number, ticket);
    }

    /// Tells a client that waits for it to send the body.
    pub(crate) fn ask_for_body(&self) -> io::Result<()> {
        self.incoming.ask(&self.way())
    }

    fn way(&self) -> Way<'_> {
        Way {
            line: &self.line,
            outgoing: &self.outgoing,
            shared: &self.shared,
        }
    }

    /// Trailers of the body of request `number`; none before its end.
    pub(crate) fn trailers(&self, number: u64) -> HeaderMap {
        self.incoming.trailers(number)
    }

    /// The error of the present body.
    #[inline]
    pub(crate) fn body_failed(&self) -> Option<BodyFailure> {
        self.incoming.failed()
    }

    /// The bytes of both bodies: those that have come, and those that were sent or are under way.
    pub(crate) fn body_bytes(&self) -> (u64, u64) {
        (self.incoming.received(), self.outgoing.body_bytes())
    }

    pub(crate) fn set_body_timeout(&self, timeout: Duration) {
        self.incoming.set_timeout(timeout);
    }

    pub(crate) fn set_body_bytes_max(&self, bytes_max: u64) {
        self.incoming.set_bytes_max(bytes_max);
    }

    /// Whether the whole body was consumed.
    #[inline]
    pub(crate) fn is_body_over(&self) -> bool {
        self.incoming.is_end()
    }

    /// How many bytes of the body are to come, where that is known.
    pub(crate) fn body_bytes_left(&self) -> Option<u64> {
        self.incoming.bytes_left()
    }

    /// How many bytes the client has yet to send, where that is known.
    pub(crate) fn bytes_to_come(&self) -> Option<u64> {
        self.incoming.to_come()
    }

    /// Whether the connection can stay open after an answer, as its head is to say, when the body
    /// is not read any more: the end of the body is here, or it is known to be near.
    #[inline]
    pub(crate) fn can_skip_body(&self) -> bool {
        self.incoming.can_skip(&self.shared.settings.rules)
    }

    /// The same while a task may read the body to its end after the head was written.
    pub(crate) fn may_end_body(&self) -> bool {
        self.incoming.may_end()
    }

    /// Skips the body of a request, for something else to begin after it; false when there is too
    /// much of it.
    pub(crate) async fn skip_body(&self) -> Result<bool, Gone> {
        self.skip_up_to(DRAIN_BYTES_MAX).await
    }

    /// Skips the rest of the body after an answer that said that the connection stays open; false
    /// when the connection has to end for it nevertheless.
    pub(crate) async fn skip_promised(&self) -> Result<bool, Gone> {
        if self.incoming.may_end() {
            self.incoming.lift_limit();
            self.skip_up_to(PROMISED_DRAIN_BYTES_MAX).await
        } else {
            Ok(false)
        }
    }

    async fn skip_up_to(&self, bytes_max: u64) -> Result<bool, Gone> {
        let rules = &self.shared.settings.rules;
        let mut skipped = 0;
        let mut deadline = None;
        loop {
            if let Some(is_skipped) = self.incoming.skip_step(&mut skipped, bytes_max, rules) {
                return Ok(is_skipped);
            }
            self.line.set_phase(Phase::Body);
            self.flush().await?;
            if deadline.is_none() {
                deadline = time::now().checked_add(self.shared.settings.timeouts.body);
            }
            if !self.receive(deadline).await? {
                return Ok(false);
            }
        }
    }

    /// The next bytes of the connection, added to the input; fails at its end. Until `deadline`,
    /// after which it says `false`.
    pub(crate) async fn receive(&self, deadline: Option<Instant>) -> Result<bool, Gone> {
        budget::turn().await;
        let received = poll_fn(|context| match self.line.poll_receive(context) {
            Poll::Ready(result) => Poll::Ready(result.map(Some)),
            Poll::Pending => match deadline {
                Some(deadline) => self.line.poll_timer(deadline, context).map(|()| Ok(None)),
                None => Poll::Pending,
            },
        });
        match received.await? {
            Some(bytes) if bytes.is_empty() => Err(Gone(EndReason::ClientGone)),
            Some(bytes) => {
                self.incoming.push(bytes);
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
