//! What serves a connection from its first unread byte until nothing is left to answer.
//!
//! An exchange is a future that never ends (`serve.rs`): it waits for a connection
//! (`Exchange::give`), serves it, says how that ended (`Exchange::take_ended`), and waits for the
//! next. So its storage, its handler's included, is used again without being made again, however
//! large it is.
//!
//! This file holds what that future, the request's [`Body`](crate::http::Body), a
//! [`BodyWriter`](crate::http::BodyWriter) and the worker share. `pull.rs` has the request's body,
//! `outgoing.rs` what gathers to be sent.

mod incoming;
mod outgoing;
mod sending;
mod timer;

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    connection_info::ConnectionInfo, phase::Phase, settings::WhenGone, worker_shared::Shared,
};
use crate::{
    budget,
    buf::{Interleaved, IoVectored as _},
    http::{
        h1::{AnswerTo, BodyDecoder, BodyLength, RejectReason, encode_reject},
        transport::{Transport, input::Input},
    },
    net::GoneWait,
    pool::ManagedBuf,
    task, unwind,
};
use incoming::Pull;
use outgoing::Outgoing;
use sending::UntilStalled;
use timer::Timer;

/// Memory that a used exchange keeps for its input.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// Times that a handler's output is sent before the other connections get their turn: a client that
/// takes everything at once would keep them from it for as long as the answer is.
const SENDS_PER_TURN: u32 = 16;

/// More than this is sent in pieces, one after the other, while many connections are served: the
/// kernel would take several megabytes at once for each of them.
const WHOLE_BYTES_MAX: usize = 512 * 1024;
const PIECE_BYTES_MAX: usize = 256 * 1024;
/// The first is smaller: many clients may ask at once.
const FIRST_PIECE_BYTES_MAX: usize = 64 * 1024;

/// How much may be sent in them: with this many bytes it is the others' turn after fewer.
const SENT_BYTES_PER_TURN: usize = 1024 * 1024;

/// How serving a connection ended.
pub(crate) enum Ended {
    /// It waits for the next request.
    Idle(Transport),
    Closed,
}

/// What an exchange's future, its request and its worker share.
pub(crate) struct Exchange {
    pub(crate) shared: Rc<Shared>,
    pub(crate) transport: RefCell<Option<Transport>>,
    pub(crate) input: RefCell<Input>,
    pub(crate) body: RefCell<BodyDecoder>,
    pub(crate) pull: Pull,
    pub(crate) outgoing: Outgoing,
    pub(crate) when_gone: Cell<WhenGone>,
    pub(crate) phase: Cell<Phase>,
    /// For heads and writes, which never wait at the same time.
    pub(crate) timer: Timer,
    ended: RefCell<Option<Ended>>,
    /// Whether the exchange's own future is being polled: what it is given then needs no wake.
    is_inside: Cell<bool>,
    /// Wakes the exchange's future.
    waker: RefCell<Option<Waker>>,
    /// Since which second of the worker's clock a write is under way.
    pub(crate) writes_since: Cell<Option<u32>>,
    /// The write has taken long enough for its time to be counted exactly.
    pub(crate) is_slow: Cell<bool>,
    /// Who is at the other end, for the access log.
    pub(crate) peer: Cell<Option<SocketAddr>>,
}

/// Why serving a connection stops without another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone(pub(crate) RejectReason);

impl From<io::Error> for Gone {
    fn from(_error: io::Error) -> Self {
        Self(RejectReason::ClientGone)
    }
}

/// How far a write is.
pub(crate) enum Written {
    All,
    /// It began a moment ago.
    Soon,
    /// It takes long, and its exchange is to be woken.
    Slowly,
}

/// What became of a future that was driven.
pub(crate) enum Driven<T> {
    Done(T),
    Panicked,
}

impl Exchange {
    pub(crate) fn new(shared: Rc<Shared>) -> Rc<Self> {
        let when_gone = shared.settings.when_gone();
        Rc::new(Self {
            shared,
            transport: RefCell::new(None),
            input: RefCell::default(),
            body: RefCell::new(BodyDecoder::new()),
            pull: Pull::new(),
            outgoing: Outgoing::new(),
            when_gone: Cell::new(when_gone),
            phase: Cell::new(Phase::Idle),
            timer: Timer::default(),
            ended: RefCell::new(None),
            is_inside: Cell::new(false),
            waker: RefCell::new(None),
            writes_since: Cell::new(None),
            is_slow: Cell::new(false),
            peer: Cell::new(None),
        })
    }

