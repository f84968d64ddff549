//! The timers of one runtime: its clock and its wheel, and which ones are current on this thread.

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
    ptr,
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    clock::{Clock, Reading},
    wheel::{Nanos, Wheel},
};

thread_local! {
    /// Only [`Entered`] drops what is in here, so that there is no destructor: the value can be
    /// read for as long as the thread lives, and nothing has to be checked before.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Timers>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
    /// The address of the current timers, for comparison only: to read it costs one instruction.
    static CURRENT_ADDRESS: Cell<*const Timers> = const { Cell::new(ptr::null()) };
}

/// The clock and the pending timers of one runtime.
///
/// In each turn the runtime reads the clock with [`Timers::look`], calls [`Timers::fire`] with
/// that, and wakes the wakers it got. Before it waits it asks [`Timers::next_wait`] for how long;
/// if nothing is ready and [`Timers::auto_advance`] returns true, it goes on instead.
pub(crate) struct Timers {
    pub(super) clock: Clock,
    /// No waker is cloned, woken or dropped while this is borrowed.
    pub(super) wheel: RefCell<Wheel>,
    /// The wakers to wake in the next turn, whatever the time is then.
    next_turn: RefCell<Vec<Waker>>,
    /// The moment of the runtime's last look at the clock.
    looked: Cell<Nanos>,
    /// The moment of the runtime's first look at the clock since [`watch_turn`] was called.
    turn_end: Cell<Option<Instant>>,
}

/// The runtime's look at the clock, at the end of a turn. Later steps count in nanoseconds, which
/// costs less than to subtract instants.
pub(crate) struct Look {
    pub(crate) now: Instant,
    /// The time since the last look.
    pub(crate) since: Duration,
    nanos: Nanos,
}

/// As a duration; none for a negative number.
#[inline]
fn duration_of(nanos: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

/// Keeps timers current on this thread; dropping it brings back those of before.
#[must_use]
pub(crate) struct Entered {
    previous: Option<Rc<Timers>>,
}

impl Timers {
    /// Timers whose clock is read by `reading`, which is quicker than by std.
    pub(crate) fn new(reading: Option<Reading>) -> Rc<Timers> {
        Rc::new(Timers {
            clock: Clock::new(reading),
            wheel: RefCell::new(Wheel::new()),
            next_turn: RefCell::default(),
            looked: Cell::new(0),
            turn_end: Cell::new(None),
        })
    }

    /// Makes these the timers of this thread until the guard is dropped. Guards are dropped in the
    /// reverse order of their making.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        CURRENT_ADDRESS.set(Rc::as_ptr(self));
        Entered {
            previous: replace_current(Some(Rc::clone(self))),
        }
    }

    /// Whether these are the timers of this thread. The caller keeps them, so no others can have
    /// their address.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        ptr::eq(CURRENT_ADDRESS.get(), self)
    }

    /// This thread's timers, if it runs a runtime.
    #[inline]
    pub(super) fn try_current<T>(read: impl FnOnce(&Rc<Timers>) -> T) -> Option<T> {
        CURRENT.with_borrow(|current| current.as_ref().map(read))
    }

    /// This thread's timers.
    #[inline]
    pub(super) fn current<T>(read: impl FnOnce(&Rc<Timers>) -> T) -> T {
        match Timers::try_current(read) {
            Some(value) => value,
            None => panic!("timers need a runtime: call this inside of `annulus::run`"),
        }
    }

    /// The runtime's clock, which may be paused or ahead of the system's. Deadlines are compared
    /// with it and never with `Instant::now`.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now_instant()
    }

    /// Looks at the clock at the end of a turn.
    #[inline]
    pub(crate) fn look(&self) -> Look {
        let now = self.now();
        let nanos = self.clock.nanos(now);
        let since = nanos.saturating_sub(self.looked.replace(nanos));
        if self.turn_end.get().is_none() {
            self.turn_end.set(Some(now));
        }
        Look {
            now,
            since: duration_of(since),
            nanos,
        }
    }

    /// As [`next_deadline`](Self::next_deadline), as the time from `look` on.
    #[inline]
    pub(crate) fn next_wait(&self, look: &Look) -> Option<Duration> {
        let deadline = self.wheel.borrow().next_deadline()?;
        Some(duration_of(deadline.saturating_sub(look.nanos)))
    }

    /// The time until which nothing has to be fired, or `None` without a timer.
    ///
    /// This can be earlier than the first deadline, by the width of the slot that holds it: `fire`
    /// then fires nothing and sorts that slot anew, so that the next answer is later. It is cheap:
    /// it looks at no timer.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadline = self.wheel.borrow().next_deadline()?;
        Some(self.clock.instant(deadline))
    }

    /// Registers `waker` for the moment when the runtime looks at its timers next, after which it
    /// asks the kernel before it polls any task.
    #[cold]
    pub(super) fn wake_in_next_turn(&self, waker: Waker) {
        self.next_turn.borrow_mut().push(waker);
    }

    /// Appends the wakers of all timers that were due at a look, in order, behind those that wait
    /// for this turn, and returns how many there were. It calls none of them: the caller wakes them
    /// once it has borrowed nothing.
    ///
    /// Calling it in each turn that read the clock anyway, also without a timer that is due, keeps
    /// timers that are armed later from being sorted in with an old position.
    pub(crate) fn fire(&self, look: &Look, woken: &mut Vec<Waker>) -> usize {
        self.fire_at(look.nanos, woken)
    }

    pub(super) fn fire_at(&self, now: Nanos, woken: &mut Vec<Waker>) -> usize {
        let count_before = woken.len();
        woken.append(&mut self.next_turn.borrow_mut());
        let mut wheel = self.wheel.borrow_mut();
        if self.clock.is_paused() {
            wheel.fire_exactly(now, woken);
        } else {
            wheel.fire(now, woken);
        }
        woken.len() - count_before
    }

    /// While the clock is paused and a timer is pending, sets the clock to the earliest deadline
    /// and returns true: the next `fire` has something to do.
    ///
    /// For a runtime with no task to run and no completion to take, instead of waiting. When it
    /// returns false for a paused clock there is no timer, so the wait needs no deadline. A runtime
    /// that has a reason to let time stand (a helper thread at work) does not call this, and waits
    /// without a deadline while [`Timers::is_paused`].
    pub(crate) fn auto_advance(&self) -> bool {
        if !self.clock.is_paused() {
            return false;
        }
        let earliest = self.wheel.borrow().earliest_deadline();
        if let Some(deadline) = earliest {
            self.clock.advance_to(deadline);
        }
        earliest.is_some()
    }

    /// Lets a paused clock go on.
    pub(crate) fn resume(&self) {
        self.clock.resume();
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.clock.is_paused()
    }

    /// Gives back memory that many timers at once needed, if few of them are left. For a thread
    /// that has nothing else to do.
    #[inline]
    pub(crate) fn give_back(&self) {
        self.wheel.borrow_mut().give_back();
    }

    /// As [`give_back`](Self::give_back), whether few are left or not.
    fn shrink(&self) {
        self.wheel.borrow_mut().shrink();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending_count() == 0 && self.next_turn.borrow().is_empty()
    }

    /// How many timers are armed and have not fired.
    pub(crate) fn pending_count(&self) -> usize {
        self.wheel.borrow().pending_count()
    }

    /// How many timers have fired since the start.
    pub(crate) fn fired_count(&self) -> u64 {
        self.wheel.borrow().fired_count()
    }
}

