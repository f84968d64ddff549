//! The part of a task that several threads touch: a signed count and three flags in one atomic.

use super::primitives::{AtomicI64, Ordering, end_of_sharing};

const QUEUED: i64 = 1;
const WAKE: i64 = 1 << 1;
const MERGED: i64 = 1 << 2;
const COUNT_SHIFT: u32 = 3;
const ONE: i64 = 1 << COUNT_SHIFT;

/// References that the owner lends to the word: so many may be dropped elsewhere before the owner
/// gets a note.
pub(super) const LOAN: i64 = 1 << 20;

/// One reading of a [`Word`].
#[derive(Clone, Copy)]
pub(super) struct Reading(i64);

impl Reading {
    /// The references gained (or, below zero, lost) elsewhere than on the owner's side.
    pub(super) fn count(self) -> i64 {
        self.0 >> COUNT_SHIFT
    }

    /// The task is in the inbox, or a thread is about to put it there.
    pub(super) fn is_queued(self) -> bool {
        self.0 & QUEUED != 0
    }

    /// A thread other than the owner asked for the task to be scheduled.
    pub(super) fn is_woken(self) -> bool {
        self.0 & WAKE != 0
    }

    /// The owner's plain count is empty for ever; this word's count is all there is.
    pub(super) fn is_merged(self) -> bool {
        self.0 & MERGED != 0
    }

    /// No reference is left: the thread that wrote this reading frees the task.
    pub(super) fn is_last(self) -> bool {
        self.is_merged() && !self.is_queued() && self.count() == 0
    }
}

/// The next step of the thread that changed the word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// Push the task to the inbox: this change set `QUEUED`.
    Push,
    /// Free the task: this change dropped the last reference.
    Free,
}

/// See [`super`] for what the flags mean.
pub(super) struct Word(AtomicI64);

impl Word {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// Whether the references gained and lost elsewhere are even and nothing is queued.
    ///
    /// When the owner's count is empty as well, no reference is left: see "Why a load is enough" in
    /// [`super`].
    pub(super) fn is_even(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// Counts one more reference. The caller has one, so the task cannot go away meanwhile.
    pub(super) fn add(&self) {
        self.0.fetch_add(ONE, Ordering::Relaxed);
    }

    /// Counts one reference less.
    pub(super) fn release(&self) -> Next {
        self.change(|now| {
            let then = Reading(now.0 - ONE);
            // Below zero the references that were dropped here are still in the owner's count,
            // and only the owner can even them out.
            let push = !then.is_merged() && !then.is_queued() && then.count() < 0;
            if push { Reading(then.0 | QUEUED) } else { then }
        })
    }

    /// Asks the owner to schedule the task.
    pub(super) fn wake(&self) -> Next {
        self.change(woken)
    }

    /// Asks the owner to schedule the task, and counts one reference less.
    pub(super) fn wake_and_release(&self) -> Next {
        self.change(|now| woken(Reading(now.0 - ONE)))
    }

    fn change(&self, then: impl Fn(Reading) -> Reading) -> Next {
        let mut now = Reading(self.0.load(Ordering::Relaxed));
        loop {
            let then = then(now);
            // Acquire for the thread that frees the task, release for all others.
            match self
                .0
                .compare_exchange_weak(now.0, then.0, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if then.is_queued() && !now.is_queued() => return Next::Push,
                Ok(_) if then.is_last() => return Next::Free,
                Ok(_) => return Next::Nothing,
                Err(other) => now = Reading(other),
            }
        }
    }

    /// Takes count and flags for the owner, who adds the count to its own, and lends `loan`
    /// references. Not after a merge.
    pub(super) fn take(&self, loan: i64) -> Reading {
        let taken = Reading(self.0.swap(loan * ONE, Ordering::AcqRel));
        assert!(!taken.is_merged(), "a task was merged twice");
        taken
    }

    /// Takes the count for the owner, who adds it to its own. The flags stay.
    pub(super) fn take_count(&self) -> i64 {
        Reading(self.0.fetch_and(ONE - 1, Ordering::AcqRel)).count()
    }

    /// Ends the time in the inbox of a task that the owner will not look at again. Tells whether
    /// that was the last thing to wait for.
    pub(super) fn unqueue(&self) -> Next {
        let before = Reading(self.0.fetch_and(!(QUEUED | WAKE), Ordering::AcqRel));
        if Reading(before.0 & !QUEUED).is_last() {
            Next::Free
        } else {
            Next::Nothing
        }
    }

    /// Adds the owner's count and declares that it is empty from now on.
    pub(super) fn merge(&self, local: u32) {
        let before = Reading(
            self.0
                .fetch_add(i64::from(local) * ONE + MERGED, Ordering::AcqRel),
        );
        assert!(!before.is_merged(), "a task was merged twice");
    }

    /// See [`super::header::Header::retire`].
    pub(super) fn retire(&mut self) {
        end_of_sharing(&mut self.0);
    }
}

/// A finished task needs no wake, and only finished tasks are merged.
fn woken(now: Reading) -> Reading {
    if now.is_merged() {
        now
    } else {
        Reading(now.0 | QUEUED | WAKE)
    }
}
