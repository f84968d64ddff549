//! Work that comes with time: slow writes, idle connections, memory that a burst has left.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{Handler, Worker, connection_list::Doing, listener::Listener, stopping::Due};
use crate::{
    driver,
    http::{
        server::{end_reason::EndReason, exchange::Written},
        tick::Tick,
    },
    sys::{self, Wait},
    time, unwind,
};

impl<H: Handler> Worker<H> {
    /// Wakes the exchanges whose writes take long, so that they count their time, and gives one to
    /// every connection that is idle but for its answer. The timer is armed once a second as long
    /// as anything is written.
    pub(super) fn look_at_writes(&mut self, context: &mut Context<'_>) {
        if !self.write_sweep.is_set() && !self.shared.has_writes().get() {
            return;
        }
        let next = || time::now() + Duration::from_secs(1);
        while self.write_sweep.poll_at(next, context).is_ready() {
            self.look_at_clocks();
            self.shared.has_writes().set(false);
            for (_, running) in &self.running {
                match running.exchange.look_at_write(self.now) {
                    Written::All => {}
                    Written::Soon => self.shared.has_writes().set(true),
                    Written::Slowly => self.wakes.waker(running.index).wake(),
                }
            }
            for index in self.connections.unsent_since(self.writes_seen) {
                if self.connections.last_used(index) >= self.now {
                    self.shared.has_writes().set(true);
                } else {
                    self.wait_for_write(index);
                }
            }
            self.writes_seen = self.now;
            if !self.shared.has_writes().get() {
                return;
            }
        }
    }

    /// Closes the connections that have been idle too long, and wakes those that have left HTTP and
    /// wait for this time.
    pub(super) fn close_idle(&mut self, context: &mut Context<'_>) {
        if let Some(stopping) = &mut self.stopping {
            match stopping.poll(context) {
                Due::Nothing => {}
                Due::Idle => self.serve_idle(),
                Due::Everything => return self.cut(),
            }
            return self.stop_tunnels(context);
        }
        loop {
            if self.sweep.poll(context).is_pending() {
                return;
            }
            let idle_since = self.connections.longest_idle();
            // The deadline may not fit an `Instant`: there is no limit then.
            let idle_deadline = idle_since.and_then(|(_, since)| self.idle_deadline(since));
            let due = self.tunnels.next_due().and_then(Tick::begin);
            let handshake_due = self.handshake_deadline();
            let due = due.into_iter().chain(handshake_due);
            let Some(deadline) = idle_deadline.into_iter().chain(due).min() else {
                return;
            };
            if deadline > time::now() {
                self.sweep.set(deadline);
                continue;
            }
            self.wake_due();
            if handshake_due.is_some_and(|deadline| deadline <= time::now()) {
                self.close_handshakes();
            }
            if idle_deadline.is_some_and(|deadline| deadline <= time::now()) {
                self.close_overdue();
            }
        }
    }

    /// Tells the connections that have left HTTP of the stop, and wakes those that wait for this
    /// time.
    #[cold]
    fn stop_tunnels(&mut self, context: &mut Context<'_>) {
        if let Some(stopping) = &mut self.stopping {
            stopping.stop_tunnels(&mut self.tunnels, context);
        }
        while self.sweep.poll(context).is_ready() {
            let Some(deadline) = self.tunnels.next_due().and_then(Tick::begin) else {
                return;
            };
            if deadline > time::now() {
                self.sweep.set(deadline);
            } else {
                self.wake_due();
            }
        }
    }

    /// Wakes the connections that have left HTTP and wait for this time.
    #[cold]
    fn wake_due(&mut self) {
        let now = Tick::now();
        let connections = &self.connections;
        let serves = |index, number| connections.is_served_by(index, number);
        while let Some(index) = self.tunnels.take_due(now, serves) {
            self.wakes.waker(index).wake();
        }
    }

    /// Returns the moment from which a connection that is idle since that second is closed.
    fn idle_deadline(&self, since: u32) -> Option<Instant> {
        let since = Duration::from_secs(u64::from(since) + 1);
        let idle = self.shared.settings.timeouts.idle;
        self.started.checked_add(since.saturating_add(idle))
    }

