//! A driver in a child that fork(2) has made.
//!
//! The ring or epoll, the eventfd and the sockets behind the descriptors are the parent's, whose
//! kernel side goes on as if nothing had been. So the child's copy of a driver is *inherited*: it
//! never enters the kernel for what was asked for, and at the first thing that is given up here it
//! closes, in the child's memory only. The kernel writes to none of that memory, so that everything
//! may be freed.
//!
//! The thread that forked may be inside of the runtime. Its driver is not current any more from the
//! first moment on, so that every call of a handle is an error, and its next turn is one.

use super::{Backend, Driver, backend::RingBackend, slot::State};
use crate::{
    sys::{Completion, errno},
    unwind,
};

impl Driver {
    /// Whether this driver belongs to the process that this one is a fork of.
    #[inline]
    pub(crate) fn is_inherited(&self) -> bool {
        !self.process.is_current()
    }

    pub(super) fn can_be_current(&self) -> bool {
        !self.closed.get() && !self.is_inherited()
    }

    /// Closes an inherited driver. This is checked before the driver gives anything up.
    #[inline]
    pub(super) fn leave_inherited(&self) {
        if self.is_inherited() && !self.closed.get() {
            self.leave();
        }
    }

    #[cold]
    fn leave(&self) {
        self.closed.set(true);
        self.entered.set(false);
        let mut gone = Vec::new();
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let backend = std::mem::replace(&mut core.backend, Backend::Closed);
        core.in_flight = 0;
        core.slots.retain(|_, slot| match &mut slot.state {
            State::Done(_) => true,
            State::Multi(multi) => {
                multi.end(&mut core.spare_rests);
                true
            }
            State::Waiting(_) | State::Quiet(..) | State::Abandoned(_) => {
                let cancelled = State::Done(Completion::new(-errno::ECANCELED));
                let old = std::mem::replace(&mut slot.state, cancelled);
                let has_future = !matches!(old, State::Abandoned(_));
                gone.push(old);
                has_future
            }
        });
        drop(guard);
        match backend {
            Backend::Ring(ring) => RingBackend::leave(*ring),
            backend => drop(backend),
        }
        unwind::each(gone, drop);
    }
}
