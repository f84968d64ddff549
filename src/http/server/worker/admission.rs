//! The number of connections that a worker keeps, and the rules for when there are more.

use crate::sys;

/// Descriptors that are left to everything else: listeners, rings, files, connections of handlers.
const RESERVE_MIN: usize = 64;
/// The part of all descriptors that is left to everything else, where that is more.
const RESERVE_PART: usize = 8;

/// Connections that are being refused at a time; more wait in the backlog.
const REFUSING_MAX: usize = 64;

/// A pause ends when this part of the connections has ended, so that it does not begin anew with
/// each of them.
const PAUSE_PART: usize = 32;

/// Refusals at a time may take this part of the reserve, all workers together.
const REFUSING_PART: usize = 4;

/// How many descriptors are left to everything else.
fn reserve(descriptors_max: usize) -> usize {
    RESERVE_MIN.max(descriptors_max / RESERVE_PART)
}

/// How many descriptors the connections may have.
fn from_descriptors(descriptors_max: usize) -> usize {
    let reserve = reserve(descriptors_max);
    descriptors_max.saturating_sub(reserve).max(1)
}

/// Decides whether a worker may accept from its listeners.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    connections_max: usize,
    /// How many descriptors this worker's connections may have.
    descriptors: usize,
    /// From this number on a descriptor is of the reserve: the system gives out the lowest.
    reserve_start: usize,
    refuses_when_full: bool,
    refusing_max: usize,
    is_paused: bool,
}

impl Admission {
    /// For each of `count` workers: `connections_max` is for all of them, and what the limit on
    /// descriptors allows if it is not given.
    pub(crate) fn new(
        connections_max: Option<usize>,
        refuses_when_full: bool,
        count: usize,
    ) -> Self {
        let descriptors_max = sys::descriptors_max();
        Self::within(descriptors_max, connections_max, refuses_when_full, count)
    }

    fn within(
        descriptors_max: usize,
        connections_max: Option<usize>,
        refuses_when_full: bool,
        count: usize,
    ) -> Self {
        let descriptors = (from_descriptors(descriptors_max) / count).max(1);
        let connections_max = connections_max.map_or(descriptors, |max| max.div_ceil(count));
        let refusing_part = reserve(descriptors_max) / REFUSING_PART / count;
        Self {
            connections_max: connections_max.max(1),
            descriptors,
            reserve_start: from_descriptors(descriptors_max),
            refuses_when_full,
            refusing_max: refusing_part.clamp(1, REFUSING_MAX),
            is_paused: false,
        }
    }

    /// Whether a connection may be accepted, while there are `count`, one of which may be idle, and
    /// `refusing` more are being told that there is no room. It pauses when none may.
    pub(crate) fn may_accept(&mut self, count: usize, has_idle: bool, refusing: usize) -> bool {
        let pause = if self.is_paused {
            self.connections_max / PAUSE_PART
        } else {
            0
        };
        let may_refuse = self.refuses_when_full && refusing < self.refusing_max;
        let may_accept = count < self.connections_max - pause || has_idle || may_refuse;
        self.is_paused = !may_accept;
        may_accept
    }

    /// Whether there is room for one more than `count`.
    pub(crate) fn has_room(&self, count: usize) -> bool {
        count < self.connections_max
    }

    /// Whether `burst` descriptors more than those of `count` connections leave the reserve alone.
    pub(crate) fn has_descriptors(&self, count: usize, burst: usize) -> bool {
        count.saturating_add(burst) <= self.descriptors
    }

    /// Whether `descriptor` is of the reserve. It is so for a moment when connections that were
    /// closed in this turn have theirs still.
    pub(crate) fn is_of_reserve(&self, descriptor: i32) -> bool {
        usize::try_from(descriptor).is_ok_and(|number| number >= self.reserve_start)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One worker's, with more descriptors than connections.
    fn admission(connections_max: usize, refuses_when_full: bool) -> Admission {
        Admission::within(1 << 20, Some(connections_max), refuses_when_full, 1)
    }

    #[test]
    fn the_default_leaves_a_reserve() {
        assert_eq!(from_descriptors(1024), 1024 - 128);
        assert_eq!(from_descriptors(256), 256 - 64);
        assert_eq!(from_descriptors(10), 1);
        assert!(from_descriptors(usize::MAX) > usize::MAX / 2);
    }

    #[test]
    fn all_workers_together_leave_the_reserve_alone() {
        for count in [1, 2, 7, 300] {
            let one = Admission::within(1024, None, true, count);
            assert!(one.connections_max * count <= 1024 - 128);
            assert!(one.refusing_max * count <= (128 / REFUSING_PART).max(count));
            assert!(one.has_descriptors(0, one.connections_max));
            assert!(!one.has_descriptors(1, one.connections_max));
            assert!(!one.is_of_reserve(895) && one.is_of_reserve(896));
        }
        let one = Admission::within(1 << 20, Some(10), true, 3);
        assert_eq!((one.connections_max, one.refusing_max), (4, REFUSING_MAX));
        assert!(
            one.has_descriptors(10, 4096),
            "there are more descriptors than connections"
        );
    }

    #[test]
    fn a_pause_ends_when_some_have_ended() {
        let mut admission = admission(64, false);
        assert!(admission.may_accept(63, false, 0) && !admission.may_accept(64, false, 0));
        assert!(!admission.may_accept(63, false, 0) && !admission.may_accept(62, false, 0));
        assert!(admission.may_accept(61, false, 0) && admission.may_accept(63, false, 0));
    }

    #[test]
    fn a_pause_of_few_connections_ends_with_one() {
        let mut admission = admission(2, false);
        assert!(!admission.may_accept(2, false, 0));
        assert!(admission.may_accept(1, false, 0));
    }

    #[test]
    fn an_idle_connection_makes_room() {
        let mut admission = admission(64, false);
        assert!(!admission.may_accept(64, false, 0));
        assert!(admission.may_accept(64, true, 0) && !admission.is_paused());
    }

    #[test]
    fn some_are_refused_at_a_time() {
        let mut admission = admission(2, true);
        assert!(admission.may_accept(2, false, REFUSING_MAX - 1));
        assert!(!admission.may_accept(2, false, REFUSING_MAX));
    }
}
