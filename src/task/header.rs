//! The part of a task that does not depend on its future: flags, links and counts.

use std::{
    panic::Location,
    ptr::{self, NonNull},
    task::Waker,
};

use super::{inbox::Inbox, primitives::Cell, raw::Vtable, task_ref::TaskRef, word::Word};

/// The state of a task: a set of these flags. Only the owner's thread reads or writes them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(u32);

impl State {
    /// A task of the user without a join handle.
    pub(super) const DETACHED: Self = Self(0);
    /// It is in the ready queue, or, while it runs, it will be.
    pub(super) const SCHEDULED: Self = Self(1);
    /// Its future is being polled or dropped.
    pub(super) const RUNNING: Self = Self(1 << 1);
    /// It has no future any more.
    pub(super) const FINISHED: Self = Self(1 << 2);
    /// Its future is to be dropped at the next turn.
    pub(super) const ABORTED: Self = Self(1 << 3);
    /// Its join handle is held.
    pub(super) const JOINABLE: Self = Self(1 << 4);
    /// It is finished and its output is still there.
    pub(super) const OUTPUT: Self = Self(1 << 5);
    /// It belongs to the runtime and not to the user.
    pub(super) const SYSTEM: Self = Self(1 << 6);
    /// No dump shows it.
    pub(super) const HIDDEN: Self = Self(1 << 7);
    /// The word's count has [`LOAN`](super::word::LOAN) references that are none. Only an
    /// unfinished task has them.
    pub(super) const LENT: Self = Self(1 << 8);
    /// The bits of the number that the last poll noted, see [`Self::noting`].
    pub(super) const NOTE: Self = Self(0xff << 24);

    pub(super) const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    pub(super) const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }

    /// With the number of a [`WaitNote`](crate::wait_note::WaitNote), where there was none.
    pub(super) const fn noting(self, number: u8) -> Self {
        Self(self.0 | (number as u32) << 24)
    }

    /// The number of the note.
    pub(super) const fn noted(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Whether at least one of `flags` is set.
    pub(super) const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }
}

/// The beginning of a task. Fields that spawning and other threads touch stand first; those that a
/// wake and a turn touch stand last, beside the future.
#[repr(C)]
pub(super) struct Header {
    /// The place in the source where the task was spawned.
    pub(super) location: &'static Location<'static>,
    /// The next older task in the inbox. It belongs to the one who set `QUEUED`, and from the
    /// push on to the owner.
    pub(super) inbox_next: Cell<*mut Header>,
    /// Neighbours in the owner's list of all tasks that are not merged.
    ///
    /// Invariant: `TaskRef::adopt` makes a task its own neighbour; from then on both are alive.
    pub(super) previous: Cell<NonNull<Header>>,
    pub(super) next: Cell<NonNull<Header>>,
    pub(super) word: Word,
    /// The waker to call when the task has finished. Only the join handle sets it.
    pub(super) join_waker: Cell<Option<Waker>>,
    /// The owner's inbox, which also says who the owner is.
    ///
    /// Invariant: alive as long as the header. The owner keeps it until it has merged every task,
    /// and a merged task has a strong count of its own.
    pub(super) inbox: *const Inbox,
    state: Cell<State>,
    /// The references that the owner's side counts. Only the owner's thread touches it.
    ///
    /// Invariant: it is 0 exactly when `word` is merged.
    pub(super) local: Cell<u32>,
    pub(super) vtable: &'static Vtable,
    pub(super) ready_next: Cell<Option<TaskRef>>,
}

/// Prefetches the memory that a wake and a turn touch of the task at `header`, where the processor
/// can do so: the end of the header and the beginning of the future behind it. Any address will do.
#[inline]
pub(super) fn prefetch(header: *const ()) {
    #[cfg(target_arch = "x86_64")]
    for line in [64, 128] {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // SAFETY: a hint, which touches nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(header.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = header;
}

impl Header {
    /// A header with one reference on the owner's side.
    pub(super) fn new(
        vtable: &'static Vtable,
        state: State,
        inbox: *const Inbox,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            vtable,
            state: Cell::new(state),
            local: Cell::new(1),
            ready_next: Cell::new(None),
            inbox,
            previous: Cell::new(NonNull::dangling()),
            next: Cell::new(NonNull::dangling()),
            join_waker: Cell::new(None),
            word: Word::new(),
            inbox_next: Cell::new(ptr::null_mut()),
            location,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state.get()
    }

    pub(super) fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// Ends the header's life. These writes have no effect, but a model checker finds by them a
    /// thread that still uses the header at the same time.
    pub(super) fn retire(&mut self) {
        self.local.set(0);
        self.inbox_next.set(ptr::null_mut());
        self.word.retire();
    }
}
