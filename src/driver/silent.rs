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
use crate::sys::{self, PeerState};

/// The time between two looks at the listed receives.
pub(super) const PERIOD: Duration = Duration::from_millis(250);

/// More room than for so many receives is given back when a list is empty.
const KEPT_MAX: usize = 1024;

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

/// The receives to look at, and the lists of a look, kept for the next one.
#[derive(Default)]
pub(super) struct Looks {
    /// Multishot receives that brought their first data in this turn.
    fresh: Vec<Key>,
    /// Those that brought data of late.
    listed: Vec<Key>,
    /// Those whose connection is asked about, with its descriptor.
    asked: Vec<(Key, i32)>,
}

impl Looks {
    /// Notes that data came for `multi`.
    #[inline]
    pub(super) fn hear(&mut self, key: Key, multi: &mut Multi) {
        if multi.fd() < 0 {
            return;
        }
        match std::mem::replace(&mut multi.heard, Heard::Lately) {
            Heard::Before | Heard::Lately => {}
            Heard::Nothing => self.listed.push(key),
            Heard::Never => {
                self.fresh.push(key);
                self.listed.push(key);
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
        let Looks {
            fresh,
            listed,
            asked,
        } = &mut looks;
        for key in fresh.drain(..) {
            asked.extend(self.live_multi(key).and_then(|multi| multi.question(key)));
        }
        if is_due {
            listed.retain(|key| match self.live_multi(*key) {
                Some(multi) if multi.heard == Heard::Lately => {
                    multi.heard = Heard::Before;
                    true
                }
                Some(multi) => {
                    multi.heard = Heard::Nothing;
                    asked.extend(multi.question(*key));
                    false
                }
                None => false,
            });
        }
        sys::find_ended(
            asked,
            |(_, fd)| *fd,
            |(key, _)| {
                self.multi(*key).flight = Flight::Cancelled;
                self.cancel(*key);
            },
        );
        asked.clear();
        give_back(fresh);
        give_back(listed);
        give_back(asked);
        self.looks = looks;
    }

    /// The multishot that `key` names, if it is there still.
    fn live_multi(&mut self, key: Key) -> Option<&mut Multi> {
        let slot = self.slots.get_mut(key.index as usize)?;
        match &mut slot.state {
            State::Multi(multi) if slot.generation == key.generation => Some(multi),
            _ => None,
        }
    }
}

impl Multi {
    /// The descriptor to ask about, if the kernel still receives for it.
    fn question(&self, key: Key) -> Option<(Key, i32)> {
        self.can_miss_an_end().then(|| (key, self.fd()))
    }
}

/// Gives back the room that a burst of connections needed.
fn give_back<T>(list: &mut Vec<T>) {
    if list.is_empty() && list.capacity() > KEPT_MAX {
        *list = Vec::new();
    }
}