/// Shows each pending timer of this thread's runtime to `look`: the time that is left, and the
/// waker. The latter is not to be woken, cloned or dropped.
pub(crate) fn for_each_pending(mut look: impl FnMut(Duration, &Waker)) {
    let timers = Timers::try_current(Rc::clone);
    if let Some(timers) = timers {
        let now = timers.now();
        let wheel = timers.wheel.borrow();
        wheel.for_each_pending(|deadline, waker| {
            let deadline = timers.clock.instant(deadline);
            look(deadline.saturating_duration_since(now), waker);
        });
    }
}

/// How many timers of this thread's runtime are armed and have not fired.
pub(crate) fn pending_count() -> usize {
    Timers::try_current(|timers| timers.pending_count()).unwrap_or(0)
}

fn replace_current(timers: Option<Rc<Timers>>) -> Option<Rc<Timers>> {
    ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(timers)))
}

/// Notes the end of this turn, for [`turn_end`].
pub(crate) fn watch_turn() {
    Timers::current(|timers| timers.turn_end.set(None));
}

/// Returns the end of the turn in which [`watch_turn`] was called last. None when it was never
/// called, or no timer was armed then.
pub(crate) fn turn_end() -> Option<Instant> {
    Timers::current(|timers| timers.turn_end.get())
}

/// Gives back memory that many timers of this thread at once needed.
pub(crate) fn shrink() {
    Timers::current(|timers| timers.shrink());
}

/// How many timers of this thread's runtime have fired.
pub(crate) fn fired_count() -> u64 {
    Timers::try_current(|timers| timers.fired_count()).unwrap_or(0)
}

impl Drop for Entered {
    fn drop(&mut self) {
        let address = self.previous.as_ref().map_or(ptr::null(), Rc::as_ptr);
        CURRENT_ADDRESS.set(address);
        // The former timers are dropped after the cell is free again: this may be the last
        // reference.
        drop(replace_current(self.previous.take()));
    }
}
