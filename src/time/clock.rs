//! The clock of a runtime, and the functions with which tests stop and move it.

use std::{
    cell::Cell,
    future::poll_fn,
    hash::{Hash as _, Hasher},
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use super::{timers::Timers, wheel::Nanos};
use crate::unwind;

/// The relation of [`now`] to the system's clock.
#[derive(Clone, Copy)]
enum Course {
    /// As far ahead of the system's clock as it was advanced, or behind it as it was paused.
    Running {
        ahead: Nanos,
    },
    Paused {
        at: Nanos,
    },
}

/// A monotonic clock in nanoseconds since its making.
pub(super) struct Clock {
    base: Instant,
    /// A quicker way to read the system's clock, and what it said at `base`.
    reading: Option<(Reading, Nanos)>,
    course: Cell<Course>,
}

/// Reads the clock that std's instants come from, in nanoseconds.
pub(crate) type Reading = fn() -> Nanos;

/// The system clock's reading at `instant`, in nanoseconds.
///
/// The difference of two instants costs as much as the rest of a timer's making, so the clock is
/// read without std. Timers and instants must agree to the nanosecond all the same, and the value
/// of an instant is told by nothing but its hash: seconds and nanoseconds. Where std does otherwise
/// one day, the clock subtracts instants.
fn nanos_at(instant: Instant) -> Option<Nanos> {
    #[derive(Default)]
    struct Parts {
        seconds: Option<i64>,
        nanos: Option<u32>,
    }

    impl Hasher for Parts {
        fn finish(&self) -> u64 {
            0
        }

        fn write(&mut self, _bytes: &[u8]) {}

        fn write_i64(&mut self, seconds: i64) {
            self.seconds = Some(seconds);
        }

        fn write_u32(&mut self, nanos: u32) {
            self.nanos = Some(nanos);
        }
    }

    let mut parts = Parts::default();
    instant.hash(&mut parts);
    let seconds = parts.seconds?.checked_mul(1_000_000_000)?;
    seconds.checked_add(Nanos::from(parts.nanos?))
}

/// The nanoseconds of `duration`, at most 292 years.
#[inline]
pub(super) fn nanos_of(duration: Duration) -> Nanos {
    const SECONDS_MAX: u64 = Nanos::MAX as u64 / 1_000_000_000;
    let seconds = duration.as_secs();
    if seconds >= SECONDS_MAX {
        return Nanos::MAX;
    }
    (seconds * 1_000_000_000) as Nanos + Nanos::from(duration.subsec_nanos())
}

impl Clock {
    /// A clock that is read by `reading`, if that is found to agree with std's instants.
    pub(super) fn new(reading: Option<Reading>) -> Clock {
        let read = || reading.map(|reading| reading());
        let before = read();
        let base = Instant::now();
        let after = read();
        let agrees = |nanos: &Nanos| (before..=after).contains(&Some(*nanos));
        Clock {
            base,
            reading: reading.zip(nanos_at(base).filter(agrees)),
            course: Cell::new(Course::Running { ahead: 0 }),
        }
    }

    #[inline]
    pub(super) fn now(&self) -> Nanos {
        match self.course.get() {
            Course::Running { ahead } => {
                let elapsed = match self.reading {
                    Some((reading, base)) => reading() - base,
                    None => self.elapsed(),
                };
                elapsed.saturating_add(ahead)
            }
            Course::Paused { at } => at,
        }
    }

    /// The time since `base`, by std.
    #[cold]
    fn elapsed(&self) -> Nanos {
        nanos_of(self.base.elapsed())
    }

    /// The present instant.
    #[inline]
    pub(super) fn now_instant(&self) -> Instant {
        match self.course.get() {
            // As nearly always: it is the system's clock, and need not be counted from the base.
            Course::Running { ahead: 0 } => Instant::now(),
            _ => self.instant(self.now()),
        }
    }

    /// The instant as nanoseconds, clamped to 292 years from the base.
    #[inline]
    pub(super) fn nanos(&self, instant: Instant) -> Nanos {
        let since_base = |(_, base)| nanos_at(instant)?.checked_sub(base);
        match self.reading.and_then(since_base) {
            Some(nanos) => nanos,
            None => self.nanos_by_std(instant),
        }
    }

    #[cold]
    fn nanos_by_std(&self, instant: Instant) -> Nanos {
        match instant.checked_duration_since(self.base) {
            Some(after) => nanos_of(after),
            None => -nanos_of(self.base.duration_since(instant)),
        }
    }

    pub(super) fn instant(&self, nanos: Nanos) -> Instant {
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        let instant = if nanos >= 0 {
            self.base.checked_add(distance)
        } else {
            self.base.checked_sub(distance)
        };
        instant.expect("std's clock counts more than 292 years")
    }

    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.course.get(), Course::Paused { .. })
    }

    /// Moves a paused clock forward, never back.
    pub(super) fn advance_to(&self, target: Nanos) {
        if let Course::Paused { at } = self.course.get() {
            self.course.set(Course::Paused { at: at.max(target) });
        }
    }

    fn pause(&self) {
        self.course.set(Course::Paused { at: self.now() });
    }

    pub(super) fn resume(&self) {
        if let Course::Paused { at } = self.course.get() {
            let ahead = at.saturating_sub(self.nanos(Instant::now()));
            self.course.set(Course::Running { ahead });
        }
    }
}

