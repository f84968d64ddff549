//! How many connections a worker keeps, and what happens when there are more.

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

/// How many connections a server keeps when nobody says: what the limit on descriptors allows.
pub(super) fn connections_max_default() -> usize {
    from_descriptors(sys::descriptors_max())
}

fn from_descriptors(descriptors_max: usize) -> usize {
    let reserve = RESERVE_MIN.max(descriptors_max / RESERVE_PART);
    descriptors_max.saturating_sub(reserve).max(1)
}

/// What a worker may do with its listeners.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    connections_max: usize,
    refuses_when_full: bool,
    is_paused: bool,
}

impl Admission {
    pub(super) fn new(connections_max: usize, refuses_when_full: bool) -> Self {
        Self {
            connections_max: connections_max.max(1),
            refuses_when_full,
            is_paused: false,
        }
    }

    /// Whether a connection may be accepted, while there are `count`, one of which may be idle, and
    /// `refusing` more are being told that there is no room. It pauses when none may.
    pub(super) fn may_accept(&mut self, count: usize, has_idle: bool, refusing: usize) -> bool {
        let pause = if self.is_paused {
            self.connections_max / PAUSE_PART
        } else {
            0
        };
        let may_refuse = self.refuses_when_full && refusing < REFUSING_MAX;
        let may_accept = count < self.connections_max - pause || has_idle || may_refuse;
        self.is_paused = !may_accept;
        may_accept
    }

    /// Whether there is room for one more than `count`.
    pub(super) fn has_room(&self, count: usize) -> bool {
        count < self.connections_max
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_leaves_a_reserve() {
        assert_eq!(from_descriptors(1024), 1024 - 128);
        assert_eq!(from_descriptors(256), 256 - 64);
        assert_eq!(from_descriptors(10), 1);
        assert!(from_descriptors(usize::MAX) > usize::MAX / 2);
    }

    #[test]
    fn a_pause_ends_when_some_have_ended() {
        let mut admission = Admission::new(64, false);
        assert!(admission.may_accept(63, false, 0) && !admission.may_accept(64, false, 0));
        assert!(!admission.may_accept(63, false, 0) && !admission.may_accept(62, false, 0));
        assert!(admission.may_accept(61, false, 0) && admission.may_accept(63, false, 0));
    }

    #[test]
    fn a_pause_of_few_connections_ends_with_one() {
        let mut admission = Admission::new(2, false);
        assert!(!admission.may_accept(2, false, 0));
        assert!(admission.may_accept(1, false, 0));
    }

    #[test]
    fn an_idle_connection_makes_room() {
        let mut admission = Admission::new(64, false);
        assert!(!admission.may_accept(64, false, 0));
        assert!(admission.may_accept(64, true, 0) && !admission.is_paused());
    }

    #[test]
    fn some_are_refused_at_a_time() {
        let mut admission = Admission::new(2, true);
        assert!(admission.may_accept(2, false, REFUSING_MAX - 1));
        assert!(!admission.may_accept(2, false, REFUSING_MAX));
    }
}
