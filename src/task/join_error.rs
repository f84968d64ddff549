//! The error of a task that ended without an output.

use std::{any::Any, error::Error, fmt, io};

use crate::unwind::Payload;

/// The reason why a task ended without an output: it was cancelled or it panicked.
pub struct JoinError {
    panic: Option<Payload>,
}

impl JoinError {
    pub(super) fn cancelled() -> Self {
        Self { panic: None }
    }

    #[cold]
    pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self {
            panic: Some(Payload::new(payload)),
        }
    }

    /// Whether the task was aborted, or its runtime ended before it did.
    pub fn is_cancelled(&self) -> bool {
        self.panic.is_none()
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// Returns the payload of the task's panic, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the task did not panic: ask [`JoinError::is_panic`] first, or use
    /// [`JoinError::try_into_panic`].
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic()
            .expect("the task was cancelled, it did not panic")
    }

    /// Returns the payload of the task's panic, or the error itself if the task was cancelled.
    ///
    /// # Errors
    ///
    /// The error itself if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.panic {
            Some(payload) => Ok(payload.into_inner()),
            None => Err(self),
        }
    }

    /// Calls `look` with the payload of the panic.
    pub(super) fn with_payload<R>(&self, look: impl FnOnce(&(dyn Any + Send)) -> R) -> Option<R> {
        self.panic.as_ref().map(|payload| payload.look(look))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panic {
            Some(payload) => write!(f, "the task {payload}"),
            None => f.write_str("the task was cancelled"),
        }
    }
}

/// Writes the text, which is what a `main` that returns the error prints.
impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    /// An error of the kind `Other` that holds the join error.
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}
