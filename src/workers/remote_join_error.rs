//! The error of a task on another worker.

use std::{any::Any, error::Error, fmt, io};

use crate::unwind::Payload;

/// The reason why a task on a worker ended without an output: it panicked, it was aborted, or its
/// worker ended.
pub struct RemoteJoinError {
    worker: usize,
    cause: Cause,
}

enum Cause {
    Aborted,
    WorkerEnded,
    /// The worker is another process's.
    Inherited,
    Panicked(Payload),
}

impl RemoteJoinError {
    pub(super) fn aborted(worker: usize) -> Self {
        let cause = Cause::Aborted;
        Self { worker, cause }
    }

    pub(super) fn worker_ended(worker: usize) -> Self {
        let cause = Cause::WorkerEnded;
        Self { worker, cause }
    }

    pub(super) fn inherited(worker: usize) -> Self {
        let cause = Cause::Inherited;
        Self { worker, cause }
    }

    #[cold]
    pub(super) fn panicked(worker: usize, payload: Box<dyn Any + Send>) -> Self {
        let cause = Cause::Panicked(Payload::new(payload));
        Self { worker, cause }
    }

    /// Returns the number of the worker.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Whether the task was aborted.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        matches!(self.cause, Cause::Aborted)
    }

    /// Whether the worker had ended, or did so before the task was done. In a child that fork(2)
    /// has made, the workers of the parent have ended.
    #[must_use]
    pub fn has_worker_ended(&self) -> bool {
        matches!(self.cause, Cause::WorkerEnded | Cause::Inherited)
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// Returns the payload of the task's panic, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    ///
    /// The error itself if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.cause {
            Cause::Panicked(payload) => Ok(payload.into_inner()),
            cause => Err(Self { cause, ..self }),
        }
    }
}

impl fmt::Display for RemoteJoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worker = self.worker;
        match &self.cause {
            Cause::Aborted => write!(f, "the task on worker {worker} was aborted"),
            Cause::WorkerEnded => write!(f, "worker {worker} has ended"),
            Cause::Inherited => write!(
                f,
                "worker {worker} belongs to the process that this one was forked from"
            ),
            Cause::Panicked(payload) => write!(f, "the task on worker {worker} {payload}"),
        }
    }
}

/// Writes the text, which is what a `main` that returns the error prints.
impl fmt::Debug for RemoteJoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for RemoteJoinError {}

impl From<RemoteJoinError> for io::Error {
    /// An error of the kind `Other` that holds the join error.
    fn from(error: RemoteJoinError) -> Self {
        io::Error::other(error)
    }
}
