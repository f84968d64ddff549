//! [`TryRecvError`]: why there is nothing to receive at once.

use std::{error::Error, fmt};

/// The reason why a channel had no value to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing was sent yet, but it may be.
    Empty,
    /// Nothing is left and nothing will be sent any more.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "expected a value, found an empty channel",
            TryRecvError::Closed => "expected a value, found a closed and empty channel",
        })
    }
}

impl Error for TryRecvError {}
