//! The course of a worker's graceful stop.
//!
//! The listeners close first. From then on every answer closes its connection, and idle connections
//! are closed when their grace is over; one whose request has arrived by then is answered. The
//! connections that have left HTTP are told one after the other, in half of the time at the most.
//! At the deadline everything is cut.

use std::{
    fmt,
    task::Context,
    time::{Duration, Instant},
};

use super::tunnels::Tunnels;
use crate::{http::alarm::Alarm, time};

/// The least grace of an idle connection: what arrived before the stop gets to us meanwhile.
const SETTLE_TIME: Duration = Duration::from_millis(1);
/// The least grace of a connection that was accepted in the last moment and has not sent anything:
/// its request is most likely on its way.
const FRESH_GRACE: Duration = Duration::from_millis(500);

/// The most time that the connections which have left HTTP are told in, of half the time until the
/// deadline.
const FAREWELL_MAX: Duration = Duration::from_secs(60);
/// So many of them a second are told in any case.
const FAREWELLS_PER_SECOND_MIN: f64 = 1000.0;
/// The time between two looks at them.
const FAREWELL_STEP: Duration = Duration::from_millis(10);

/// A stop under way.
pub(crate) struct Stopping {
    used_grace: Grace,
    fresh_grace: Grace,
    deadline: Option<Instant>,
    /// Until the next of these times.
    timer: Alarm,
    /// Connections accepted at this second of the worker's clock or later are fresh.
    fresh_since: u32,
    farewell: Farewell,
}

/// The course in which the connections that have left HTTP are told of a stop. Each of them is a
/// client that comes back, elsewhere or here, so they do not go all at once.
struct Farewell {
    begun: Instant,
    /// None before the first look.
    per_second: Option<f64>,
    /// The first slot whose tunnel was not told.
    next: usize,
    told_count: usize,
    timer: Alarm,
}

#[derive(Clone, Copy)]
enum Grace {
    /// None: the deadline does not fit an `Instant`, so there is no limit.
    Until(Option<Instant>),
    Over,
}

/// The next step of a stop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// Look at the idle connections: some are to be closed now.
    Idle,
    /// Cut what is left.
    Everything,
}

impl Stopping {
    /// Begins it at second `now` of the worker's clock.
    pub(crate) fn begin(grace: Duration, deadline: Duration, now: u32) -> Self {
        let from_now = |duration: Duration| time::now().checked_add(duration);
        Self {
            used_grace: Grace::Until(from_now(grace.max(SETTLE_TIME))),
            fresh_grace: Grace::Until(from_now(grace.max(FRESH_GRACE))),
            deadline: from_now(deadline),
            timer: Alarm::default(),
            fresh_since: now.saturating_sub(1),
            farewell: Farewell {
                begun: time::now(),
                per_second: None,
                next: 0,
                told_count: 0,
                timer: Alarm::default(),
            },
        }
    }

    /// Tells the tunnels whose turn has come that the server stops. The waker is registered for the
    /// next ones.
    pub(crate) fn stop_tunnels(&mut self, tunnels: &mut Tunnels, context: &mut Context<'_>) {
        let farewell = &mut self.farewell;
        let deadline = self.deadline;
        let begun = farewell.begun;
        let per_second = *farewell.per_second.get_or_insert_with(|| {
            let left = deadline.map_or(FAREWELL_MAX, |deadline| (deadline - begun) / 2);
            let seconds = left.min(FAREWELL_MAX).as_secs_f64();
            (tunnels.len() as f64 / seconds).max(FAREWELLS_PER_SECOND_MIN)
        });
        while farewell.timer.poll(context).is_ready() {
            let elapsed = time::now().saturating_duration_since(begun) + FAREWELL_STEP;
            let may_be_told = (elapsed.as_secs_f64() * per_second) as usize;
            let count_max = may_be_told.saturating_sub(farewell.told_count);
            let (next, count) = tunnels.stop(farewell.next, count_max);
            farewell.next = next;
            farewell.told_count += count;
            if count < count_max {
                // All are told. Those that come now are told when they come.
                return;
            }
            farewell.timer.set(time::now() + FAREWELL_STEP);
        }
    }

    /// Returns the step that is due, and registers the waker for the next.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Due {
        let mut due = Due::Nothing;
        loop {
            let now = time::now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                return Due::Everything;
            }
            if self.used_grace.ends(now) | self.fresh_grace.ends(now) {
                due = Due::Idle;
                self.timer.clear();
            }
            let times = [self.used_grace.end(), self.fresh_grace.end(), self.deadline];
            let Some(next) = times.into_iter().flatten().min() else {
                return due;
            };
            if self.timer.poll_at(|| next, context).is_pending() {
                return due;
            }
        }
    }

    /// From which second on an accepted connection is fresh.
    pub(crate) fn fresh_since(&self) -> u32 {
        self.fresh_since
    }

    /// Whether idle connections are closed by now, fresh ones or others.
    pub(crate) fn closes_idle(&self, is_fresh: bool) -> bool {
        let grace = if is_fresh {
            self.fresh_grace
        } else {
            self.used_grace
        };
        matches!(grace, Grace::Over)
    }
}

impl Grace {
    /// Whether it ends right now.
    fn ends(&mut self, now: Instant) -> bool {
        let ends = matches!(self, Self::Until(Some(end)) if *end <= now);
        if ends {
            *self = Self::Over;
        }
        ends
    }

    fn end(self) -> Option<Instant> {
        match self {
            Self::Until(end) => end,
            Self::Over => None,
        }
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
