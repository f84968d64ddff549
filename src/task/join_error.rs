//! The error of a task that ended without an output.

use std::{
    any::Any,
    error::Error,
    fmt, io,
    sync::{Mutex, PoisonError},
};

use crate::unwind;

/// The reason why a task ended without an output: it was cancelled or it panicked.
pub struct JoinError {
    /// The payload of the panic, in a mutex because the payload need not be `Sync`.
    panic: Option<Box<Mutex<Box<dyn Any + Send>>>>,
}

impl JoinError {
    pub(super) fn cancelled() -> Self {
        Self { panic: None }
    }

    #[cold]
    pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self {
            panic: Some(Box::new(Mutex::new(payload))),
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
            Some(payload) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            None => Err(self),
        }
    }

    /// Calls `look` with the payload of the panic.
    pub(super) fn with_payload<R>(&self, look: impl FnOnce(&(dyn Any + Send)) -> R) -> Option<R> {
        let payload = self
            .panic
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(look(&**payload))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let described = self.with_payload(|payload| match unwind::message(payload) {
            Some(message) => write!(f, "the task panicked: {message}"),
            None => f.write_str("the task panicked"),
        });
        described.unwrap_or_else(|| f.write_str("the task was cancelled"))
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
