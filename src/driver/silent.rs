//! Finds the ends of connections that the kernel did not report to a multishot receive.
//!
//! On kernels after 6.1 a multishot receive may miss an error that arrives together with data, such
//! as a reset by the peer: both wake the request, the request takes the data, and then it waits for
//! another wake that never comes. poll(2) on the socket reports the error. `docs/kernels.md` lists
//! the kernels that were tried.
//!
//! So the driver lists each receive that brought data. While the list has entries, a timeout entry
//! ends every [`PERIOD`]. A listed receive that brought nothing for a whole period has gone silent:
//! it leaves the list, and one poll(2) asks for many of them whether their connection has ended.
//! If so, the receive is cancelled. Its owner then starts another one, which the kernel completes
//! with the error at once.
//!
//! An end is so found between one and two periods after the data. A message costs a comparison, a
//! connection that falls silent a part of a system call, and an idle connection nothing.

use std::time::Duration;

use super::{Core, Driver, Key, backend::Backend, slot::State};
use crate::sys::{self, PeerState};

/// The time between two looks at the listed receives.
pub(super) const PERIOD: Duration = Duration::from_millis(250);

/// More room than this is given back when the list is empty.
const KEPT_KEYS_MAX: usize = 1024;

/// What came for a receive since the driver's last look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
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
            multi.cancelled = true;
            core.cancel(key);
        }
    }
}

impl Core {
    /// Starts the period until the next look, unless it runs or there is nothing to look at.
    #[inline]
    pub(super) fn start_look_period(&mut self) {
        if let (false, Backend::Ring(ring)) = (self.heard.is_empty(), &mut self.backend) {
            ring.start_look_period();
        }
    }

    /// Looks at the receives that went silent, if the period has ended.
    #[inline]
    pub(super) fn look_if_due(&mut self) {
        let is_due = match &mut self.backend {
            Backend::Ring(ring) => ring.take_look_due(),
            Backend::Poll(_) | Backend::Closed => false,
        };
        if is_due {
            self.look();
        }
    }

    fn look(&mut self) {
        let (mut silent, mut fds): (Vec<Key>, Vec<i32>) = Default::default();
        let slots = &mut self.slots;
        self.heard.retain(|key| {
            let slot = slots.get_mut(key.index as usize);
            let Some(State::Multi(multi)) = slot
                .filter(|slot| slot.generation == key.generation)
                .map(|slot| &mut slot.state)
            else {
                return false;
            };
            if multi.heard == Heard::Lately {
                multi.heard = Heard::Before;
                return true;
            }
            multi.heard = Heard::Nothing;
            if multi.can_miss_an_end() {
                silent.push(*key);
                fds.push(multi.fd());
            }
            false
        });
        if self.heard.is_empty() && self.heard.capacity() > KEPT_KEYS_MAX {
            self.heard = Vec::new();
        }
        sys::find_ended(&fds, |index| {
            let key = silent[index];
            self.multi(key).cancelled = true;
            self.cancel(key);
        });
    }
}
