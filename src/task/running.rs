//! The place for the task that runs, which a signal handler may read.

use std::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering, compiler_fence},
};

use super::{header::Header, task_ref::TaskRef};

/// The task that is being polled or dropped. Only the owner's thread touches it, and a signal
/// handler that has interrupted that thread may read it: the task in it is alive at any moment.
///
/// Invariant: null, or from `TaskRef::into_raw`, and that reference is this one's.
pub(super) struct Running(AtomicPtr<Header>);

impl Running {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts a task in, and returns the one before. A load and a store: no other thread writes.
    #[inline]
    pub(super) fn replace(&self, task: Option<TaskRef>) -> Option<TaskRef> {
        let task = task.map_or(ptr::null_mut(), |task| task.into_raw().as_ptr());
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(task, Ordering::Relaxed);
        // A handler must not find the old task after the caller has freed it.
        compiler_fence(Ordering::Release);
        // SAFETY: the invariant, whose reference goes to the caller.
        NonNull::new(before).map(|before| unsafe { TaskRef::from_raw(before) })
    }

    pub(super) fn get(&self) -> Option<TaskRef> {
        let task = NonNull::new(self.0.load(Ordering::Relaxed))?;
        // SAFETY: the invariant; the reference stays this one's.
        let task = ManuallyDrop::new(unsafe { TaskRef::from_raw(task) });
        Some(TaskRef::clone(&task))
    }

    /// Calls `look` with the task, without counting a reference. A signal handler may do so.
    pub(super) fn look(&self, look: impl FnOnce(&TaskRef)) {
        if let Some(task) = NonNull::new(self.0.load(Ordering::Relaxed)) {
            // SAFETY: as in `get`.
            look(&ManuallyDrop::new(unsafe { TaskRef::from_raw(task) }));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}
