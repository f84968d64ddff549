//! The driver's side of a runtime that a foreign loop drives: one descriptor for that loop to wait
//! for.
//!
//! On the ring an epoll of its own stands for two descriptors. One is the eventfd of other threads'
//! wakes. The epoll reports each write to it once. Nothing reads the eventfd's count, which a sleep
//! of `block_on` waits for as well. The other descriptor reports completions:
//!
//! - With `DEFER_TASKRUN` (6.1) it is an eventfd that the kernel writes to at each completion, and
//!   also when it has work that waits for this thread, which poll(2) of the ring does not tell on
//!   every kernel.
//! - Without, it is the ring itself, which is readable while it has completions. Before 5.18
//!   the registration of an eventfd waits for the end of all that is in flight, and so for ever.
//!
//! The poll driver's own epoll is such a descriptor already.
//!
//! None of this is there until a foreign loop asks for it, and then the turns of `block_on` do not
//! look at it either.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use super::{
    Driver,
    backend::{Backend, RingBackend},
    foreign_runtime,
};
use crate::sys::{WakeFd, WakeSet};

/// The descriptor for a foreign loop, and what the ring needs beside it.
pub(super) struct Outside {
    fd: OwnedFd,
    ring: Option<RefCell<RingWakes>>,
}

struct RingWakes {
    set: WakeSet,
    /// Registered with the ring, and kept for it. None where the ring itself is watched.
    _completions: Option<WakeFd>,
}

impl Outside {
    fn of_ring(ring: &mut RingBackend, wake_fd: i32, defers_work: bool) -> io::Result<Self> {
        let set = WakeSet::new()?;
        let fd = set.duplicate()?;
        set.add_eventfd(wake_fd)?;
        let completions = if defers_work {
            let completions = WakeFd::new()?;
            set.add_eventfd(completions.raw())?;
            // Last, since a ring takes one only.
            ring.register_eventfd(completions.raw())?;
            Some(completions)
        } else {
            set.add_readable(ring.raw_fd())?;
            None
        };
        let wakes = RingWakes {
            set,
            _completions: completions,
        };
        Ok(Self {
            fd,
            ring: Some(RefCell::new(wakes)),
        })
    }
}

impl Driver {
    /// The descriptor for a foreign loop to wait for. It is made at the first call, and is readable
    /// then.
    pub(crate) fn outside_fd(&self) -> io::Result<BorrowedFd<'_>> {
        let outside = match self.outside.get() {
            Some(outside) => outside,
            None => {
                let made = self.make_outside()?;
                self.outside.get_or_init(|| made)
            }
        };
        Ok(outside.fd.as_fd())
    }

    fn make_outside(&self) -> io::Result<Outside> {
        let made = match &mut self.core.borrow_mut().backend {
            Backend::Ring(ring) => {
                let defers_work = self.features.setup.defer_taskrun;
                Outside::of_ring(ring, self.remote.wake_fd(), defers_work)?
            }
            Backend::Poll(poll) => Outside {
                fd: poll.duplicate_epoll()?,
                ring: None,
            },
            Backend::Closed => return Err(foreign_runtime()),
        };
        self.remote.wake();
        Ok(made)
    }

    /// Whether a foreign loop waits for this driver.
    pub(crate) fn is_driven_outside(&self) -> bool {
        self.outside.get().is_some()
    }

    /// Makes the descriptor unreadable until the next event. Events from before are found by
    /// [`has_more`](Self::has_more).
    pub(crate) fn clear_outside(&self) {
        let ring = self.outside.get().and_then(|outside| outside.ring.as_ref());
        if let Some(ring) = ring {
            ring.borrow_mut().set.clear();
        }
    }

    /// Whether the next turn has something to submit or to collect, as far as is known without
    /// asking the kernel.
    pub(crate) fn has_more(&self) -> bool {
        let has_more = match &mut self.core.borrow_mut().backend {
            Backend::Ring(ring) => ring.has_more(),
            Backend::Poll(_) | Backend::Closed => false,
        };
        has_more || self.remote.has_results()
    }

    /// How many completions or events there have been.
    pub(crate) fn collected_count(&self) -> u64 {
        self.stats().completions
    }
}
