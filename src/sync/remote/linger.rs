//! [`Linger`]: a side of a stream looks again for some microseconds before it sleeps.
//!
//! To put a thread to sleep and to wake it takes tens of microseconds, in which the other side
//! could pass hundreds of values. Two fast sides of a channel would sleep in turn: the receiver
//! finds nothing, and while it wakes the sender fills the channel and sleeps. Then a value costs
//! its share of two sleeps. So a side that has passed values since its last sleep lets the other
//! tasks of its thread have their turns, and looks again in between, before it leaves its waker.
//!
//! Two rules keep this from being a waste:
//!
//! - A side without a stream, such as one that answers a request now and then, sleeps at once.
//! - A side that had to wait for long a second time sleeps at once the next time, and after each
//!   further such wait twice as many times. A look that finds something soon ends that. The first
//!   long wait may be the one that brings both sides to work at one time, so that short ones
//!   follow.

use std::time::Duration;

use crate::primitives::Instant;

/// So many values since the last sleep are a stream.
const STREAM_MIN: usize = if cfg!(loom) { 1 } else { 16 };

/// How long a side looks for something to do. It is longer than a sleep takes to end, so that two
/// sides that sleep in turn come to work at one time.
const LINGER_MAX: Duration = Duration::from_micros(50);

/// A wait that was worth more than a sleep.
const SHORT_MAX: Duration = Duration::from_micros(5);

/// The time between two looks. Each look takes the channel's memory from the other side's
/// processor, so that it should find several values.
const LOOK_PERIOD: Duration = Duration::from_micros(1);

/// Long waits, one after the other, that are told apart.
const LONG_WAITS_MAX: u32 = 5;

/// The experience of a side with the other one.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Values since the last sleep.
    passed: usize,
    /// Long waits, one after the other.
    long_waits: u32,
    /// How many times it sleeps at once.
    skips: u32,
}

impl Patience {
    /// Counts a value.
    #[inline]
    pub(super) fn count(&mut self) {
        self.passed = self.passed.wrapping_add(1);
    }

    /// Notes that the side sleeps.
    pub(super) fn sleep(&mut self) {
        self.passed = 0;
    }

    fn allows_wait(&mut self) -> bool {
        if self.passed < STREAM_MIN {
            return false;
        }
        let is_skipped = self.skips > 0;
        self.skips -= u32::from(is_skipped);
        !is_skipped
    }

    fn learn(&mut self, waited: Duration) {
        if waited <= SHORT_MAX {
            self.long_waits = 0;
        } else {
            self.long_waits = LONG_WAITS_MAX.min(self.long_waits + 1);
            self.skips = (1 << (self.long_waits - 1)) - 1;
        }
    }
}

/// One wait of a side that does not sleep yet. As long as it goes on its task wakes itself.
#[derive(Debug, Default)]
pub(super) struct Linger(Option<Wait>);

#[derive(Debug)]
struct Wait {
    start: Instant,
    /// When the next look is due, from the start.
    look_after: Duration,
}

impl Linger {
    /// Whether the last look was a moment ago, so that the task wakes itself and does not look.
    #[inline]
    pub(super) fn skips_look(&self) -> bool {
        match &self.0 {
            Some(wait) => wait.start.elapsed() < wait.look_after,
            None => false,
        }
    }

    /// Whether the task, which has found nothing, wakes itself and looks again. Otherwise it
    /// sleeps.
    pub(super) fn goes_on(&mut self, patience: &mut Patience) -> bool {
        let Some(wait) = &mut self.0 else {
            let begins = patience.allows_wait();
            if begins {
                self.0 = Some(Wait {
                    start: Instant::now(),
                    look_after: LOOK_PERIOD,
                });
            }
            return begins;
        };
        let waited = wait.start.elapsed();
        wait.look_after = waited + LOOK_PERIOD;
        if waited < LINGER_MAX {
            return true;
        }
        self.0 = None;
        patience.learn(waited);
        false
    }

    /// Ends the wait, if there is one: the task has something to do.
    #[inline]
    pub(super) fn end(&mut self, patience: &mut Patience) {
        if let Some(wait) = self.0.take() {
            patience.learn(wait.start.elapsed());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A side that has passed a stream.
    fn patience() -> Patience {
        Patience {
            passed: STREAM_MIN,
            ..Patience::default()
        }
    }

    #[test]
    fn a_side_without_a_stream_sleeps_at_once() {
        let mut patience = Patience::default();
        for _ in 1..STREAM_MIN {
            patience.count();
        }
        assert!(!Linger::default().goes_on(&mut patience));
        patience.count();
        assert!(Linger::default().goes_on(&mut patience));
        patience.sleep();
        assert!(!Linger::default().goes_on(&mut patience));
    }

    #[test]
    fn after_long_waits_a_side_sleeps_at_once_for_more_and_more_times() {
        let mut patience = patience();
        for sleeps in [0, 1, 3, 7, 15, 15] {
            patience.learn(LINGER_MAX);
            for _ in 0..sleeps {
                assert!(!Linger::default().goes_on(&mut patience));
            }
            assert!(Linger::default().goes_on(&mut patience));
        }
        patience.learn(SHORT_MAX);
        patience.learn(LINGER_MAX);
        assert!(Linger::default().goes_on(&mut patience));
        patience.learn(LINGER_MAX);
        assert!(!Linger::default().goes_on(&mut patience));
        assert!(Linger::default().goes_on(&mut patience));
    }

    #[test]
    fn a_wait_ends_after_its_time_and_looks_in_between() {
        let mut patience = patience();
        let mut linger = Linger::default();
        assert!(!linger.skips_look());
        while linger.goes_on(&mut patience) {
            while linger.skips_look() {}
        }
        assert_eq!((patience.long_waits, patience.skips), (1, 0));
        assert!(!linger.skips_look());
    }
}
