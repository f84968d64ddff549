//! The operations of a driver as counts and dumps show them.

use std::fmt;

use super::{Driver, backend::Backend, slot::State};
use crate::{sys::opcode, task::TaskId};

/// Counts of a driver's work so far. Each figure only grows.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DriverStats {
    /// Looks at what has come: from the kernel, or from other threads.
    pub turns: u64,
    /// Calls of io_uring_enter(2), or of epoll_wait(2) on the poll driver.
    pub enters: u64,
    /// Entries pushed to the ring.
    pub entries: u64,
    /// Completions, or readiness events on the poll driver.
    pub completions: u64,
    /// Plain system calls made in place of an entry (attempts).
    pub attempts: u64,
    /// Enters that found the completion queue overflown.
    pub overflows: u64,
    /// Operations given up in flight.
    pub abandoned: u64,
    /// Completions that came for a slot that is gone.
    pub stale: u64,
    /// Receives stopped because their socket held too many bytes that no task had taken.
    pub backpressure: u64,
    /// Operations in flight now.
    pub in_flight: u64,
    /// The entries by the kind of their operation, if `RuntimeBuilder::measure` asks for it.
    pub kinds: EntryKinds,
}

/// How many entries a ring was given of each kind of operation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryKinds([u64; opcode::COUNT]);

impl EntryKinds {
    pub(super) fn new(counts: [u64; opcode::COUNT]) -> Self {
        Self(counts)
    }

    /// Returns each kind of operation with its count. The names are those of the system calls that
    /// do the same: `recv`, `accept` and so on.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        opcode::names().into_iter().zip(self.0)
    }
}

impl fmt::Debug for EntryKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().filter(|(_, count)| *count > 0))
            .finish()
    }
}

/// An operation in flight for which a future waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationView {
    /// The task that is woken; none when the waker is of another kind.
    pub(crate) task: Option<TaskId>,
    /// As `recv`; none for a call on a helper thread.
    pub(crate) name: Option<&'static str>,
    pub(crate) fd: Option<i32>,
}

impl Driver {
    /// Has entries counted by their kinds from now on.
    pub(crate) fn start_kinds(&self) {
        if let Backend::Ring(ring) = &mut self.core.borrow_mut().backend {
            ring.start_kinds();
        }
    }

    /// The operations in flight for which a future waits.
    pub(crate) fn waited_for(&self) -> Vec<OperationView> {
        let core = self.core.borrow();
        let views = core.slots.iter().filter_map(|(_, slot)| {
            let waker = match &slot.state {
                State::Waiting(waker) | State::Quiet(waker, _) => waker,
                State::Multi(multi) => multi.waker.as_ref()?,
                State::Done(_) | State::Abandoned(_) => return None,
            };
            let code = slot.what.opcode();
            Some(OperationView {
                task: TaskId::of(waker),
                name: (code != opcode::HELPER).then(|| opcode::name(code)),
                fd: slot.what.fd(),
            })
        });
        views.collect()
    }
}
