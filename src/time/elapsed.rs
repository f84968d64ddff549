//! [`Elapsed`]: the error of a timeout.

use std::{error::Error, fmt, io};

/// The deadline of a [`timeout`](super::timeout()) passed before its future was ready.
///
/// It turns into an [`io::Error`] of the kind [`TimedOut`](io::ErrorKind::TimedOut), so that
/// `timeout(duration, stream.recv()).await??` works in a function that returns one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Elapsed {
    /// Keeps the literal for this crate.
    pub(super) _private: (),
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed before the operation was done")
    }
}

/// Writes the text, which is what a `main` that returns the error prints.
impl fmt::Debug for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
