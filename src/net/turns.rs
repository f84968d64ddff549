//! First come, first served: who may use one direction of a socket.

use std::{
    cell::Cell,
    collections::VecDeque,
    io,
    task::{Context, Poll, Waker},
};

use crate::driver::Driver;

/// The place of one user in the queue. Zero is nobody's.
#[derive(Debug, Default)]
pub(super) struct Ticket(Cell<u32>);

impl Ticket {
    pub(super) fn new() -> Self {
        Self::default()
    }
}

/// Who waits, in order. Boxed where it stands, since it is nearly always empty and every idle
/// connection has room for it.
type Waiting = VecDeque<(u32, Waker)>;

/// A queue in which one user at a time has the turn. It allocates only when somebody waits.
#[derive(Default)]
pub(super) struct Turns {
    /// The ticket that has the turn.
    holder: Cell<u32>,
    last: Cell<u32>,
    waiting: Cell<Option<Box<Waiting>>>,
}

impl Turns {
    /// Whether `ticket` has the turn now; otherwise the context's waker is woken when it does.
    #[inline]
    pub(super) fn poll(&self, ticket: &Ticket, context: &Context<'_>) -> bool {
        if ticket.0.get() == 0 {
            let number = self.last.get().wrapping_add(1).max(1);
            self.last.set(number);
            ticket.0.set(number);
            if self.holder.get() == 0 {
                self.holder.set(number);
                return true;
            }
        }
        if self.holder.get() == ticket.0.get() {
            return true;
        }
        let waker = context.waker().clone();
        // That was the user's code, and the one who had the turn may have left in it: nobody would
        // wake this one then, or it has the turn already.
        if self.holder.get() == 0 {
            self.holder.set(ticket.0.get());
        }
        if self.holder.get() == ticket.0.get() {
            return true;
        }
        let mut waiting = self.waiting.take().unwrap_or_default();
        let place = waiting
            .iter_mut()
            .find(|(number, _)| *number == ticket.0.get());
        let old = match place {
            Some((_, old)) => Some(std::mem::replace(old, waker)),
            None => {
                waiting.push_back((ticket.0.get(), waker));
                None
            }
        };
        self.waiting.set(Some(waiting));
        drop(old);
        false
    }

    /// Resolves when `ticket` has the turn.
    ///
    /// # Errors
    ///
    /// Outside of the runtime of `driver`, where waiting could last for ever. The ticket has left
    /// the queue then.
    #[inline]
    pub(super) fn poll_turn(
        &self,
        driver: &Driver,
        ticket: &Ticket,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = driver.check_current() {
            self.leave(ticket);
            return Poll::Ready(Err(error));
        }
        if self.poll(ticket, context) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Takes the turn without waiting, when nobody has it.
    pub(super) fn try_take(&self, ticket: &Ticket) -> bool {
        if self.holder.get() != 0 {
            return false;
        }
        self.poll(ticket, &Context::from_waker(Waker::noop()))
    }

    /// Whether nobody has the turn.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.holder.get() == 0
    }

    /// Ends a turn, or leaves the queue. The next in the queue has the turn from now on; should it
    /// be dropped before it is polled, it passes the turn on by the same call.
    #[inline]
    pub(super) fn leave(&self, ticket: &Ticket) {
        let number = ticket.0.replace(0);
        if number == 0 {
            return;
        }
        if let Some(waiting) = self.waiting.take() {
            return self.leave_queue(waiting, number);
        }
        if self.holder.get() == number {
            self.holder.set(0);
        }
    }

    /// As [`leave`](Self::leave), when others wait.
    #[cold]
    fn leave_queue(&self, mut waiting: Box<Waiting>, number: u32) {
        let (mut left, mut next) = (None, None);
        if self.holder.get() == number {
            next = waiting.pop_front();
            self.holder.set(next.as_ref().map_or(0, |(next, _)| *next));
        } else if let Some(index) = waiting.iter().position(|(other, _)| *other == number) {
            left = waiting.remove(index);
        }
        if !waiting.is_empty() {
            self.waiting.set(Some(waiting));
        }
        // The user's code runs last. The waker of one that leaves is dropped, and not woken.
        drop(left);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(turns: &Turns, ticket: &Ticket) -> bool {
        turns.poll(ticket, &Context::from_waker(Waker::noop()))
    }

    #[test]
    fn turns_go_in_the_order_of_asking() {
        let turns = Turns::default();
        let (a, b, c) = (Ticket::new(), Ticket::new(), Ticket::new());
        assert!(poll(&turns, &a) && !poll(&turns, &b) && !poll(&turns, &c));
        turns.leave(&a);
        assert!(!poll(&turns, &a), "a asks again and stands behind c");
        assert!(!poll(&turns, &c) && poll(&turns, &b));
        turns.leave(&b);
        assert!(poll(&turns, &c));
        turns.leave(&c);
        assert!(poll(&turns, &a));
    }

    #[test]
    fn one_who_leaves_the_queue_is_passed_over() {
        let turns = Turns::default();
        let (a, b, c) = (Ticket::new(), Ticket::new(), Ticket::new());
        assert!(poll(&turns, &a) && !poll(&turns, &b) && !poll(&turns, &c));
        turns.leave(&b);
        turns.leave(&a);
        assert!(poll(&turns, &c));
        turns.leave(&c);
        assert!(turns.is_free() && turns.waiting.take().is_none());
    }

    #[test]
    fn one_who_was_given_the_turn_and_is_dropped_passes_it_on() {
        let turns = Turns::default();
        let (a, b, c) = (Ticket::new(), Ticket::new(), Ticket::new());
        assert!(poll(&turns, &a) && !poll(&turns, &b) && !poll(&turns, &c));
        turns.leave(&a);
        turns.leave(&b);
        assert!(poll(&turns, &c));
    }
}
