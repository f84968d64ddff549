//! The list in which other threads leave tasks for their owner.
//!
//! One atomic word is both the list and the three states of the owner's sleep: *awake* (empty),
//! *asleep* (empty, and the next push has to end the sleep) and *notified* (a list of tasks). A
//! push onto *asleep* therefore replaces it, so that one sleep is ended by one push, and there is
//! no second word that could be read too early. The fourth state, *closed*, is for ever.

use std::{ptr, ptr::NonNull};

use super::{
    header::Header,
    primitives::{Arc, AtomicPtr, Ordering},
};

/// Ends the sleep of the thread that owns some tasks.
pub(crate) trait Unpark: Send + Sync {
    /// Makes the owner's current sleep, or its next one, return at once.
    fn unpark(&self);
}

const AWAKE: *mut Header = ptr::null_mut();
const ASLEEP: *mut Header = ptr::without_provenance_mut(1);
const CLOSED: *mut Header = ptr::without_provenance_mut(2);

fn is_list(word: *mut Header) -> bool {
    word.addr() > CLOSED.addr()
}

/// The state in which a push found the inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Push {
    Done,
    Closed,
}

pub(super) struct Inbox {
    /// `AWAKE`, `ASLEEP`, `CLOSED` or the newest task of a list linked by `inbox_next`.
    ///
    /// Invariant: a task in the list has `QUEUED` set, so no thread frees it.
    word: AtomicPtr<Header>,
    unpark: std::sync::Arc<dyn Unpark>,
}

impl Inbox {
    pub(super) fn new(unpark: std::sync::Arc<dyn Unpark>) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicPtr::new(AWAKE),
            unpark,
        })
    }

    /// Whether there is something to take. One relaxed load: what it misses, the next look or
    /// [`Inbox::fall_asleep`] finds.
    pub(super) fn has_posts(&self) -> bool {
        is_list(self.word.load(Ordering::Relaxed))
    }

    /// Whether the owner sleeps, as far as another thread can tell.
    pub(super) fn is_asleep(&self) -> bool {
        self.word.load(Ordering::Relaxed) == ASLEEP
    }

    /// Says that the owner is about to sleep. False, and no sleep, when something was posted.
    pub(super) fn fall_asleep(&self) -> bool {
        self.word
            .compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes what was posted, oldest first; the owner is awake from here on.
    pub(super) fn take(&self) -> Posts {
        Posts::new(self.word.swap(AWAKE, Ordering::Acquire))
    }

    /// Takes what was posted and refuses everything else for ever.
    pub(super) fn close(&self) -> Posts {
        Posts::new(self.word.swap(CLOSED, Ordering::Acquire))
    }

    /// Posts `task`, and ends the owner's sleep if this is the first post since it began.
    ///
    /// It takes a raw pointer because the owner may take the task, finish and free the inbox
    /// before this returns.
    ///
    /// # Safety
    ///
    /// The caller has just set `QUEUED` in the task's word: that keeps the task, and through it
    /// the inbox, until the push has succeeded or, on `Push::Closed`, until the caller clears it.
    pub(super) unsafe fn push(inbox: *const Inbox, task: NonNull<Header>) -> Push {
        // SAFETY: the inbox is alive until the push has succeeded (see above).
        let word = unsafe { &(*inbox).word };
        // SAFETY: `QUEUED` keeps the task alive.
        let header = unsafe { task.as_ref() };
        let mut now = word.load(Ordering::Relaxed);
        loop {
            if now == CLOSED {
                return Push::Closed;
            }
            header
                .inbox_next
                .set(if is_list(now) { now } else { AWAKE });
            // Once the task is pushed the inbox may be gone, so what ends the sleep is taken out
            // before.
            let unpark = (now == ASLEEP).then(|| {
                // SAFETY: as for `word`.
                std::sync::Arc::clone(unsafe { &(*inbox).unpark })
            });
            // Release: the owner that takes the list sees `inbox_next`.
            match word.compare_exchange_weak(
                now,
                task.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    if let Some(unpark) = unpark {
                        unpark.unpark();
                    }
                    return Push::Done;
                }
                Err(other) => now = other,
            }
        }
    }
}

/// Tasks taken out of an inbox, oldest first.
///
/// Invariant: each has `QUEUED` set, and this list is the only one that has it.
pub(super) struct Posts {
    first: *mut Header,
}

impl Posts {
    /// Turns the list round: it was built newest first.
    fn new(word: *mut Header) -> Self {
        let mut first = AWAKE;
        let mut rest = if is_list(word) { word } else { AWAKE };
        while let Some(task) = NonNull::new(rest) {
            // SAFETY: `QUEUED` keeps a task in the list alive.
            let next = unsafe { &task.as_ref().inbox_next };
            rest = next.replace(first);
            first = task.as_ptr();
        }
        Self { first }
    }
}

impl Iterator for Posts {
    type Item = NonNull<Header>;

    fn next(&mut self) -> Option<NonNull<Header>> {
        let task = NonNull::new(self.first)?;
        // SAFETY: `QUEUED` keeps a task in the list alive.
        let next = unsafe { &task.as_ref().inbox_next };
        self.first = next.get();
        Some(task)
    }
}
