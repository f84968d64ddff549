//! Accepts connections for a worker, and closes idle ones to make room for them.

use std::{
    io, mem,
    task::{Context, Poll},
    time::Duration,
};

use super::{Handler, Worker, listener::Listener};
use crate::{
    http::server::{trace, unserved::refuse},
    net::Socket,
    sys::errno,
    time, unwind,
};

/// Connections accepted before those that are here get their turn.
const ACCEPTS_PER_TURN: usize = 32;
/// Connections that a listener has taken from its backlog when it closes. More would keep coming
/// under load, for ever.
const LAST_ACCEPTS_MAX: usize = 8192;

/// How long a connection that has not said anything counts as fresh, by a clock of whole seconds.
const FRESH_SECONDS: u32 = 1;

/// When descriptors have run out, this part of the connections makes room, if it is idle.
const EXHAUSTED_PART: usize = 16;

impl<H: Handler> Worker<H> {
    pub(super) fn accept(&mut self, context: &mut Context<'_>) {
        if self.stopping.is_some() {
            return self.accept_last(context);
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let mut is_pending = true;
            for listener in 0..self.listeners.len() {
                if !self.may_accept() {
                    return;
                }
                match self.listeners[listener].acceptor.poll_accept(context) {
                    Poll::Ready(Ok(socket)) => {
                        is_pending = false;
                        let is_tight = self.admission.is_of_reserve(socket.raw());
                        self.admit(socket, listener);
                        if is_tight {
                            // Those that were closed for others are gone after the next turns.
                            return context.waker().wake_by_ref();
                        }
                    }
                    // The listener rests by itself when descriptors have run out; the next call
                    // waits.
                    Poll::Ready(Err(error)) if is_exhausted(&error) => {
                        is_pending = false;
                        self.shared.count(|report| report.exhausted += 1);
                        trace::note_exhausted(self.connections.len());
                        self.evict_some();
                    }
                    Poll::Ready(Err(error)) => return self.inbox.fail(error),
                    Poll::Pending => {}
                }
            }
            if is_pending {
                return;
            }
        }
        context.waker().wake_by_ref();
    }

    /// Takes the connections that the kernel has accepted for us, and closes the listeners, so that
    /// new connections are refused.
    fn accept_last(&mut self, context: &mut Context<'_>) {
        let mut listeners = mem::take(&mut self.listeners);
        listeners.retain_mut(|listener| {
            for _ in 0..LAST_ACCEPTS_MAX {
                if !self.admission.has_descriptors(self.connections.len(), 1) {
                    return false;
                }
                match listener.acceptor.poll_stop(context) {
                    Poll::Ready(Some(socket)) => self.add(socket, listener),
                    Poll::Ready(None) => return false,
                    Poll::Pending => return true,
                }
            }
            false
        });
        self.listeners = listeners;
    }

    fn may_accept(&mut self) -> bool {
        let (count, has_idle) = (self.connections.len(), self.evictable().is_some());
        let was_paused = self.admission.is_paused();
        let may_accept = self
            .admission
            .may_accept(count, has_idle, self.refusals.len());
        if !may_accept && !was_paused {
            self.shared.count(|report| report.pauses += 1);
            trace::note_pause(count);
        }
        if may_accept && was_paused {
            trace::note_resumed(count);
        }
        may_accept
    }

    /// Takes a connection, in place of the longest idle one when there is no room.
    fn admit(&mut self, socket: Socket, listener: usize) {
        if self.admission.has_room(self.connections.len()) || self.evict() {
            self.guard_reserve();
            let mut listeners = mem::take(&mut self.listeners);
            self.add(socket, &mut listeners[listener]);
            self.listeners = listeners;
            return;
        }
        self.shared.count(|report| report.accepted += 1);
        let transport = self.listeners[listener].transport(socket);
        // The access log is the user's and may panic.
        let refuse = || refuse(transport, &self.shared);
        if let Some(refusal) = unwind::caught(refuse) {
            self.refusals.spawn(refusal);
        }
    }

    /// Makes room for more than one connection, since the listener rests after each failure.
    fn evict_some(&mut self) {
        for _ in 0..=self.connections.len() / EXHAUSTED_PART {
            self.evict();
        }
    }

    /// The connection that has been idle longest, unless it came in the last moment and its request
    /// is most likely on its way.
    fn evictable(&self) -> Option<u32> {
        let (index, _) = self.connections.longest_idle()?;
        let is_fresh = self
            .connections
            .is_fresh(index, self.now.saturating_sub(FRESH_SECONDS));
        (!is_fresh).then_some(index)
    }

    /// Looks again at what it paused for: those that were fresh may have said nothing.
    pub(super) fn poll_pause(&mut self, context: &mut Context<'_>) {
        while self.admission.is_paused() {
            if self.may_accept() {
                return context.waker().wake_by_ref();
            }
            let again = || time::now() + Duration::from_secs(u64::from(FRESH_SECONDS));
            if self.pause.poll_at(again, context).is_pending() {
                return;
            }
            self.look_at_clocks();
        }
        self.pause.clear();
    }

    /// Closes the connection that has been idle longest. One that has sent something in the last
    /// moment is served instead, and the next longest idle one is looked at.
    fn evict(&mut self) -> bool {
        let count = self.connections.len();
        // All of them may have sent something, and again when they are idle again.
        for _ in 0..count {
            let Some(index) = self.evictable() else {
                return false;
            };
            self.serve_index(index);
            // Connections that were served and are idle again stand last.
            let longest_idle = self.connections.longest_idle();
            if longest_idle.is_some_and(|(longest, _)| longest == index) {
                if self.connections.has_unreceived(index) {
                    self.connections.postpone(index, self.now);
                    continue;
                }
                self.shared.count(|report| report.evicted += 1);
                trace::note_evicted(self.connections.span(index));
                drop(self.connections.remove(index));
            }
            if self.connections.len() < count {
                return true;
            }
        }
        false
    }

    /// Sees to it that the kernel does not accept ahead what would take the descriptors that are
    /// left to everything else.
    pub(super) fn guard_reserve(&mut self) {
        let Some(burst) = self.burst_max else { return };
        if !self
            .admission
            .has_descriptors(self.connections.len(), burst)
        {
            self.burst_max = None;
            let listeners = self.listeners.iter();
            listeners.for_each(|listener| listener.acceptor.take_one_by_one());
        }
    }

    fn add(&mut self, socket: Socket, listener: &mut Listener) {
        self.shared.count(|report| report.accepted += 1);
        let transport = listener.transport(socket);
        let index = self.connections.insert(transport, self.now);
        if listener.watch(index, self.now, &self.connections) {
            // It is set anew, to the earliest time that there is.
            self.sweep.clear();
        }
        // Its first turn asks the kernel for bytes.
        self.wakes.waker(index).wake();
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM)
    )
}
