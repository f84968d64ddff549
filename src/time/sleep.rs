//! [`Sleep`]: waits until a deadline.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    clock::nanos_of,
    timers::Timers,
    wheel::{Look, Nanos},
};
use crate::budget;

/// Waits for `duration`.
///
/// The time counts from this call, not from the first poll, and is read from the clock rather than
/// taken from the runtime's turn: a task that computes for 50 ms first still sleeps for the whole
/// duration. A zero duration is over at once, and one beyond 292 years lasts for ever.
///
/// # Panics
///
/// Outside of a runtime.
///
/// # Cancel safety
///
/// Dropping the future removes the timer. To go on with the same sleep in a loop around `select!`
/// or `future::race`, keep it outside of the loop and pass `&mut sleep`.
///
/// # Examples
///
/// ```
/// use annulus::time::{now, sleep};
/// use std::time::Duration;
///
/// annulus::run(async {
///     let start = now();
///     sleep(Duration::from_millis(2)).await;
///     assert!(now() - start >= Duration::from_millis(2));
/// });
/// ```
#[inline]
pub fn sleep(duration: Duration) -> Sleep {
    let timers = Timers::current(Rc::clone);
    let nanos = nanos_of(duration);
    let state = if nanos == 0 { State::Over } else { State::Idle };
    Sleep {
        deadline: timers.clock.now().saturating_add(nanos),
        timers,
        state,
    }
}

/// Waits until `deadline`, an instant of the runtime's clock.
///
/// A deadline in the past is over at once. See [`sleep`] for the rest.
///
/// # Panics
///
/// Outside of a runtime.
///
/// # Examples
///
/// ```
/// use annulus::time::{now, sleep_until};
/// use std::time::Duration;
///
/// annulus::run(async {
///     let deadline = now() + Duration::from_millis(2);
///     sleep_until(deadline).await;
///     assert!(now() >= deadline);
/// });
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Timers::current(|timers| Sleep {
        deadline: timers.clock.nanos(deadline),
        timers: Rc::clone(timers),
        state: State::Idle,
    })
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It holds no memory of the runtime before its first poll. Polled under another runtime than
/// before, it moves there and keeps its deadline. Once over, it stays over until [`Sleep::reset`].
#[must_use = "a sleep waits only when it is awaited or polled"]
pub struct Sleep {
    deadline: Nanos,
    timers: Rc<Timers>,
    state: State,
}

const _: () = assert!(size_of::<Sleep>() <= 24);

enum State {
    /// Over when it was made, and not polled since.
    Over,
    /// Not polled since it was made or reset.
    Idle,
    /// Owner of the entry with this index, pending or due.
    Armed(u32),
    /// Over at the first poll of a timeout, which has let a turn pass since.
    Asked,
    Done,
}

impl Sleep {
    /// A sleep that is over at the first poll; its deadline is now.
    pub(super) fn over() -> Sleep {
        sleep(Duration::ZERO)
    }

    /// Returns the instant at which this sleep is over.
    pub fn deadline(&self) -> Instant {
        self.timers.clock.instant(self.deadline)
    }

    /// Whether the deadline has passed, also when this was not polled yet.
    pub fn is_elapsed(&self) -> bool {
        matches!(self.state, State::Over | State::Done) || self.deadline <= self.timers.clock.now()
    }

