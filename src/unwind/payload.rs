//! [`Payload`]: the value of a panic, as an error keeps it.

use std::{
    any::Any,
    fmt,
    sync::{Mutex, PoisonError},
};

use super::{lock, message};

/// The payload of a panic. In a mutex because it need not be `Sync`, and boxed so that an error
/// that is none is small.
pub(crate) struct Payload(Box<Mutex<Box<dyn Any + Send>>>);

impl Payload {
    #[cold]
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self(Box::new(Mutex::new(payload)))
    }

    /// The payload itself, for [`std::panic::resume_unwind`].
    pub(crate) fn into_inner(self) -> Box<dyn Any + Send> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `look` with the payload.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&(dyn Any + Send)) -> R) -> R {
        look(&**lock(&self.0))
    }
}

/// Writes that something panicked, and the message if there is one.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|payload| match message(payload) {
            Some(message) => write!(f, "panicked: {message}"),
            None => f.write_str("panicked"),
        })
    }
}
