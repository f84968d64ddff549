//! The error of a set of workers.

use std::{any::Any, error::Error, fmt, io};

use crate::unwind::Payload;

/// The first failure of a set of workers, with the number of its worker.
///
/// [`io::Error`] is made of it by `?`, and has the kind of the worker's own `io::Error` if it was
/// one.
pub struct WorkersError {
    worker: Option<usize>,
    cause: Cause,
}

pub(super) enum Cause {
    /// There was no thread or no runtime for it.
    Start(io::Error),
    /// The error that its future returned.
    Failed(Box<dyn Error + Send + Sync>),
    Panicked(Payload),
    /// They are another process's.
    Inherited,
}

impl Cause {
    #[cold]
    pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self::Panicked(Payload::new(payload))
    }
}

impl WorkersError {
    pub(super) fn new(worker: usize, cause: Cause) -> Self {
        Self {
            worker: Some(worker),
            cause,
        }
    }

    /// An error of the options, which concerns no one worker.
    pub(super) fn of_options(text: String) -> Self {
        Self {
            worker: None,
            cause: Cause::Start(io::Error::new(io::ErrorKind::InvalidInput, text)),
        }
    }

    pub(super) fn inherited() -> Self {
        Self {
            worker: None,
            cause: Cause::Inherited,
        }
    }

    /// Returns the number of the worker that has failed, if it was one of them: none has when the
    /// options make no sense.
    #[must_use]
    pub fn worker(&self) -> Option<usize> {
        self.worker
    }

    /// Whether the worker could not start: there was no thread or no runtime for it. No future has
    /// run then, of the other workers either.
    #[must_use]
    pub fn is_start(&self) -> bool {
        matches!(self.cause, Cause::Start(_))
    }

    /// Whether the worker has panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// Returns the payload of the worker's panic, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    ///
    /// The error itself if it is no panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.cause {
            Cause::Panicked(payload) => Ok(payload.into_inner()),
            cause => Err(Self { cause, ..self }),
        }
    }

    /// Returns the error that the worker's future has returned, to be downcast to its type.
    ///
    /// # Errors
    ///
    /// The error itself if it is another one.
    pub fn try_into_source(self) -> Result<Box<dyn Error + Send + Sync>, Self> {
        match self.cause {
            Cause::Failed(error) => Ok(error),
            cause => Err(Self { cause, ..self }),
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match &self.cause {
            Cause::Start(error) => error.kind(),
            Cause::Failed(error) => error
                .downcast_ref::<io::Error>()
                .map_or(io::ErrorKind::Other, io::Error::kind),
            Cause::Panicked(_) | Cause::Inherited => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for WorkersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.worker {
            Some(worker) => write!(f, "worker {worker} ")?,
            None => f.write_str("the workers ")?,
        }
        match &self.cause {
            Cause::Start(error) => write!(f, "cannot start: {error}"),
            Cause::Failed(error) => write!(f, "failed: {error}"),
            Cause::Panicked(payload) => payload.fmt(f),
            Cause::Inherited => f.write_str("belong to the process that this one was forked from"),
        }
    }
}

/// Writes the text, which is what a `main` that returns the error prints.
impl fmt::Debug for WorkersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for WorkersError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Start(error) => Some(error),
            Cause::Failed(error) => Some(&**error),
            Cause::Panicked(_) | Cause::Inherited => None,
        }
    }
}

impl From<WorkersError> for io::Error {
    /// An error that holds this one, of the kind of the worker's `io::Error`, or else `Other`.
    fn from(error: WorkersError) -> Self {
        io::Error::new(error.kind(), error)
    }
}
