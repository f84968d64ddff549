//! Holds back late timers until the kernel's events have been seen.

use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

/// So late are timers only when the thread was away: its process was stopped, its machine slept or
/// was busy, or a task blocked it.
const LATE: Duration = Duration::from_millis(10);

/// The longest time for which timers that are late wait for what came before them.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// Holds back timers that are late until this thread has seen what came while it was away.
///
/// A timer tells that something did not come in time. After a pause of the thread that is not known
/// before the kernel was asked, and what it tells may take several turns: it has handed out only so
/// many events at once, or a receive that found no buffer has to ask again. So the turns go on
/// without the timers as long as they bring anything, at most for as long as the timers were late:
/// under a load that never ends they come twice as late, and no later.
#[derive(Default)]
pub(super) struct CatchUp {
    /// Until when the timers are held back.
    until: Cell<Option<Instant>>,
}

impl CatchUp {
    /// Whether the timers are held back for another turn.
    ///
    /// `since` is the time since the last turn. `next_deadline` is asked for the first timer when
    /// the thread may have been away, and `has_more` whether the last turn brought anything.
    #[inline]
    pub(super) fn holds_back(
        &self,
        now: Instant,
        since: Duration,
        next_deadline: impl FnOnce() -> Option<Instant>,
        has_more: impl FnOnce() -> bool,
    ) -> bool {
        match self.until.get() {
            None if since <= LATE => false,
            None => self.begin(now, next_deadline()),
            Some(until) if now < until && has_more() => true,
            Some(_) => {
                self.until.set(None);
                false
            }
        }
    }

    #[cold]
    fn begin(&self, now: Instant, next_deadline: Option<Instant>) -> bool {
        let late = next_deadline.map_or(Duration::ZERO, |deadline| {
            now.saturating_duration_since(deadline)
        });
        if late > LATE {
            self.until.set(Some(now + late.min(CATCH_UP_MAX)));
        }
        late > LATE
    }
}

impl fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchUp")
            .field("until", &self.until.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_timers_wait_while_something_comes_and_at_most_as_long_as_they_were_late() {
        let catch_up = CatchUp::default();
        let start = Instant::now();
        let looked = Cell::new(0);
        let at = |millis: u64| start + Duration::from_millis(millis);
        let holds_back = |now: u64, deadline: Option<u64>, has_more: bool| {
            let since = Duration::from_millis(now - looked.replace(now));
            catch_up.holds_back(at(now), since, || deadline.map(at), || has_more)
        };
        assert!(!holds_back(5, Some(5), true), "in time");
        assert!(!holds_back(505, Some(500), true), "it slept until then");
        assert!(!holds_back(600, Some(900), true), "nothing is due");
        assert!(!holds_back(700, None, true), "there is no timer");
        assert!(holds_back(900, Some(800), false), "one turn passes");
        assert!(!holds_back(901, Some(800), false), "nothing came");
        assert!(!holds_back(902, Some(800), false), "no pause");
        assert!(holds_back(1000, Some(950), true));
        assert!(holds_back(1049, Some(950), true));
        assert!(!holds_back(1050, Some(950), true), "late twice the time");
        assert!(holds_back(60_000, Some(2000), true));
        assert!(holds_back(60_999, Some(2000), true));
        assert!(!holds_back(61_000, Some(2000), true), "long enough");
    }
}
