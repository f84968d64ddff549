//! The queue for one direction of a socket: first come, first served.

use std::{
    cell::Cell,
    fmt, io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    budget,
    driver::Driver,
    sync::{Left, Place, Waiters},
    wait_note::{self, WaitNote},
};

/// The place of one user in the queue.
#[derive(Default)]
pub(super) struct Ticket(Cell<Standing>);

#[derive(Default)]
enum Standing {
    /// Its user does not want the turn.
    #[default]
    Apart,
    Waiting(Place),
    HasTurn,
}

impl Ticket {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn is_new(&self) -> bool {
        let standing = self.0.take();
        let is_new = matches!(standing, Standing::Apart);
        self.0.set(standing);
        is_new
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

/// A queue in which one user at a time has the turn. It allocates only when a user waits, and each
/// of its calls takes the same time however many wait.
#[derive(Default)]
pub(super) struct Turns {
    /// Whether a user has the turn. One that was chosen in the queue has it from then on.
    is_taken: Cell<bool>,
    /// The users that wait, and those that were chosen and have not looked. Nearly always absent,
    /// and every idle connection has room for it.
    waiting: Cell<Option<Rc<Queue>>>,
}

/// Those who wait.
#[derive(Default)]
struct Queue {
    waiters: Waiters<()>,
    /// The waker of a user that polls without a ticket, woken when the turn becomes free.
    watcher: Cell<Option<Waker>>,
}

impl Queue {
    fn is_unused(&self) -> bool {
        let watcher = self.watcher.take();
        let is_watched = watcher.is_some();
        self.watcher.set(watcher);
        !is_watched && self.waiters.is_unused()
    }
}

impl Turns {
    /// Whether `ticket` has the turn now; otherwise the context's waker is woken when it does.
    #[inline]
    pub(super) fn poll(&self, ticket: &Ticket, context: &Context<'_>) -> bool {
        match ticket.0.take() {
            Standing::HasTurn => {}
            Standing::Apart if !self.is_taken.get() => self.is_taken.set(true),
            Standing::Apart => return self.enqueue(ticket, context),
            Standing::Waiting(place) => return self.poll_queue(ticket, place, context),
        }
        ticket.0.set(Standing::HasTurn);
        true
    }

    #[cold]
    fn enqueue(&self, ticket: &Ticket, context: &Context<'_>) -> bool {
        let waker = context.waker().clone();
        // Cloning the waker ran the user's code, and the turn may have become free in it. Then no
        // other user would wake this one.
        if !self.is_taken.replace(true) {
            ticket.0.set(Standing::HasTurn);
            return true;
        }
        let place = self.queue().waiters.push(waker, 1);
        ticket.0.set(Standing::Waiting(place));
        wait_note::leave(WaitNote::SocketTurn);
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

    #[cold]
    fn poll_queue(&self, ticket: &Ticket, place: Place, context: &Context<'_>) -> bool {
        /// Brings the place back, also when a waker panics.
        struct Kept<'a>(&'a Ticket, Option<Place>);

        impl Drop for Kept<'_> {
            fn drop(&mut self) {
                if let Some(place) = self.1.take() {
                    self.0.0.set(Standing::Waiting(place));
                }
            }
        }

        let mut kept = Kept(ticket, Some(place));
        let Some(place) = &kept.1 else { return false };
        let queue = self.queue();
        if queue.waiters.poll_chosen(place, context.waker()) == Poll::Pending {
            wait_note::leave(WaitNote::SocketTurn);
            return false;
        }
        kept.1 = None;
        ticket.0.set(Standing::HasTurn);
        self.tidy(&queue);
        true
    }

    /// As [`poll_turn`](Self::poll_turn) for one of the operations that a task's poll has: when
    /// none is left, one that begins waits for the next poll, with the turn or the place that it
    /// got here.
    #[inline]
    pub(super) fn poll_counted(
        &self,
        driver: &Driver,
        ticket: &Ticket,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        if budget::is_spent() {
            return self.poll_when_spent(driver, ticket, context);
        }
        self.poll_turn(driver, ticket, context)
    }

    #[cold]
    fn poll_when_spent(
        &self,
        driver: &Driver,
        ticket: &Ticket,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        let is_put_off = ticket.is_new();
        let turn = self.poll_turn(driver, ticket, context);
        if is_put_off && matches!(turn, Poll::Ready(Ok(()))) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        turn
    }

    /// Takes the turn without waiting, when it is free.
    pub(super) fn try_take(&self, ticket: &Ticket) -> bool {
        if self.is_taken.get() {
            return false;
        }
        self.poll(ticket, &Context::from_waker(Waker::noop()))
    }

