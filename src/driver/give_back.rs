//! Gives back memory that a burst of operations needed.

use super::{Driver, backend::Backend, turn::Events};
use crate::{shrink, sys::Completion};

/// The room that the lists of a turn keep, for a turn that brings as much.
const KEPT_EVENTS: usize = 4096;

impl Driver {
    /// Gives back memory of which little is in use, for a thread that has nothing else to do. It
    /// costs next to nothing when there is none.
    #[inline]
    pub(crate) fn give_back(&self) {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let mut events = self.events.try_borrow_mut();
        if let Ok(events) = &mut events {
            core.list_parked(&mut events.completions);
            events.give_back();
        }
        core.slot_room.slab(&mut core.slots);
        if core.parked_buffers == 0 {
            if !core.parked.is_empty() {
                core.tidy_parked();
            }
            shrink::empty(&mut core.parked);
        }
        if core.over_limit.is_empty() {
            shrink::empty(&mut core.over_limit);
        }
        match &mut core.backend {
            Backend::Ring(ring) => ring.give_back(),
            Backend::Poll(poll) => poll.give_back(),
            Backend::Closed => {}
        }
    }

    /// As [`give_back`](Self::give_back), whether little is in use or not.
    pub(crate) fn shrink(&self) {
        let mut core = self.core.borrow_mut();
        core.slots.shrink_to_fit();
        core.spare_rests.clear();
        let mut events = self.events.take();
        core.list_parked(&mut events.completions);
        drop(core);
        drop(events);
    }
}

impl Events {
    fn give_back(&mut self) {
        if self.completions.capacity() > KEPT_EVENTS {
            self.completions = Vec::<(u64, Completion)>::new();
        }
        if self.after.capacity() > KEPT_EVENTS {
            self.after = Vec::new();
        }
    }
}
