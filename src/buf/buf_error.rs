//! The error of a call that took a buffer.

use std::{fmt, io};

/// An I/O error, with the buffer that the call had taken.
///
/// `?` turns it into an [`io::Error`] and drops the buffer.
pub struct BufError<B> {
    /// The error of the call.
    pub error: io::Error,
    /// The buffer that was given to the call.
    pub buf: B,
}

/// The result of a call that takes a buffer: a count and the buffer, or the error and the buffer.
pub type BufResult<T, B> = Result<(T, B), BufError<B>>;

impl<B> BufError<B> {
    pub(crate) fn new(error: io::Error, buf: B) -> Self {
        Self { error, buf }
    }

    /// The error of a read whose buffer has no room: a count of zero would look like the end.
    #[cold]
    pub(crate) fn no_room(buf: B) -> Self {
        let text = "expected a buffer with room to read into, found one without";
        Self::new(io::Error::new(io::ErrorKind::InvalidInput, text), buf)
    }

    /// The same error with another buffer made from this one.
    pub(crate) fn map<C>(self, change: impl FnOnce(B) -> C) -> BufError<C> {
        BufError {
            error: self.error,
            buf: change(self.buf),
        }
    }
}

impl<B> From<BufError<B>> for io::Error {
    fn from(error: BufError<B>) -> Self {
        error.error
    }
}

impl<B> fmt::Display for BufError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// Writes the text, which is what a `main` that returns the error prints; `{:#?}` has the error.
impl<B> fmt::Debug for BufError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        f.debug_struct("BufError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<B> std::error::Error for BufError<B> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
