//! [`Interval`]: ticks at a fixed rate.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use super::{
    clock::nanos_of,
    missed_ticks::MissedTicks,
    sleep::{Sleep, sleep_until},
    wheel::Nanos,
};

/// Returns an interval that ticks now and then after each `period`.
///
/// # Panics
///
/// When `period` is zero, and outside of a runtime.
///
/// # Examples
///
/// ```
/// use annulus::time::{interval, now, pause, sleep};
/// use std::time::Duration;
///
/// annulus::run(async {
///     pause();
///     let start = now();
///     let mut ticks = interval(Duration::from_millis(10));
///     assert_eq!(ticks.tick().await, start);
///     sleep(Duration::from_millis(8)).await; // work that fits between two ticks
///     assert_eq!(ticks.tick().await, start + Duration::from_millis(10));
/// });
/// ```
pub fn interval(period: Duration) -> Interval {
    Interval::new(Sleep::over(), period)
}

/// Returns an interval that ticks at `start`, an instant of the runtime's clock, and then after
/// each `period`.
///
/// # Panics
///
/// When `period` is zero, and outside of a runtime.
///
/// # Examples
///
/// ```
/// use annulus::time::{interval_at, now, pause};
/// use std::time::Duration;
///
/// annulus::run(async {
///     pause();
///     let start = now() + Duration::from_secs(1);
///     let mut ticks = interval_at(start, Duration::from_secs(60));
///     assert_eq!(ticks.tick().await, start);
///     assert_eq!(ticks.tick().await, start + Duration::from_secs(60));
/// });
/// ```
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    Interval::new(sleep_until(start), period)
}

/// Ticks at a fixed rate, made by [`interval`] and [`interval_at`].
///
/// The ticks are on a grid: work between them does not shift those that follow, as sleeping for the
/// period after each piece of work would. [`MissedTicks`] decides what happens when the work takes
/// longer than the period. Ticks never overlap, since [`tick`](Interval::tick) is awaited one after
/// the other.
#[derive(Debug)]
pub struct Interval {
    /// Until the next tick.
    sleep: Sleep,
    /// At least 1.
    period: Nanos,
    missed_ticks: MissedTicks,
}

impl Interval {
    fn new(sleep: Sleep, period: Duration) -> Interval {
        assert!(
            !period.is_zero(),
            "expected an interval with a period, found a period of zero"
        );
        Interval {
            sleep,
            period: nanos_of(period),
            missed_ticks: MissedTicks::default(),
        }
    }

    /// Waits for the next tick and returns the instant for which it was due.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a tick that is due stays so until it is returned.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|context| self.poll_tick(context)).await
    }

    /// Polls for the next tick; see [`tick`](Interval::tick).
    pub fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(context));
        let due = self.sleep.deadline();
        let now = self.sleep.timers().clock.now();
        let deadline = self.sleep.deadline_nanos();
        self.sleep
            .reset_to(self.missed_ticks.next_deadline(deadline, self.period, now));
        Poll::Ready(due)
    }

    /// Lets the next tick come a whole period from now, and then go on from there.
    pub fn reset(&mut self) {
        let now = self.sleep.timers().clock.now();
        self.sleep.reset_to(now.saturating_add(self.period));
    }

    /// Returns the time between two ticks.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period.unsigned_abs())
    }

    /// Returns what happens to ticks that passed without a wait.
    pub fn missed_ticks(&self) -> MissedTicks {
        self.missed_ticks
    }

    /// Sets what happens to ticks that passed without a wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::time::{MissedTicks, interval};
    /// use std::time::Duration;
    ///
    /// annulus::run(async {
    ///     let mut ticks = interval(Duration::from_secs(1));
    ///     ticks.set_missed_ticks(MissedTicks::Delay);
    ///     ticks.tick().await;
    /// });
    /// ```
    pub fn set_missed_ticks(&mut self, missed_ticks: MissedTicks) {
        self.missed_ticks = missed_ticks;
    }
}
