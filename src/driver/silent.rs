//! Finds the ends of connections that the kernel did not report to a multishot receive.
//!
//! On kernels after 6.1 a multishot receive may miss an error that arrives together with data, such
//! as a reset by the peer: both wake the request, the request takes the data, and then it waits for
//! another wake that never comes. poll(2) on the socket reports the error. `docs/kernels.md` lists
//! the kernels that were tried.
//!
//! So the driver asks poll(2), which takes nothing away, at two moments, 64 sockets in a call:
//!
//! - in the turn that brings a receive its first data. Where both were there before the receive
//!   began, as on a connection that waited to be accepted, the error is always missed.
//! - when a receive that brought data has brought none for a whole [`PERIOD`]. Until then it is
//!   listed, and a timeout entry ends every period while the list has entries. The error is found
//!   between one and two periods after the data.
//!
//! If the connection has ended, the receive is cancelled. Its owner then starts another one, which
//! the kernel completes with the error at once.
//!
//! A message costs a comparison, a connection that begins or falls silent a part of a system call,
//! and an idle connection nothing.

use std::time::Duration;

use super::{
    Core, Driver, Key,
    backend::Backend,
    slot::{Flight, Multi, State},
};
use crate::{
    shrink,
    sys::{self, FDS_PER_CALL, PeerState},
};

/// The time between two looks at the listed receives.
pub(super) const PERIOD: Duration = Duration::from_millis(250);

/// Whether a receive got data since the driver's last look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing at all yet.
    Never,
    /// Nothing, and the receive is not listed.
    Nothing,
    /// Data before the last look. The receive is listed.
    Before,
    /// Data since the last look. The receive is listed.
    Lately,
}

impl Driver {
    /// Asks whether the connection of a multishot receive has ended, and has the receive report it
    /// if so. For a connection on which something else has failed.
    pub(crate) fn look_at_multi(&self, key: Key) {
        let mut core = self.core.borrow_mut();
        let multi = core.multi(key);
        if multi.can_miss_an_end() && sys::peer_state(multi.fd()) != PeerState::There {
            multi.flight = Flight::Cancelled;
            core.cancel(key);
        }
    }
}

/// The receives to look at.
#[derive(Default)]
pub(super) struct Looks {
    /// Multishot receives that brought their first data in this turn.
    fresh: Vec<Key>,
    /// Those that brought data of late.
    listed: Listed,
    /// Room for a look, kept for the next one.
    asked: Asked,
}

/// Places in the driver's table, a bit each: a name of 8 bytes for each connection of a burst would
/// be memory that the process keeps. The receive of a place may be another one by the time of a
/// look. Its own [`Heard`] tells then that it is not listed.
#[derive(Default)]
struct Listed {
    words: Vec<u64>,
    /// The number of bits that are set.
    count: usize,
}

impl Listed {
    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn insert(&mut self, index: u32) {
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.count += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Keeps the places for which `keep` says so.
    fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        for (word, number) in self.words.iter_mut().zip(0..) {
            let mut left = *word;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                left &= !bit;
                if !keep(number * 64 + bit.trailing_zeros()) {
                    *word &= !bit;
                    self.count -= 1;
                }
            }
        }
        if self.count == 0 {
            self.words.clear();
            shrink::empty(&mut self.words);
        }
    }
}

/// Connections to ask poll(2) about, as many as one call takes.
#[derive(Default)]
struct Asked(Vec<(Key, i32)>);

impl Looks {
    /// Notes that data came for `multi`.
    #[inline]
    pub(super) fn hear(&mut self, key: Key, multi: &mut Multi) {
        if multi.fd() < 0 {
            return;
        }
        match std::mem::replace(&mut multi.heard, Heard::Lately) {
            Heard::Before | Heard::Lately => {}
            Heard::Nothing => self.listed.insert(key.index),
            Heard::Never => {
                self.fresh.push(key);
                self.listed.insert(key.index);
            }
        }
    }
}

impl Core {
    /// Starts the period until the next look, unless it runs or there is nothing to look at.
    #[inline]
    pub(super) fn start_look_period(&mut self) {
        if let (false, Backend::Ring(ring)) = (self.looks.listed.is_empty(), &mut self.backend) {
            ring.start_look_period();
        }
    }

    /// Looks at the receives that brought their first data, and at those that fell silent if the
    /// period has ended.
    #[inline]
    pub(super) fn look(&mut self) {
        let is_due = match &mut self.backend {
            Backend::Ring(ring) => ring.take_look_due(),
            Backend::Poll(_) | Backend::Closed => false,
        };
        if is_due || !self.looks.fresh.is_empty() {
            self.look_now(is_due);
        }
    }

    fn look_now(&mut self, is_due: bool) {
        let mut looks = std::mem::take(&mut self.looks);
        let asked = &mut looks.asked;
        for key in looks.fresh.drain(..) {
            if self.live_multi(key).is_some() {
                asked.add(key, self);
            }
        }
        shrink::empty(&mut looks.fresh);
        if is_due {
            looks.listed.retain(|index| match self.multi_at(index) {
                Some((_, multi)) if multi.heard == Heard::Lately => {
                    multi.heard = Heard::Before;
                    true
                }
                Some((key, multi)) if multi.heard == Heard::Before => {
                    multi.heard = Heard::Nothing;
                    asked.add(key, self);
                    false
                }
                _ => false,
            });
        }
        asked.ask(self);
        self.looks = looks;
    }

    /// The multishot that `key` names, if it is there still.
    fn live_multi(&mut self, key: Key) -> Option<&mut Multi> {
        let (now, multi) = self.multi_at(key.index)?;
        (now == key).then_some(multi)
    }

    /// The multishot at a place, and its name.
    fn multi_at(&mut self, index: u32) -> Option<(Key, &mut Multi)> {
        let slot = self.slots.get_mut(index as usize)?;
        let generation = slot.generation;
        match &mut slot.state {
            State::Multi(multi) => Some((Key { index, generation }, multi)),
            _ => None,
        }
    }
}

impl Asked {
    /// Adds a multishot that is there, if the kernel still receives for it.
    fn add(&mut self, key: Key, core: &mut Core) {
        let multi = core.multi(key);
        if multi.can_miss_an_end() {
            self.0.push((key, multi.fd()));
            if self.0.len() == FDS_PER_CALL {
                self.ask(core);
            }
        }
    }

    /// Cancels those receives whose connection has ended.
    fn ask(&mut self, core: &mut Core) {
        sys::find_ended(
            &self.0,
            |(_, fd)| *fd,
            |(key, _)| {
                core.multi(*key).flight = Flight::Cancelled;
                core.cancel(*key);
            },
        );
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listed_places_are_visited_in_order_and_forgotten_one_by_one() {
        let mut listed = Listed::default();
        assert!(listed.is_empty());
        for index in [200_000, 0, 63, 64, 64, 127, 1_000_000] {
            listed.insert(index);
        }
        let mut seen = Vec::new();
        listed.retain(|index| {
            seen.push(index);
            index % 64 != 0
        });
        assert_eq!(seen, [0, 63, 64, 127, 200_000, 1_000_000]);
        assert!(!listed.is_empty());
        listed.insert(64);
        listed.retain(|index| {
            seen.push(index);
            false
        });
        assert_eq!(seen[6..], [63, 64, 127]);
        assert!(listed.is_empty());
        assert_eq!(listed.words.capacity(), 0, "a million places were 125 KB");
    }
}
