//! The measures of a runtime that was asked for them: how long polls take, and how long the thread
//! sleeps.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::{Duration, Instant},
};

use super::task_ref::TaskRef;

/// Bounds of the histogram of polls: powers of two from a microsecond to a second.
const BOUND_COUNT: usize = 21;

/// How long polls took: those of tasks, and those of the future given to `run` or `block_on`.
///
/// `RuntimeBuilder::measure` asks for it. Without it everything is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollTimes {
    /// The number of polls that were measured.
    pub count: u64,
    /// The time that they took together.
    pub total: Duration,
    /// The time of the longest.
    pub longest: Duration,
    /// The number of polls up to each bound and above the one before; the last has those above all.
    buckets: [u64; BOUND_COUNT + 1],
}

impl PollTimes {
    /// Returns the histogram: for each bound the number of polls that took at most so long and
    /// longer than the bound before. The bounds are a microsecond, two, four and so on up to a
    /// second (2^20 microseconds). The last has no bound.
    pub fn histogram(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + use<> {
        let bounds = (0..BOUND_COUNT).map(|power| Some(Duration::from_micros(1 << power)));
        bounds.chain([None]).zip(self.buckets)
    }

    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.total += time;
        self.longest = self.longest.max(time);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let micros = nanos.div_ceil(1000);
        let power = micros.max(1).next_power_of_two().trailing_zeros();
        self.buckets[(power as usize).min(BOUND_COUNT)] += 1;
    }
}

/// The polls of one task.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TaskPolls {
    pub(crate) count: u64,
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

/// How a thread spent its time inside of its runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadTimes {
    /// The time in which the thread slept, since there was nothing to do.
    pub idle: Duration,
    /// The rest of its time inside of the runtime. It includes times in which the machine had no
    /// processor for the thread.
    pub busy: Duration,
    /// The number of sleeps.
    pub sleeps: u64,
}

/// The measures of one runtime.
#[derive(Debug)]
pub(crate) struct Measure {
    polls: Cell<PollTimes>,
    by_task: RefCell<HashMap<*const (), TaskPolls>>,
    times: Cell<ThreadTimes>,
    /// The time from which on the thread is busy.
    busy_since: Cell<Instant>,
}

impl Measure {
    pub(super) fn new() -> Self {
        Self {
            polls: Cell::default(),
            by_task: RefCell::default(),
            times: Cell::default(),
            busy_since: Cell::new(Instant::now()),
        }
    }

    /// Notes that the thread goes into its runtime now.
    pub(crate) fn begin(&self) {
        self.busy_since.set(Instant::now());
    }

    /// Notes that the thread leaves its runtime now.
    pub(crate) fn end(&self) {
        self.times.set(self.times());
        self.begin();
    }

    /// Notes a sleep from `start` until now.
    pub(crate) fn note_sleep(&self, start: Instant) {
        let now = Instant::now();
        let mut times = self.times.get();
        times.busy += start.saturating_duration_since(self.busy_since.get());
        times.idle += now.saturating_duration_since(start);
        times.sleeps += 1;
        self.times.set(times);
        self.busy_since.set(now);
    }

    /// Notes a poll of the root from `start` until now.
    pub(crate) fn note_root(&self, start: Instant) {
        self.note(start.elapsed());
    }

    fn note(&self, time: Duration) {
        let mut polls = self.polls.get();
        polls.add(time);
        self.polls.set(polls);
    }

    /// Notes a turn of a task, which has ended if `is_over`.
    pub(super) fn note_task(&self, task: &TaskRef, time: Duration, is_over: bool) {
        self.note(time);
        let key = task.as_raw().as_ptr().cast_const().cast();
        let mut by_task = self.by_task.borrow_mut();
        if is_over {
            // Another task may get its address.
            by_task.remove(&key);
            return;
        }
        let polls = by_task.entry(key).or_default();
        polls.count += 1;
        polls.total += time;
        polls.longest = polls.longest.max(time);
    }

    pub(super) fn of_task(&self, task: &TaskRef) -> TaskPolls {
        let key: *const () = task.as_raw().as_ptr().cast_const().cast();
        let by_task = self.by_task.borrow();
        by_task.get(&key).copied().unwrap_or_default()
    }

    pub(crate) fn polls(&self) -> PollTimes {
        self.polls.get()
    }

    /// The times up to now, for a thread that is inside of its runtime.
    pub(crate) fn times(&self) -> ThreadTimes {
        let mut times = self.times.get();
        times.busy += self.busy_since.get().elapsed();
        times
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_poll_counts_below_the_bound_that_it_does_not_exceed() {
        let mut polls = PollTimes::default();
        let nanos = [0, 1000, 1001, 2000, 2001, 1 << 20, 5_000_000_000];
        for nanos in nanos {
            polls.add(Duration::from_nanos(nanos));
        }
        let found: Vec<_> = polls.histogram().filter(|(_, count)| *count > 0).collect();
        let micros = |micros| Some(Duration::from_micros(micros));
        let expected = [
            (micros(1), 2),
            (micros(2), 2),
            (micros(4), 1),
            (micros(2048), 1),
            (None, 1),
        ];
        assert_eq!(found, expected);
        assert_eq!((polls.count, polls.longest), (7, Duration::from_secs(5)));
        let bounds: Vec<_> = polls.histogram().map(|(bound, _)| bound).collect();
        assert_eq!(bounds[20], micros(1 << 20));
        assert_eq!((bounds.len(), bounds[21]), (22, None));
    }
}