    /// Returns the moment by which the first of the handshakes has to be over.
    fn handshake_deadline(&self) -> Option<Instant> {
        let due = self.listeners.iter().filter_map(Listener::handshake_due);
        self.started.checked_add(Duration::from_secs(due.min()?))
    }

    /// Closes the connections whose handshake takes too long. Bytes that their clients have sent by
    /// now are looked at before.
    #[cold]
    fn close_handshakes(&mut self) {
        self.look_at_clocks();
        for listener in 0..self.listeners.len() {
            while let Some(index) =
                self.listeners[listener].take_overdue(self.now, &self.connections)
            {
                let accepted = self.connections.accepted(index);
                self.serve_index(index);
                if self.connections.is_handshaking_since(index, accepted) {
                    self.close_handshake(index);
                }
            }
        }
    }

    fn close_handshake(&mut self, index: u32) {
        if let Doing::Idle(transport) = self.connections.remove(index) {
            let peer = || transport.peer_addr();
            let reason = if transport.waits_for_proxy_header() {
                EndReason::ProxyHeader
            } else {
                EndReason::HandshakeTimeout
            };
            let note = || self.shared.note_refusal(peer, reason, None);
            // The access log is the user's and may panic.
            unwind::swallow(note);
        }
    }

    /// Closes the connections that have been idle too long. Bytes that their clients have sent by
    /// now are looked at before: this thread may have been away for longer than their time.
    fn close_overdue(&mut self) {
        self.look_at_clocks();
        let now = time::now();
        let overdue: Vec<(u32, u32)> = self
            .connections
            .idle()
            .filter_map(|index| Some((index, self.connections.idle_since(index)?)))
            .take_while(|(_, since)| self.idle_deadline(*since).is_some_and(|end| end <= now))
            .collect();
        // Bytes that have arrived are in the socket, or the kernel has received them and they are
        // on their way to us: the first turn takes what is there, and the second what there was no
        // room for.
        let arrived: Vec<bool> = overdue
            .iter()
            .map(|(index, _)| self.connections.has_unreceived(*index))
            .collect();
        if let Ok(driver) = driver::current() {
            for _ in 0..2 {
                // A driver that fails says so in the runtime's own turn, too.
                let _ = driver.turn(Wait::No);
            }
        }
        for ((index, since), has_arrived) in overdue.into_iter().zip(arrived) {
            self.serve_index(index);
            if self.connections.idle_since(index) != Some(since) {
                continue;
            }
            if self.connections.is_unsent(index) {
                self.wait_for_write(index);
            } else if has_arrived {
                self.connections.postpone(index, self.now);
            } else {
                self.shared.count(|report| report.timed_out += 1);
                drop(self.connections.remove(index));
            }
        }
    }

    /// Gives every idle connection its turn, to be answered or closed.
    fn serve_idle(&mut self) {
        let idle: Vec<u32> = self.connections.idle().collect();
        for index in idle {
            self.serve_index(index);
        }
    }

    /// Whether the stop closes a connection that is idle.
    pub(super) fn closes_idle(&self, index: u32) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| {
            let is_fresh = self.connections.is_fresh(index, stopping.fresh_since());
            stopping.closes_idle(is_fresh)
        })
    }

    /// Gives back the memory that a burst of requests needed.
    pub(super) fn look_at_burst(&mut self, context: &mut Context<'_>) {
        let spare = self.spare.len();
        let running = self.running.len() - spare;
        self.burst.note_dropped(self.shared.outbox.take_dropped());
        self.burst.note_body_bytes(self.shared.take_body_bytes());
        let Poll::Ready(over) = self.burst.poll_over(running, spare, context) else {
            return;
        };
        self.keep_spare(over.kept_max);
        if over.gives_back {
            // Timers that were armed in the burst stand behind all of its own. They are armed anew.
            self.sweep.clear();
            self.write_sweep.clear();
            context.waker().wake_by_ref();
            time::shrink();
            self.spare.shrink_to_fit();
            self.shared.outbox.shrink(over.kept_max);
            self.running.shrink_to_fit();
            self.wakes.shrink();
            if let Ok(driver) = driver::current() {
                driver.shrink();
            }
            sys::give_back_memory();
        }
    }
}
