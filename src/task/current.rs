//! The tasks that this thread runs at the moment.

use std::{cell::Cell, fmt, ptr, rc::Rc};

use super::{inbox::Inbox, scheduler::Scheduler, task_ref::TaskRef};

struct Current {
    /// The inbox of `scheduler`, or null: this is what wakers compare themselves with.
    inbox: Cell<*const Inbox>,
    /// Invariant: null, or from `Rc::into_raw`, and that count is this field's.
    scheduler: Cell<*const Scheduler>,
}

impl Current {
    const fn new() -> Self {
        Self {
            inbox: Cell::new(ptr::null()),
            scheduler: Cell::new(ptr::null()),
        }
    }

    /// Replaces the current scheduler and returns the one before.
    fn replace(&self, scheduler: Option<Rc<Scheduler>>) -> Option<Rc<Scheduler>> {
        let inbox = scheduler
            .as_ref()
            .map_or(ptr::null(), |scheduler| scheduler.inbox());
        self.inbox.set(inbox);
        let before = self
            .scheduler
            .replace(scheduler.map_or(ptr::null(), Rc::into_raw));
        // SAFETY: the invariant of the field, whose count this takes over.
        (!before.is_null()).then(|| unsafe { Rc::from_raw(before) })
    }

    fn scheduler(&self) -> Option<&Scheduler> {
        // SAFETY: the field keeps the scheduler. It changes in `replace` only, which is called
        // when a guard is made or dropped, and no caller in this file does so meanwhile.
        unsafe { self.scheduler.get().as_ref() }
    }
}

// A constant without a destructor: reading it costs one instruction, and it can be read for as
// long as the thread lives.
#[cfg(not(loom))]
thread_local! {
    static CURRENT: Current = const { Current::new() };
}
#[cfg(loom)]
loom::thread_local! {
    static CURRENT: Current = Current::new();
}

/// Whether the tasks to which this inbox belongs are current.
#[inline]
pub(super) fn is(inbox: *const Inbox) -> bool {
    CURRENT.with(|current| ptr::eq(current.inbox.get(), inbox))
}

/// The current scheduler.
pub(super) fn get() -> Option<Rc<Scheduler>> {
    CURRENT.with(|current| {
        let scheduler = current.scheduler.get();
        if scheduler.is_null() {
            return None;
        }
        // SAFETY: the field has a count of this pointer, which came from `Rc::into_raw`.
        unsafe { Rc::increment_strong_count(scheduler) };
        // SAFETY: the count was taken above.
        Some(unsafe { Rc::from_raw(scheduler) })
    })
}

/// Has the current scheduler run nothing of the user's any more, in a child that fork(2) has made:
/// its tasks go on in the parent.
pub(crate) fn leave() {
    CURRENT.with(|current| {
        if let Some(scheduler) = current.scheduler() {
            scheduler.leave();
        }
    });
}

/// Schedules a task of the current scheduler.
#[inline]
pub(super) fn schedule(task: TaskRef) {
    CURRENT.with(|current| {
        if let Some(scheduler) = current.scheduler() {
            scheduler.schedule(task);
        }
    });
}

/// Schedules a task of the current scheduler.
#[inline]
pub(super) fn schedule_by_ref(task: &TaskRef) {
    CURRENT.with(|current| {
        if let Some(scheduler) = current.scheduler() {
            scheduler.schedule_by_ref(task);
        }
    });
}

/// Makes a scheduler current until it is dropped; then the one before is current again.
pub(crate) struct Entered {
    before: Option<Rc<Scheduler>>,
}

impl Entered {
    pub(super) fn new(scheduler: Rc<Scheduler>) -> Self {
        Self {
            before: CURRENT.with(|current| current.replace(Some(scheduler))),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.with(|current| current.replace(self.before.take()));
        // The last reference to a scheduler drops the user's panic hook, so this comes last.
        drop(left);
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}
