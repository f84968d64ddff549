//! The connection that an exchange serves, and the task that it wakes.

use std::{
    cell::{Cell, RefCell},
    io,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::timer::Timer;
use crate::{
    http::{
        server::{connection_info::ConnectionInfo, phase::Phase},
        transport::Transport,
        trusted_proxies::Peer,
    },
    net::{Flood, GoneWait},
    pool::ManagedBuf,
};

/// How far a write is.
pub(crate) enum Written {
    All,
    /// It began a moment ago.
    Soon,
    /// It takes long, and its exchange is to be woken.
    Slowly,
}

/// A connection with its phase, its timer and its waker.
pub(super) struct Line {
    transport: RefCell<Option<Transport>>,
    phase: Cell<Phase>,
    /// The other end, for the access log.
    peer: Cell<Peer>,
    /// For heads and writes, which never wait at the same time.
    timer: Timer,
    /// Whether the exchange's own future is being polled: what it is given then needs no wake.
    is_inside: Cell<bool>,
    /// Wakes the exchange's future.
    waker: RefCell<Option<Waker>>,
    /// Since which second of the worker's clock a write is under way.
    writes_since: Cell<Option<u32>>,
    /// The write has taken long enough for its time to be counted exactly.
    is_slow: Cell<bool>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            transport: RefCell::new(None),
            phase: Cell::new(Phase::Idle),
            peer: Cell::default(),
            timer: Timer::default(),
            is_inside: Cell::new(false),
            waker: RefCell::new(None),
            writes_since: Cell::new(None),
            is_slow: Cell::new(false),
        }
    }

    /// Begins with a connection, whose address the access log wants to have if `is_logged`.
    pub(super) fn begin(&self, transport: Transport, is_logged: bool) {
        if is_logged {
            self.peer.set(transport.peer());
        }
        self.transport.replace(Some(transport));
    }

    /// Forgets a connection that has ended.
    pub(super) fn end(&self) {
        drop(self.transport.take());
        self.rest();
        self.writes_since.set(None);
        self.is_slow.set(false);
    }

    /// Forgets the wait for a connection that was taken and is idle next.
    #[inline]
    pub(super) fn rest(&self) {
        self.timer.clear();
        drop(self.waker.take());
        self.phase.set(Phase::Idle);
    }

    pub(super) fn has_transport(&self) -> bool {
        self.transport.borrow().is_some()
    }

    /// Takes the connection away; without one, the line is at its end.
    pub(super) fn take(&self) -> Option<Transport> {
        self.transport.take()
    }

    /// Ends the connection so that the client sees that something is missing.
    pub(super) fn cut(&self) {
        if let Some(transport) = &*self.transport.borrow() {
            transport.cut();
        }
    }

    /// Calls with the connection, unless it was taken away.
    #[inline]
    pub(super) fn with<R>(&self, call: impl FnOnce(&Transport) -> io::Result<R>) -> io::Result<R> {
        match &*self.transport.borrow() {
            Some(transport) => call(transport),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The next bytes; none at the end.
    pub(super) fn poll_receive(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match &*self.transport.borrow() {
            Some(transport) => transport.poll_recv(context),
            None => Poll::Ready(Ok(ManagedBuf::empty())),
        }
    }

    /// As [`poll_receive`](Self::poll_receive), as many as a flood allows.
    pub(super) fn poll_receive_up_to(
        &self,
        flood: Flood,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ManagedBuf>> {
        match &*self.transport.borrow() {
            Some(transport) => transport.poll_recv_up_to(flood, context),
            None => Poll::Ready(Ok(ManagedBuf::empty())),
        }
    }

    /// Whether the client has left; with `half_close` also whether it has closed its side.
    pub(super) fn poll_gone(
        &self,
        context: &mut Context<'_>,
        wait: &mut GoneWait,
        half_close: bool,
    ) -> Poll<()> {
        match &*self.transport.borrow() {
            Some(transport) => transport.poll_gone(context, wait, half_close),
            None => Poll::Ready(()),
        }
    }

    /// Whether `deadline` has passed, which wakes the context's task.
    pub(super) fn poll_timer(&self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(deadline, context)
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Changes the phase, and returns the one before.
    pub(super) fn set_phase(&self, phase: Phase) -> Phase {
        self.phase.replace(phase)
    }

    pub(super) fn other_end(&self) -> Peer {
        self.peer.get()
    }

    /// Runs a part of the exchange's own future.
    #[inline]
    pub(super) fn inside<R>(&self, run: impl FnOnce() -> R) -> R {
        self.is_inside.set(true);
        let result = run();
        self.is_inside.set(false);
        result
    }

    /// Registers the context's task as the one that [`wake`](Self::wake) wakes.
    pub(super) fn register(&self, context: &Context<'_>) {
        let is_known = match &*self.waker.borrow() {
            Some(waker) => waker.will_wake(context.waker()),
            None => false,
        };
        if !is_known {
            let waker = context.waker().clone();
            drop(self.waker.replace(Some(waker)));
        }
    }

    /// Tells the exchange's future that something was added from outside of it.
    pub(super) fn wake(&self) {
        if self.is_inside.get() {
            return;
        }
        let waker = self.waker.borrow().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Describes the connection, which was accepted `age` ago.
    pub(super) fn info(&self, age: Duration) -> ConnectionInfo {
        let phase = self.phase.get();
        match &*self.transport.borrow() {
            Some(transport) => ConnectionInfo::of(transport, phase, age),
            None => ConnectionInfo::without_socket(phase, age),
        }
    }

    /// How many empty lines came since the last request, when the connection was idle before.
    pub(super) fn empty_line_count(&self) -> usize {
        let transport = self.transport.borrow();
        let count = transport.as_ref().map(Transport::empty_line_count);
        count.map_or(0, Cell::get) as usize
    }

    /// Keeps that count with the connection, which is idle next.
    pub(super) fn set_empty_line_count(&self, count: usize) {
        if let Some(transport) = &*self.transport.borrow() {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            transport.empty_line_count().set(count);
        }
    }

    /// A figure that changes when the client takes something; none when the kernel does not tell.
    pub(super) fn bytes_taken(&self) -> Option<u64> {
        self.with(|transport| Ok(transport.bytes_taken()))
            .unwrap_or_default()
    }

    /// Notes that a write is under way in this second of the worker's clock.
    pub(super) fn note_write(&self, now: u32) {
        if self.writes_since.get().is_none() {
            self.writes_since.set(Some(now));
        }
    }

    /// Notes that the write is done.
    pub(super) fn end_write(&self) {
        self.writes_since.set(None);
        self.is_slow.set(false);
    }

    /// Lets a write that the worker found to take long count its time.
    pub(super) fn look_at_write(&self, now: u32) -> Written {
        match self.writes_since.get() {
            None => Written::All,
            Some(since) if since >= now => Written::Soon,
            Some(_) => {
                self.is_slow.set(true);
                Written::Slowly
            }
        }
    }

    /// Counts the time of the next write exactly.
    pub(super) fn set_slow(&self) {
        self.is_slow.set(true);
    }

    pub(super) fn is_slow(&self) -> bool {
        self.is_slow.get()
    }
}
