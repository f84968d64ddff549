//! [`Notify`]: wakes tasks that wait for something to happen.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use super::waiters::{Left, Place, Waiters};
use crate::{
    budget::{self, PutOff},
    wait_note::{self, WaitNote},
};

/// Tells waiting tasks that something happened, without a value.
///
/// [`notify_one`](Notify::notify_one) wakes the task that has waited longest, or the next one that
/// comes; [`notify_waiters`](Notify::notify_waiters) wakes all that wait. The event itself stands
/// in state beside it, which the woken task looks at.
///
/// # Examples
///
/// A queue without a limit. A push between the look at the queue and the wait is not missed, since
/// `notify_one` is kept for the next wait.
///
/// ```
/// use annulus::{future::join, sync::Notify};
/// use std::{cell::RefCell, collections::VecDeque};
///
/// annulus::run(async {
///     let queue = RefCell::new(VecDeque::new());
///     let pushed = Notify::new();
///     let pop = async {
///         loop {
///             if let Some(value) = queue.borrow_mut().pop_front() {
///                 return value;
///             }
///             pushed.notified().await;
///         }
///     };
///     let push = async {
///         queue.borrow_mut().push_back(5);
///         pushed.notify_one();
///     };
///     assert_eq!(join(pop, push).await.0, 5);
/// });
/// ```
pub struct Notify {
    /// A `notify_one` came while no task waited.
    has_permit: Cell<bool>,
    /// The calls of `notify_waiters`, which end every wait that began before.
    round: Cell<u64>,
    waiters: Waiters<By>,
    /// The note of a task that waits.
    note: WaitNote,
}

/// The call that chose a waiter.
#[derive(Clone, Copy)]
enum By {
    NotifyOne,
    NotifyWaiters,
}

impl Notify {
    /// Returns a `Notify` without a permit.
    pub const fn new() -> Notify {
        Notify::noting(WaitNote::Notify)
    }

    /// As [`new`](Self::new), where a task that waits leaves another note.
    pub(super) const fn noting(note: WaitNote) -> Notify {
        Notify {
            has_permit: Cell::new(false),
            round: Cell::new(0),
            waiters: Waiters::new(),
            note,
        }
    }

    /// Waits for a notification.
    ///
    /// A [`notify_waiters`](Notify::notify_waiters) after this call counts, whether or not the
    /// future was polled before. For [`notify_one`](Notify::notify_one) the future takes its place
    /// in line at the first poll.
    ///
    /// # Cancel safety
    ///
    /// A future that was chosen by `notify_one` and is dropped before it returned passes the
    /// notification on to the next in line. It loses its place in line.
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            state: State::New {
                round: self.round.get(),
            },
            put_off: PutOff::new(),
        }
    }

    /// Wakes the task that has waited longest.
    ///
    /// If no task waits, the next [`notified`](Notify::notified) returns at once. Several calls
    /// without a waiting task count as one.
    pub fn notify_one(&self) {
        match self.waiters.choose_first(By::NotifyOne) {
            Some(waker) => waker.wake(),
            None => self.has_permit.set(true),
        }
    }

    /// Wakes all tasks that wait, and ends every wait whose future was made before this call.
    ///
    /// It keeps nothing for later waits.
    pub fn notify_waiters(&self) {
        self.round.set(self.round.get() + 1);
        self.waiters.wake_all(By::NotifyWaiters);
    }
}

impl Default for Notify {
    fn default() -> Notify {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify").finish_non_exhaustive()
    }
}

/// The future of [`Notify::notified`].
#[must_use = "it waits only when it is awaited or polled"]
pub struct Notified<'a> {
    notify: &'a Notify,
    state: State,
    put_off: PutOff,
}

enum State {
    /// Not polled; `notify_waiters` was called `round` times when this was made.
    New {
        round: u64,
    },
    Waiting(Place),
    Done,
}

impl Notified<'_> {
    /// Whether there is something for a wait that began in `round`. Takes the permit.
    fn is_notified(&self, round: u64) -> bool {
        self.notify.round.get() != round || self.notify.has_permit.take()
    }

    /// Begins to wait, unless there is nothing to wait for.
    fn start(&self, round: u64, waker: &Waker) -> State {
        if self.is_notified(round) {
            budget::spend();
            return State::Done;
        }
        let waker = waker.clone();
        // Cloning a waker is user code, which may notify.
        if self.is_notified(round) {
            return State::Done;
        }
        State::Waiting(self.notify.waiters.push(waker, 1))
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let state = match &this.state {
            State::New { round } => {
                let is_ready = this.notify.has_permit.get() || this.notify.round.get() != *round;
                if budget::is_spent() && is_ready && this.put_off.waits(context) {
                    return Poll::Pending;
                }
                this.start(*round, context.waker())
            }
            State::Waiting(place) => {
                wait_note::leave(this.notify.note);
                let _by = ready!(this.notify.waiters.poll_chosen(place, context.waker()));
                State::Done
            }
            State::Done => State::Done,
        };
        this.state = state;
        match this.state {
            State::Done => Poll::Ready(()),
            _ => {
                wait_note::leave(this.notify.note);
                Poll::Pending
            }
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if let State::Waiting(place) = std::mem::replace(&mut self.state, State::Done) {
            if let Left::Chosen(By::NotifyOne) = self.notify.waiters.remove(place) {
                self.notify.notify_one();
            }
        }
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").finish_non_exhaustive()
    }
}
