//! The turn of one connection: from idle to served and back.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use super::{Handler, Running, Worker, connection_list::Doing, discard};
use crate::{
    budget,
    http::server::{
        exchange::{Ended, Exchange, Tunnel},
        serve::serve_all,
        unserved::end_broken,
    },
    pool::ManagedBuf,
    shrink::SPARE_MAX,
    unwind,
};

/// Times that one connection is served before the others get their turn.
const ROUNDS_PER_TURN: usize = 4;

/// The connections that have their turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Those connections whose answers are not under way; the others have it later.
    Asking,
    Any,
}

impl<H: Handler> Worker<H> {
    /// The turn of the connections that were woken. Those with an answer under way come after those
    /// that ask for one, and each kind sends about half of what a turn may send: a client that asks
    /// for little has it soon, whatever the others take.
    pub(super) fn serve_woken(&mut self, woken: &mut Vec<u32>) {
        self.shared
            .begin_turn(self.running.len() - self.spare.len());
        while !self.shared.is_turn_half_over() {
            match self.asking.pop_front() {
                Some(index) => self.serve(index, Whose::Asking),
                None => break,
            }
        }
        for index in woken.drain(..) {
            self.serve(index, Whose::Asking);
        }
        for _ in 0..self.answering.len() {
            let Some(index) = self.answering.pop_front() else {
                break;
            };
            self.serve(index, Whose::Any);
            if self.shared.is_turn_over() {
                break;
            }
        }
    }

    /// Whether connections that were woken wait for the next turn.
    pub(super) fn has_waiting(&self) -> bool {
        !self.asking.is_empty() || !self.answering.is_empty()
    }

    /// The turn of one connection, whatever it does.
    pub(super) fn serve_index(&mut self, index: u32) {
        self.serve(index, Whose::Any);
    }

    fn serve(&mut self, index: u32, whose: Whose) {
        let waker = self.wakes.waker(index);
        let mut context = Context::from_waker(&waker);
        for _ in 0..ROUNDS_PER_TURN {
            let number = match self.connections.doing(index) {
                Some(Doing::Active(number)) => *number,
                Some(Doing::Idle(stream)) => match stream.poll_recv(&mut context) {
                    Poll::Ready(Ok(bytes)) if bytes.byte_count() > 0 => self.activate(index, bytes),
                    // The bytes that are still to be sent to it are waited for.
                    Poll::Ready(Ok(end)) if stream.is_sending() => self.activate(index, end),
                    Poll::Pending if stream.is_sending() && self.stopping.is_some() => {
                        self.activate(index, ManagedBuf::empty())
                    }
                    Poll::Ready(_) => return self.end_idle(index),
                    Poll::Pending
                        if self.closes_idle(index) && !self.connections.has_unreceived(index) =>
                    {
                        return drop(self.connections.remove(index));
                    }
                    Poll::Pending => return,
                },
                None => return,
            };
            let Some(running) = self.running.get_mut(number as usize) else {
                return self.serve_tunnel(index, number, whose, &mut context);
            };
            if whose == Whose::Asking {
                if running.exchange.is_answering() {
                    return self.answering.push_back(index);
                }
                if self.shared.is_turn_half_over() {
                    return self.asking.push_back(index);
                }
            }
            let poll = || budget::each(|| running.serving.as_mut().poll(&mut context));
            if unwind::caught(poll).is_none() {
                let broken = self.running.remove(number as usize);
                drop(self.connections.remove(index));
                discard(broken);
                return self.count_finished();
            }
            match running.exchange.take_ended() {
                None => return,
                Some(Ended::Idle(stream)) => {
                    self.count_finished();
                    self.recycle(number);
                    self.connections.rest(index, stream, self.now);
                }
                Some(Ended::Closed) => {
                    let tunnel = running.exchange.take_tunnel();
                    self.recycle(number);
                    let Some(tunnel) = tunnel else {
                        self.count_finished();
                        return drop(self.connections.remove(index));
                    };
                    self.begin_tunnel(index, *tunnel);
                }
            }
        }
        waker.wake();
    }

    /// Ends an idle connection whose client has left, or cannot go on with TLS. It is told why.
    #[cold]
    fn end_idle(&mut self, index: u32) {
        let Doing::Idle(transport) = self.connections.remove(index) else {
            return;
        };
        // The access log is the user's and may panic.
        let end = || end_broken(transport, &self.shared);
        if let Some(Some(end)) = unwind::caught(end) {
            self.refusals.spawn(end);
        }
    }

    #[cold]
    fn begin_tunnel(&mut self, index: u32, mut tunnel: Tunnel) {
        if self.stopping.is_some() {
            tunnel.stop();
        }
        let number = self.tunnels.insert(tunnel);
        self.connections.renumber(index, number);
    }

    /// The turn of a connection that has left HTTP.
    #[inline(never)]
    fn serve_tunnel(&mut self, index: u32, number: u32, whose: Whose, context: &mut Context<'_>) {
        if whose == Whose::Asking && self.shared.is_turn_half_over() {
            return self.asking.push_back(index);
        }
        let tunnel = self.tunnels.get_mut(number);
        let poll = || budget::each(|| tunnel.poll(&self.shared, context));
        // The stream below may be the user's, and panic.
        if !matches!(unwind::caught(poll), Some(Poll::Pending)) {
            let tunnel = self.tunnels.remove(number);
            drop(self.connections.remove(index));
            unwind::swallow(|| drop(tunnel));
            self.burst.note_dropped(1);
            self.count_finished();
        } else if self.tunnels.note_due(number, index) {
            // It is set anew, to the earliest time that there is.
            self.sweep.clear();
        }
    }

    /// Gives a connection that is idle but for its answer to an exchange, which waits until that is
    /// sent.
    pub(super) fn wait_for_write(&mut self, index: u32) {
        self.activate(index, ManagedBuf::empty());
        self.wakes.waker(index).wake();
    }

    /// Gives an idle connection to an exchange, and returns that one's number.
    fn activate(&mut self, index: u32, bytes: ManagedBuf) -> u32 {
        let number = self.spare.pop().unwrap_or_else(|| self.make_exchange());
        let running = &mut self.running[number as usize];
        running.index = index;
        let stream = self
            .connections
            .activate(index, number)
            .expect("the connection was idle");
        running.exchange.set_span(self.connections.span(index));
        running.exchange.give(stream, bytes);
        number
    }

    /// Makes one more exchange, and returns its number.
    #[cold]
    fn make_exchange(&mut self) -> u32 {
        let exchange = Exchange::new(Rc::clone(&self.shared));
        let serving = Box::pin(serve_all(Rc::clone(&exchange), Rc::clone(&self.handler)));
        let index = 0;
        let running = Running {
            exchange,
            serving,
            index,
        };
        let number = u32::try_from(self.running.insert(running));
        number.expect("there are no more exchanges than connections")
    }

    /// Keeps an exchange that serves no connection any more, unless there are many such.
    fn recycle(&mut self, number: u32) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(number);
        } else {
            drop(self.running.remove(number as usize));
            self.burst.note_dropped(1);
        }
    }

    fn count_finished(&self) {
        if self.shared.is_stopping() {
            self.shared.count(|report| report.finished += 1);
        }
    }
}
