//! Looks for events for a while before the thread sleeps.

use std::{
    cell::Cell,
    hint, io,
    time::{Duration, Instant},
};

use super::Runtime;
use crate::sys::Wait;

/// Looks at memory between two looks at the clock, which costs about as much as all of them.
const LOOKS_PER_CLOCK: usize = 32;

/// A pause that is shorter than the longest one by this factor is none.
const SHARE_MIN: u32 = 16;

/// How long the thread looks before its next sleep.
///
/// It is the longest time after an event that came within that time, and half of the time before
/// after each sleep that took longer. So a thread that falls idle looks in vain for less than twice
/// the longest time, and no more until events come close together again.
#[derive(Debug, Default)]
pub(super) struct Spin {
    max: Duration,
    next: Cell<Duration>,
}

impl Spin {
    /// Zero is never.
    pub(super) fn new(max: Duration) -> Self {
        Self {
            max,
            next: Cell::new(max),
        }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        !self.max.is_zero()
    }

    /// Takes the time from the last event to the one that came after a sleep.
    fn note(&self, pause: Duration) {
        let next = if pause <= self.max {
            self.max
        } else {
            self.next.get() / 2
        };
        self.next.set(if next < self.max / SHARE_MIN {
            Duration::ZERO
        } else {
            next
        });
    }
}

impl Runtime {
    /// Looks for events, and sleeps as `wait` says when none came. Timers are due after this as
    /// after a sleep.
    #[cold]
    pub(super) fn spin_or_sleep(&self, wait: Wait) -> io::Result<()> {
        let start = Instant::now();
        // The kernel has to see what was asked for.
        self.driver.turn(Wait::No)?;
        let until_timer = match wait {
            Wait::Timeout(duration) => duration,
            Wait::Completion | Wait::No => Duration::MAX,
        };
        if self.look_until_event(start, self.spin.next.get().min(until_timer))? {
            return Ok(());
        }
        if !self.tasks.prepare_park() {
            return Ok(());
        }
        let wait = match wait {
            Wait::Timeout(duration) => Wait::Timeout(duration.saturating_sub(start.elapsed())),
            wait => wait,
        };
        self.driver.give_back();
        self.timers.give_back();
        self.sleep(wait)?;
        self.spin.note(start.elapsed());
        Ok(())
    }

    /// Looks until something has come, or `duration` has passed since `start`.
    fn look_until_event(&self, start: Instant, duration: Duration) -> io::Result<bool> {
        loop {
            if self.has_event() {
                return Ok(true);
            }
            if start.elapsed() >= duration {
                return Ok(false);
            }
            if !self.driver.uses_ring() {
                // Only a call tells what has come.
                self.driver.turn(Wait::No)?;
                continue;
            }
            for _ in 0..LOOKS_PER_CLOCK {
                if self.driver.has_more() || self.tasks.has_posts() {
                    self.driver.turn(Wait::No)?;
                    break;
                }
                hint::spin_loop();
            }
        }
    }

    /// Whether the last turn, or another thread, has brought anything.
    fn has_event(&self) -> bool {
        self.driver.batch() > 0
            || self.tasks.has_ready()
            || self.tasks.is_root_awake()
            || self.tasks.has_posts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_thread_looks_less_and_less_and_a_busy_one_the_whole_time() {
        let micros = Duration::from_micros;
        let spin = Spin::new(micros(100));
        assert_eq!(
            spin.next.get(),
            micros(100),
            "it begins with the whole time"
        );
        let mut in_vain = Duration::ZERO;
        for _ in 0..20 {
            in_vain += spin.next.get();
            spin.note(micros(5000));
        }
        assert!(spin.next.get().is_zero());
        assert!(in_vain < micros(200), "{in_vain:?}");
        spin.note(micros(100));
        assert_eq!(spin.next.get(), micros(100));
        spin.note(micros(101));
        assert_eq!(spin.next.get(), micros(50));
    }

    #[test]
    fn zero_is_off() {
        assert!(!Spin::new(Duration::ZERO).is_on());
        assert!(Spin::new(Duration::from_nanos(1)).is_on());
    }
}
