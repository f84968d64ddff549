//! A handle that can stop a task.

use std::fmt;

use super::{header::State, task_ref::TaskRef};

/// Stops a task, without waiting for it. See
/// [`JoinHandle::abort_handle`](super::JoinHandle::abort_handle).
///
/// Dropping it does nothing. It keeps the task's memory, though not its future or output.
#[derive(Clone)]
pub struct AbortHandle {
    task: TaskRef,
}

impl AbortHandle {
    pub(super) fn new(task: TaskRef) -> Self {
        Self { task }
    }

    /// Asks for the task to be stopped, see [`JoinHandle::abort`](super::JoinHandle::abort).
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Whether the task is finished: its future is dropped.
    pub fn is_finished(&self) -> bool {
        self.task.state().has(State::FINISHED)
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task
            .describe(&mut f.debug_struct("AbortHandle"))
            .finish_non_exhaustive()
    }
}
