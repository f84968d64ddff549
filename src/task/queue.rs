//! The tasks that are ready to run, first in, first out, linked through their headers.

use std::{cell::Cell, ptr::NonNull};

use super::{
    header::{self, Header},
    task_ref::TaskRef,
};

#[derive(Default)]
pub(super) struct ReadyQueue {
    first: Cell<Option<TaskRef>>,
    /// Invariant: the last of the queue that begins at `first`, hence alive; `None` when empty.
    last: Cell<Option<NonNull<Header>>>,
}

impl ReadyQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.last.get().is_none()
    }

    /// Adds a task, which is in no queue.
    #[inline]
    pub(super) fn push(&self, task: TaskRef) {
        match self.last.replace(Some(task.as_raw())) {
            // SAFETY: the invariant of `last`.
            Some(last) => unsafe { last.as_ref() }.ready_next.set(Some(task)),
            None => self.first.set(Some(task)),
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<TaskRef> {
        let task = self.first.take()?;
        match task.ready_next.take() {
            Some(next) => {
                header::prefetch(next.as_raw().as_ptr().cast());
                self.first.set(Some(next));
            }
            None => self.last.set(None),
        }
        Some(task)
    }
}