    /// Whether the turn is free. If not, the context's waker is woken when it becomes free. One
    /// waker is kept for that, the last.
    #[inline]
    pub(super) fn poll_free(&self, context: &Context<'_>) -> bool {
        !self.is_taken.get() || self.watch(context)
    }

    #[cold]
    fn watch(&self, context: &Context<'_>) -> bool {
        let waker = context.waker().clone();
        // That was the user's code, and the one who had the turn may have left in it.
        if !self.is_taken.get() {
            return true;
        }
        let before = self.queue().watcher.replace(Some(waker));
        drop(before);
        false
    }

    /// Whether the turn is free.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        !self.is_taken.get()
    }

    /// Ends a turn, or leaves the queue. The next in the queue has the turn from now on; should it
    /// be dropped before it is polled, it passes the turn on by the same call.
    #[inline]
    pub(super) fn leave(&self, ticket: &Ticket) {
        match ticket.0.take() {
            Standing::Apart => {}
            Standing::HasTurn => match self.waiting.take() {
                None => self.is_taken.set(false),
                Some(waiters) => {
                    self.waiting.set(Some(waiters));
                    self.pass_on();
                }
            },
            Standing::Waiting(place) => self.leave_queue(place),
        }
    }

    #[cold]
    fn pass_on(&self) {
        let queue = self.queue();
        let next = queue.waiters.choose_first(()).or_else(|| {
            self.is_taken.set(false);
            queue.watcher.take()
        });
        self.tidy(&queue);
        if let Some(waker) = next {
            // The user's code runs last.
            waker.wake();
        }
    }

    #[cold]
    fn leave_queue(&self, place: Place) {
        let queue = self.queue();
        match queue.waiters.remove(place) {
            Left::Chosen(()) => self.pass_on(),
            Left::Waiting(waker) => {
                self.tidy(&queue);
                // It is not woken.
                drop(waker);
            }
        }
    }

    /// The queue, made if need be.
    fn queue(&self) -> Rc<Queue> {
        let queue = self.waiting.take().unwrap_or_default();
        self.waiting.set(Some(Rc::clone(&queue)));
        queue
    }

    /// Drops the queue when it is empty.
    fn tidy(&self, queue: &Queue) {
        if queue.is_unused() {
            drop(self.waiting.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

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

    #[test]
    fn a_poll_without_a_ticket_is_woken_when_the_turn_is_free() {
        struct Count(AtomicUsize);

        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        let turns = Turns::default();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        let (a, b) = (Ticket::new(), Ticket::new());
        assert!(turns.poll_free(&context) && poll(&turns, &a));
        assert!(!turns.poll_free(&context) && !poll(&turns, &b));
        turns.leave(&a);
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "b has the turn");
        assert!(poll(&turns, &b) && !turns.poll_free(&context));
        turns.leave(&b);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(turns.poll_free(&context) && turns.waiting.take().is_none());
    }

    #[test]
    fn of_many_who_wait_each_has_its_turn_and_none_is_looked_for() {
        // With a look at all who wait for each of them this would take minutes.
        const COUNT: usize = 100_000;
        let turns = Turns::default();
        let tickets: Vec<Ticket> = (0..COUNT).map(|_| Ticket::new()).collect();
        for (number, ticket) in tickets.iter().enumerate() {
            assert_eq!(poll(&turns, ticket), number == 0);
        }
        for ticket in &tickets[1..] {
            assert!(!poll(&turns, ticket));
        }
        // Every second one gives up, from the last to the first.
        for ticket in tickets.iter().skip(1).step_by(2).rev() {
            turns.leave(ticket);
        }
        for ticket in tickets.iter().step_by(2) {
            assert!(poll(&turns, ticket));
            turns.leave(ticket);
        }
        assert!(turns.is_free() && turns.waiting.take().is_none());
    }

    #[test]
    fn a_waker_that_panics_as_it_is_replaced_costs_no_place() {
        struct Panics;

        impl Wake for Panics {
            fn wake(self: Arc<Self>) {}
        }

        impl Drop for Panics {
            fn drop(&mut self) {
                resume_unwind(Box::new("a waker's panic"));
            }
        }

        let turns = Turns::default();
        let (a, b, c) = (Ticket::new(), Ticket::new(), Ticket::new());
        assert!(poll(&turns, &a));
        let waker = Waker::from(Arc::new(Panics));
        assert!(!turns.poll(&b, &Context::from_waker(&waker)) && !poll(&turns, &c));
        drop(waker);
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&turns, &b))).is_err());
        turns.leave(&a);
        assert!(!poll(&turns, &c) && poll(&turns, &b));
        turns.leave(&b);
        assert!(poll(&turns, &c));
    }
}
