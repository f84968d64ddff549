//! The reaction to a panic of a task without a join handle that would return it.

use std::{any::Any, fmt, panic::Location};

use super::{join_error::JoinError, task_ref::TaskRef};
use crate::unwind::message;

/// The reaction to a panic of a task without a join handle.
///
/// That is the panic of a task that is *detached*: its join handle was dropped before or after the
/// panic without taking it. The panic's message was printed by the panic hook already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnTaskPanic {
    /// Count it and go on: the other tasks have nothing to do with it.
    #[default]
    Continue,
    /// Abort the process, as if the panic had happened outside of any task.
    Abort,
}

/// The panic of a detached task.
pub struct TaskPanic<'a> {
    task: &'a TaskRef,
    payload: &'a (dyn Any + Send),
}

impl<'a> TaskPanic<'a> {
    /// Shows `look` the panic, if `error` is one.
    pub(super) fn show(task: &TaskRef, error: &JoinError, look: impl FnOnce(&TaskPanic<'_>)) {
        error.with_payload(|payload| look(&TaskPanic { task, payload }));
    }

    /// Returns the name that [`Builder::name`](super::Builder::name) gave to the task.
    pub fn name(&self) -> Option<&'a str> {
        self.task.name().map(|name| &**name)
    }

    /// Returns the place where the task was spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.task.location
    }

    /// Returns the value that the task panicked with.
    pub fn payload(&self) -> &'a (dyn Any + Send) {
        self.payload
    }

    /// Returns the message, if the payload is a string, as that of `panic!` is.
    pub fn message(&self) -> Option<&'a str> {
        message(self.payload)
    }
}

impl fmt::Debug for TaskPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskPanic")
            .field("name", &self.name())
            .field("location", &self.location())
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}
