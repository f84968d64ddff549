//! [`RecvError`] and [`TryRecvError`]: why a receiver has no next value.

use std::{error::Error, fmt};

/// The reason why a receiver did not get the next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// The receiver was slow and has missed this many values. The next call returns the oldest that
    /// is left.
    Lagged(u64),
    /// All senders were dropped and no value is left.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Lagged(count) => {
                write!(f, "expected the next value, found that {count} were missed")
            }
            RecvError::Closed => f.write_str("expected a value, found a closed and empty channel"),
        }
    }
}

impl Error for RecvError {}

/// The reason why a receiver had no value at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing was sent yet, but it may be.
    Empty,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// All senders were dropped and no value is left.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("expected a value, found an empty channel"),
            TryRecvError::Lagged(count) => RecvError::Lagged(*count).fmt(f),
            TryRecvError::Closed => RecvError::Closed.fmt(f),
        }
    }
}

impl Error for TryRecvError {}