    /// Gives it a connection with the first bytes of a request.
    pub(crate) fn give(&self, transport: Transport, bytes: ManagedBuf) {
        self.input.borrow_mut().push(bytes);
        if self.shared.settings.access_log.is_some() {
            self.peer.set(transport.peer_addr());
        }
        self.transport.replace(Some(transport));
    }

    pub(crate) fn take_ended(&self) -> Option<Ended> {
        self.ended.take()
    }

    /// Forgets the connection, which has ended, so that nothing of it reaches the next one.
    pub(crate) fn end(&self) {
        drop(self.transport.take());
        self.pull.reset();
        self.timer.clear();
        self.writes_since.set(None);
        self.is_slow.set(false);
        drop(self.waker.take());
        self.phase.set(Phase::Idle);
        self.body.borrow_mut().begin(BodyLength::None, 0);
        let mut input = self.input.borrow_mut();
        input.clear();
        input.shrink(KEPT_BYTES_MAX);
        drop(input);
        self.outgoing.clear();
        self.ended.replace(Some(Ended::Closed));
    }

    /// As [`end`](Self::end) for a connection that is idle next: nothing was received that is not
    /// answered, and nothing gathered that was not sent.
    pub(crate) fn rest(&self, transport: Transport) {
        self.pull.reset();
        self.timer.clear();
        drop(self.waker.take());
        self.phase.set(Phase::Idle);
        self.input.borrow_mut().shrink(KEPT_BYTES_MAX);
        self.ended.replace(Some(Ended::Idle(transport)));
    }

    /// After a panic that nothing inside has caught: lets go of the connection.
    pub(crate) fn abort(&self) {
        if let Some(transport) = self.transport.take() {
            transport.cut();
        }
        self.pull.reset();
        self.outgoing.clear();
    }

    /// What there is to tell of the connection, which was accepted `age` ago.
    pub(crate) fn info(&self, age: Duration) -> ConnectionInfo {
        let phase = self.phase.get();
        match &*self.transport.borrow() {
            Some(transport) => ConnectionInfo::of(transport, phase, age),
            None => ConnectionInfo {
                peer: None,
                phase,
                age,
                received: None,
                sent: None,
            },
        }
    }

    /// How many empty lines came since the last request, when the connection was idle before.
    pub(crate) fn empty_line_count(&self) -> usize {
        let transport = self.transport.borrow();
        let count = transport.as_ref().map(Transport::empty_line_count);
        count.map_or(0, Cell::get) as usize
    }

    /// Keeps that with the connection, which is idle next.
    pub(crate) fn set_empty_line_count(&self, count: usize) {
        if let Some(transport) = &*self.transport.borrow() {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            transport.empty_line_count().set(count);
        }
    }

