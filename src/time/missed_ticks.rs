//! [`MissedTicks`]: the rule for ticks of an interval that passed without a wait.

use std::time::Duration;

use super::{clock::nanos_of, wheel::Nanos};

/// A tick that is taken no later than this is on time: timers and threads are not exact either.
const LATENESS_IGNORED: Duration = Duration::from_millis(5);

/// Tells an [`Interval`](super::Interval) what to do after it was not polled for longer than its
/// period.
///
/// In the examples the period is 10 ms, and the task that took the tick at 0 came back at 35 ms.
/// All three tick at once then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// Leaves out what was missed and keeps to the grid: the next tick is at 40 ms, then 50.
    #[default]
    Skip,
    /// Starts anew: the next tick is at 45 ms, then 55. A tick taken up to 5 ms late, but no more
    /// than the period, counts as on time and moves nothing.
    Delay,
    /// Makes up for what was missed: the next ticks are at 20 and 30 ms, both at once, then 40.
    Burst,
}

impl MissedTicks {
    /// The deadline that follows `deadline`, whose tick is taken at `now`.
    pub(super) fn next_deadline(self, deadline: Nanos, period: Nanos, now: Nanos) -> Nanos {
        let next = deadline.saturating_add(period);
        let lateness = now.saturating_sub(deadline);
        match self {
            MissedTicks::Burst => next,
            MissedTicks::Delay if lateness <= period.min(nanos_of(LATENESS_IGNORED)) => next,
            MissedTicks::Delay => now.saturating_add(period),
            MissedTicks::Skip if next > now => next,
            MissedTicks::Skip => now.saturating_add(period - lateness % period),
        }
    }
}