/// Returns the present instant of the runtime's clock.
///
/// This is [`Instant::now`] unless the clock was paused. Outside of a runtime it is always
/// [`Instant::now`].
///
/// # Examples
///
/// ```
/// use annulus::time::{now, pause};
///
/// annulus::run(async {
///     pause();
///     let before = now();
///     std::thread::yield_now();
///     assert_eq!(now(), before);
/// });
/// ```
pub fn now() -> Instant {
    Timers::try_current(|timers| timers.now()).unwrap_or_else(Instant::now)
}

/// Stops the clock of this thread's runtime, for tests.
///
/// [`now`] then returns the same instant until [`advance`] moves it, or until no task of this
/// runtime can go on: then the clock jumps to the earliest deadline of a pending timer. That also
/// happens while a task waits for a socket or a file, since the kernel's work is no concern of a
/// stopped clock. A `timeout` around real I/O may therefore pass at once; a test that has both
/// does its I/O first or resumes the clock for it.
///
/// Only timers of this runtime follow the clock: not those of other threads, not the kernel's, and
/// not [`Instant::now`]. Pausing a paused clock does nothing.
///
/// # Panics
///
/// Outside of a runtime.
///
/// # Examples
///
/// ```
/// use annulus::time::{pause, sleep};
/// use std::time::Duration;
///
/// annulus::run(async {
///     pause();
///     sleep(Duration::from_secs(3600)).await; // returns at once
/// });
/// ```
pub fn pause() {
    Timers::current(|timers| timers.clock.pause());
}

/// Lets a paused clock go on, from the instant at which it stands.
///
/// It does not jump to the system's time, so that instants never go back: from here on [`now`] is
/// apart from [`Instant::now`] by what was advanced and what was slept through. Resuming a running
/// clock does nothing.
///
/// # Panics
///
/// Outside of a runtime.
///
/// # Examples
///
/// ```
/// use annulus::time::{advance, now, pause, resume};
/// use std::time::Duration;
///
/// annulus::run(async {
///     let start = now();
///     pause();
///     advance(Duration::from_secs(60)).await;
///     resume();
///     assert!(now() >= start + Duration::from_secs(60));
/// });
/// ```
pub fn resume() {
    Timers::current(|timers| timers.clock.resume());
}

/// Moves the paused clock on by `duration`, through every deadline on the way.
///
/// The clock stops at each deadline in turn, and the tasks that it wakes run before the clock moves
/// to the next one. They see the clock at their own deadline, and timers that they arm within
/// `duration` fire as well: an interval of 10 ms ticks ten times in 100 ms. A task that is only
/// woken by one of those may run later; where everything has to settle before the clock moves, use
/// [`sleep`](super::sleep()) instead.
///
/// # Panics
///
/// When the clock is not paused, and outside of a runtime.
///
/// # Cancel safety
///
/// A dropped `advance` leaves the clock at the deadline that it has reached.
///
/// # Examples
///
/// ```
/// use annulus::time::{advance, now, pause};
/// use std::time::Duration;
///
/// annulus::run(async {
///     pause();
///     let start = now();
///     advance(Duration::from_millis(1500)).await;
///     assert_eq!(now() - start, Duration::from_millis(1500));
/// });
/// ```
pub async fn advance(duration: Duration) {
    let timers = Timers::current(Rc::clone);
    assert!(
        timers.is_paused(),
        "`time::advance` needs a paused clock: call `time::pause` first"
    );
    let target = timers.clock.now().saturating_add(nanos_of(duration));
    poll_fn(|context| {
        if !fire_next(&timers, target) {
            return Poll::Ready(());
        }
        // Behind the tasks that were woken just now.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Moves the clock to the next deadline up to `target` and wakes its timers; without one moves it
/// to `target` and returns false.
fn fire_next(timers: &Timers, target: Nanos) -> bool {
    if !timers.is_paused() {
        return false; // Another task has resumed the clock.
    }
    let earliest = timers.wheel.borrow().earliest_deadline();
    let Some(deadline) = earliest.filter(|&deadline| deadline <= target) else {
        timers.clock.advance_to(target);
        return false;
    };
    timers.clock.advance_to(deadline);
    let mut woken = Vec::new();
    timers.fire_at(timers.clock.now(), &mut woken);
    unwind::each(woken, Waker::wake);
    true
}
