//! [`Tick`]: a moment of a coarse clock, for waits of which there are very many.

use std::{
    cell::Cell,
    num::NonZeroU32,
    sync::OnceLock,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::alarm::Alarm;
use crate::time;

/// Ticks of a second. So many times a second at most does a thread look at what is due.
const TICKS_PER_SECOND: u32 = 16;
const NANOS_PER_TICK: u32 = 1_000_000_000 / TICKS_PER_SECOND;

/// A moment, in four bytes: sixteenths of a second since this process asked first. They last for
/// eight years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(NonZeroU32);

impl Tick {
    /// The tick that has begun.
    #[inline]
    pub(crate) fn now() -> Self {
        let now = time::now();
        // To compare costs less than to subtract and to divide, and there are many calls in a tick.
        match LAST.try_with(Cell::get) {
            Ok(Some(last)) if last.begin <= now && now < last.end => last.tick,
            _ => Self::at(now),
        }
    }

    /// The tick of a moment, which is kept as the last one.
    #[cold]
    fn at(now: Instant) -> Self {
        let since = now.saturating_duration_since(zero());
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        let ticks = seconds.saturating_mul(TICKS_PER_SECOND);
        let tick = Self::new(ticks.saturating_add(since.subsec_nanos() / NANOS_PER_TICK));
        let next = Self(tick.0.saturating_add(1));
        let last = tick.begin().zip(next.begin());
        // This thread may be past its thread-locals.
        let _ = LAST.try_with(|cell| cell.set(last.map(|(begin, end)| Last { tick, begin, end })));
        tick
    }

    /// The tick that is `ticks` later.
    fn new(ticks: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(ticks))
    }

    /// The first tick that begins `duration` or more after any moment of this one; none when the
    /// clock does not go so far.
    pub(crate) fn after(self, duration: Duration) -> Option<Self> {
        let seconds = u32::try_from(duration.as_secs()).ok()?;
        let part = duration.subsec_nanos().div_ceil(NANOS_PER_TICK) + 1;
        let ticks = seconds.checked_mul(TICKS_PER_SECOND)?.checked_add(part)?;
        self.0.checked_add(ticks).map(Self)
    }

    /// The moment at which it begins; none that no clock can show.
    pub(crate) fn begin(self) -> Option<Instant> {
        let ticks = self.0.get() - 1;
        let seconds = Duration::from_secs((ticks / TICKS_PER_SECOND).into());
        let part = Duration::from_nanos((ticks % TICKS_PER_SECOND * NANOS_PER_TICK).into());
        zero().checked_add(seconds + part)
    }
}

/// A tick, and the moments between which it lasts.
#[derive(Clone, Copy)]
struct Last {
    tick: Tick,
    begin: Instant,
    end: Instant,
}

thread_local! {
    /// The tick that this thread has asked for last. A runtime whose clock is paused may be at
    /// another time than one before it.
    static LAST: Cell<Option<Last>> = const { Cell::new(None) };
}

/// The begin of the first tick.
fn zero() -> Instant {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    *ZERO.get_or_init(Instant::now)
}

/// A timer that waits for a tick. It is not set anew when the tick moves away: it rings too
/// early then, and is set to what is left.
#[derive(Debug, Default)]
pub(crate) struct TickAlarm {
    alarm: Alarm,
    rings_at: Option<Tick>,
}

impl TickAlarm {
    /// Ready when tick `due` has begun. Otherwise the waker is registered for that moment.
    pub(crate) fn poll(&mut self, due: Option<Tick>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some((due, begin)) = due.and_then(|due| Some((due, due.begin()?))) else {
                *self = Self::default();
                return Poll::Pending;
            };
            if self.rings_at.is_none_or(|rings_at| due < rings_at) {
                self.alarm.set(begin);
                self.rings_at = Some(due);
            }
            if self.alarm.poll(context).is_pending() {
                return Poll::Pending;
            }
            self.rings_at = None;
            if due <= Tick::now() {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_after_a_duration_is_never_early_and_at_most_two_ticks_late() {
        let tick = Duration::from_nanos(NANOS_PER_TICK.into());
        for millis in [0, 1, 62, 63, 999, 1000, 1001, 30_000] {
            let duration = Duration::from_millis(millis);
            let after = Tick::new(100).after(duration).unwrap();
            let since_end = after.begin().unwrap() - Tick::new(101).begin().unwrap();
            assert!(
                since_end >= duration && since_end < duration + tick,
                "{millis}"
            );
        }
        assert_eq!(Tick::new(0).after(Duration::MAX), None);
        assert_eq!(Tick::new(u32::MAX).after(Duration::ZERO), None);
    }

    #[test]
    fn the_present_tick_has_begun_and_the_next_has_not() {
        crate::run(async {
            time::pause();
            for _ in 0..40 {
                let now = Tick::now();
                assert!(now.begin().unwrap() <= time::now());
                let next = Tick(now.0.saturating_add(1));
                assert!(next.begin().unwrap() > time::now());
                time::advance(Duration::from_millis(7)).await;
            }
        });
    }
}