    /// Calls with the connection, unless it was taken away.
    pub(crate) fn with_transport<R>(
        &self,
        call: impl FnOnce(&Transport) -> io::Result<R>,
    ) -> io::Result<R> {
        match &*self.transport.borrow() {
            Some(transport) => call(transport),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn poll_receive(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match &*self.transport.borrow() {
            Some(transport) => transport.poll_recv(context),
            None => Poll::Ready(Ok(ManagedBuf::empty())),
        }
    }

    /// The next bytes of the connection, added to the input; fails at its end. Until `deadline`,
    /// after which it says `false`.
    pub(crate) async fn receive(&self, deadline: Option<Instant>) -> Result<bool, Gone> {
        budget::turn().await;
        let received = poll_fn(|context| match self.poll_receive(context) {
            Poll::Ready(result) => Poll::Ready(result.map(Some)),
            Poll::Pending => match deadline {
                Some(deadline) => self.timer.poll(deadline, context).map(|()| Ok(None)),
                None => Poll::Pending,
            },
        });
        match received.await? {
            Some(bytes) if bytes.is_empty() => Err(Gone(RejectReason::ClientGone)),
            Some(bytes) => {
                self.input.borrow_mut().push(bytes);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Leaves the answers that have gathered to the kernel, for a connection that is idle next; false
    /// when that cannot be done, and somebody has to wait for them.
    #[inline]
    pub(crate) fn post(&self) -> bool {
        let shared = &self.shared;
        // A stop waits for what is being written, and looks at the exchanges for it.
        if shared.is_stopping() || !shared.watches_writes() {
            return false;
        }
        let is_posted = match &*self.transport.borrow() {
            Some(transport) => self.outgoing.post(transport, &shared.outbox),
            None => false,
        };
        if is_posted {
            shared.note_write();
        }
        is_posted
    }

    /// Waits until all that was left to the kernel is sent.
    pub(crate) async fn settle(&self) -> Result<(), Gone> {
        let is_sending = self.with_transport(|transport| Ok(transport.is_sending()))?;
        if is_sending {
            self.phase.set(Phase::Writing);
            // The connection had at least the time between two looks at the writes.
            self.is_slow.set(true);
            // It has its turn when the others are done.
            let turn = self.with_transport(|transport| Ok(transport.write_all(Vec::new())))?;
            UntilStalled::new(self, turn).await?;
        }
        Ok(())
    }

    /// Sends what has gathered.
    pub(crate) async fn flush(&self) -> Result<(), Gone> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        self.outgoing.is_sending.set(true);
        // Somebody may add something meanwhile.
        while !self.outgoing.is_empty() {
            let taken = self.outgoing.take();
            if !taken.segments.is_empty() {
                self.write_segments(taken).await?;
                continue;
            }
            let mut bytes = taken.bytes;
            self.shared.count_sent(bytes.len());
            let sent = self.with_transport(|transport| transport.send_at_once(&bytes))?;
            if sent == bytes.len() {
                bytes.clear();
            } else if sent > 0 {
                bytes.drain(..sent);
            }
            if !bytes.is_empty() {
                let before = self.phase.replace(Phase::Writing);
                let write = self.with_transport(|transport| Ok(transport.write_all(bytes)))?;
                bytes = UntilStalled::new(self, write).await?;
                self.phase.set(before);
                bytes.clear();
            }
            self.outgoing.put_back(bytes);
        }
        self.outgoing.is_sending.set(false);
        self.outgoing.wake_writer();
        Ok(())
    }

    /// Sends what has large pieces: very much of it in smaller ones, between which the other
    /// connections have their turn. A Unix socket gets such of which it tells whether the client takes
    /// them.
    async fn write_segments(&self, mut taken: Interleaved) -> Result<(), Gone> {
        let before = self.phase.replace(Phase::Writing);
        let bytes = taken.total_len();
        self.shared.note_body_bytes(bytes);
        let piece_max = self.with_transport(|transport| Ok(transport.piece_bytes_max()))?;
        let mut at_once = true;
        let is_much = bytes > WHOLE_BYTES_MAX && self.shared.is_crowded();
        if piece_max < usize::MAX || is_much {
            self.write_in_pieces(&taken, piece_max).await?;
            at_once = false;
        } else {
            self.shared.count_sent(bytes);
            let write = self.with_transport(|transport| Ok(transport.write_parts(taken)))?;
            let mut write = pin!(write);
            let mut write = UntilStalled::new(self, write.as_mut());
            let written = poll_fn(|context| {
                let polled = Pin::new(&mut write).poll(context);
                at_once &= polled.is_ready();
                polled
            });
            taken = written.await?;
        }
        self.phase.set(before);
        self.outgoing.segments_were_sent(taken, bytes, at_once);
        Ok(())
    }

    /// After the first piece it is the others' turn: those whose answers are under way come after those
    /// who have asked for one.
    async fn write_in_pieces(&self, taken: &Interleaved, piece_max: usize) -> Result<(), Gone> {
        let (mut start, mut piece_count) = (0, 0_usize);
        for (at, segment) in &taken.segments {
            let mut bytes = taken.bytes[start..*at].to_vec();
            start = *at;
            let mut segment = segment.clone();
            while !segment.is_empty() {
                let bytes_max = match piece_count {
                    0 => FIRST_PIECE_BYTES_MAX,
                    _ => PIECE_BYTES_MAX,
                };
                if piece_count == 1 || self.shared.is_turn_over() {
                    task::yield_now().await;
                }
                piece_count += 1;
                let piece = segment.split_to(segment.len().min(piece_max).min(bytes_max));
                self.shared.count_sent(piece.len());
                let parts = Interleaved {
                    segments: vec![(bytes.len(), piece)],
                    bytes: std::mem::take(&mut bytes),
                };
                let write = self.with_transport(|transport| Ok(transport.write_parts(parts)))?;
                UntilStalled::new(self, pin!(write)).await?;
            }
        }
        let last = taken.bytes[start..].to_vec();
        if !last.is_empty() {
            let write = self.with_transport(|transport| Ok(transport.write_all(last)))?;
            UntilStalled::new(self, write).await?;
        }
        Ok(())
    }

    /// Whether some of the present answer was sent, and the rest is still to come.
    pub(crate) fn is_answering(&self) -> bool {
        match self.phase.get() {
            Phase::Writing => true,
            Phase::Handler => self.outgoing.is_under_way(),
            _ => false,
        }
    }

    /// Lets a write that the worker found to take long count its time.
    pub(crate) fn look_at_write(&self, now: u32) -> Written {
        match self.writes_since.get() {
            None => Written::All,
            Some(since) if since >= now => Written::Soon,
            Some(_) => {
                self.is_slow.set(true);
                Written::Slowly
            }
        }
    }

    pub(crate) fn bytes_taken(&self) -> Option<u64> {
        self.with_transport(|transport| Ok(transport.bytes_taken()))
            .unwrap_or_default()
    }

    /// Polls a future of the user's, and catches its panic. True when it has ended, by which
    /// `driven` is told.
    #[inline]
    pub(crate) fn poll_inside<F: Future + ?Sized>(
        &self,
        future: std::pin::Pin<&mut F>,
        context: &mut Context<'_>,
        driven: &mut Option<Driven<F::Output>>,
    ) -> bool {
        self.is_inside.set(true);
        let polled = unwind::caught(|| match future.poll(context) {
            Poll::Ready(output) => {
                *driven = Some(Driven::Done(output));
                true
            }
            Poll::Pending => false,
        });
        self.is_inside.set(false);
        polled.unwrap_or_else(|| {
            *driven = Some(Driven::Panicked);
            true
        })
    }

    /// Polls `future` to its end. What gathers is sent whenever it waits; when the client is gone
    /// meanwhile, the future is left.
    pub(crate) async fn drive<F: Future + ?Sized>(
        &self,
        future: std::pin::Pin<&mut F>,
    ) -> Result<Driven<F::Output>, Gone> {
        enum Event {
            Driven,
            HasOutput,
            Gone,
        }
        let mut future = future;
        let mut driven = None;
        let mut wait = GoneWait::default();
        let (mut send_count, mut sent_bytes) = (0, 0);
        let mut sent_max = FIRST_PIECE_BYTES_MAX;
        loop {
            let event = poll_fn(|context| {
                if self.poll_inside(future.as_mut(), context, &mut driven) {
                    return Poll::Ready(Event::Driven);
                }
                if !self.outgoing.is_empty() {
                    return Poll::Ready(Event::HasOutput);
                }
                self.poll_gone(context, &mut wait).map(|()| Event::Gone)
            });
            match event.await {
                Event::Driven => return Ok(driven.unwrap_or(Driven::Panicked)),
                Event::Gone => return Err(Gone(RejectReason::ClientGone)),
                Event::HasOutput => {
                    self.input.borrow_mut().copy_out();
                    sent_bytes += self.outgoing.len();
                    send_count += 1;
                    self.flush().await?;
                    let is_much = sent_bytes >= sent_max || self.shared.is_turn_over();
                    if send_count >= SENDS_PER_TURN || is_much {
                        (send_count, sent_bytes) = (0, 0);
                        sent_max = SENT_BYTES_PER_TURN;
                        budget::exhaust();
                        task::yield_now().await;
                    }
                }
            }
        }
    }

    /// Waits for what a handler may be left for, and for what others tell the exchange.
    fn poll_gone(&self, context: &mut Context<'_>, wait: &mut GoneWait) -> Poll<()> {
        self.input.borrow_mut().copy_out();
        let is_known = match &*self.waker.borrow() {
            Some(waker) => waker.will_wake(context.waker()),
            None => false,
        };
        if !is_known {
            let waker = context.waker().clone();
            drop(self.waker.replace(Some(waker)));
        }
        // Who pulls the body sees the end himself, and the socket wakes one task only.
        if self.when_gone.get() == WhenGone::GoOn || self.pull.is_waited_for() {
            return Poll::Pending;
        }
        let half_close = self.when_gone.get() == WhenGone::HalfClose;
        match &*self.transport.borrow() {
            Some(transport) => transport.poll_gone(context, wait, half_close),
            None => Poll::Ready(()),
        }
    }

    /// Makes what the handler has of the present request out of date, and tells those who wait.
    pub(crate) fn retire(&self) {
        self.pull.retire();
        self.outgoing.wake_writer();
    }

    /// Tells the exchange's future that something was added from outside of it.
    pub(crate) fn wake(&self) {
        if self.is_inside.get() {
            return;
        }
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Adds the answer to a request that is refused.
    pub(crate) fn refuse(&self, reason: RejectReason, answer_to: AnswerTo) {
        let date_line = &self.shared.date_line();
        let bytes = &mut self.outgoing.bytes.borrow_mut();
        encode_reject(bytes, reason, answer_to, date_line);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