    /// Changes the deadline, also of a sleep that is over.
    ///
    /// A task that waits for this sleep goes on waiting, for the new deadline. This costs less than
    /// a new sleep and reads no clock, which makes it the way to write an idle timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::time::{now, pause, sleep};
    /// use std::time::Duration;
    ///
    /// annulus::run(async {
    ///     pause();
    ///     let mut idle = sleep(Duration::from_secs(5));
    ///     // Something arrived:
    ///     let deadline = now() + Duration::from_secs(9);
    ///     idle.reset(deadline);
    ///     (&mut idle).await;
    ///     assert_eq!(now(), deadline);
    /// });
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.reset_to(self.timers.clock.nanos(deadline));
    }

    pub(super) fn reset_to(&mut self, deadline: Nanos) {
        self.deadline = deadline;
        let State::Armed(index) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        let mut wheel = self.timers.wheel.borrow_mut();
        if !wheel.has_passed(deadline) && wheel.rearm(index, deadline) {
            self.state = State::Armed(index);
            return;
        }
        let waker = wheel.free(index);
        drop(wheel);
        // The new deadline has passed already, which the waiting task finds at its next poll. An
        // entry that was due has no waker left: its task was woken before.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn deadline_nanos(&self) -> Nanos {
        self.deadline
    }

    pub(super) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Gives the entry back, if there is one.
    #[inline]
    fn disarm(&mut self) {
        if let State::Armed(index) = self.state {
            self.state = State::Idle;
            let waker = self.timers.wheel.borrow_mut().free(index);
            drop(waker);
        }
    }

    /// Moves to this thread's runtime if another one polled this before.
    #[inline]
    fn follow_runtime(&mut self) {
        if !self.timers.is_current() {
            self.move_to(Timers::current(Rc::clone));
        }
    }

    #[cold]
    fn move_to(&mut self, timers: Rc<Timers>) {
        self.disarm();
        self.deadline = timers.clock.nanos(self.deadline());
        self.timers = timers;
    }

    /// Ends, and says so at the next poll if this one has no operation left. Then a future in front
    /// of it that is put off now, as in a timeout, is as ready as it is.
    fn end(&mut self, context: &Context<'_>) -> Poll<()> {
        self.state = State::Done;
        if budget::is_spent() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        budget::spend();
        Poll::Ready(())
    }

    /// Polls the sleep of a timeout. One that is over before it had to wait lets a turn pass: the
    /// future in front of it may have begun to ask the kernel only now.
    #[inline]
    pub(super) fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let has_waited = !matches!(self.state, State::Over | State::Idle);
        let polled = Pin::new(&mut *self).poll(context);
        if polled.is_ready() && !has_waited {
            return self.ask(context);
        }
        polled
    }

    #[cold]
    fn ask(&mut self, context: &Context<'_>) -> Poll<()> {
        self.state = State::Asked;
        let waker = context.waker().clone();
        Timers::current(|timers| timers.wake_in_next_turn(waker));
        Poll::Pending
    }

    /// Looks at the entry that this owns, and leaves the waker in it up to date.
    fn poll_armed(&mut self, index: u32, context: &Context<'_>) -> Poll<()> {
        let waker = context.waker();
        // Each borrow of the wheel is a statement of its own: between them runs user code.
        let look = self.timers.wheel.borrow().look(index, waker);
        let is_due = match look {
            Look::Due => true,
            Look::Pending => false,
            Look::PendingForOther => {
                let waker = waker.clone();
                let replaced = self.timers.wheel.borrow_mut().replace_waker(index, waker);
                // Cloning the waker may have run a turn, and with it fired this timer.
                replaced.is_err()
            }
        };
        if !is_due {
            return Poll::Pending;
        }
        self.disarm();
        self.end(context)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match this.state {
            State::Done => return Poll::Ready(()),
            State::Over | State::Asked => return this.end(context),
            State::Idle | State::Armed(_) => {}
        }
        this.follow_runtime();
        if let State::Armed(index) = this.state {
            return this.poll_armed(index, context);
        }
        let waker = context.waker().clone();
        let mut wheel = this.timers.wheel.borrow_mut();
        // The wheel rounds up to its next tick. For a deadline that close a look at the clock is
        // cheaper than a turn, and a deadline that has passed is over at once.
        let is_over = wheel.is_near(this.deadline)
            && (wheel.has_passed(this.deadline) || this.deadline <= this.timers.clock.now());
        if is_over {
            drop(wheel);
            return this.end(context);
        }
        this.state = State::Armed(wheel.arm(this.deadline, waker));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}
