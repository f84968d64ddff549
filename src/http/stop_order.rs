//! What orders a stop.

use std::io;

/// What a future that orders a stop may resolve to: nothing, or whether it could wait at all, as the
/// futures of [`signal`](crate::signal) do.
pub trait StopOrder {
    /// The order, or why it will never come.
    fn into_result(self) -> io::Result<()>;
}

impl StopOrder for () {
    fn into_result(self) -> io::Result<()> {
        Ok(())
    }
}

impl StopOrder for io::Result<()> {
    fn into_result(self) -> io::Result<()> {
        self
    }
}
