//! [`Closed`]: the error of waiting for what cannot come any more.

use std::{error::Error, fmt};

/// The channel or the semaphore was closed, or the other side of the channel was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel or semaphore is closed")
    }
}

impl Error for Closed {}
