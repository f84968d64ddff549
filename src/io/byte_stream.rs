//! What any stream of bytes can do.

use std::{
    io,
    task::{Context, Poll},
};

/// A connection of any kind: what HTTP can be served on besides the sockets of this crate.
///
/// Both directions are independent of each other, and each has one user at a time.
pub trait ByteStream: 'static {
    /// Appends what is there to `buf`, and returns how much that was; 0 is the end of the stream.
    ///
    /// It should use the capacity that `buf` has, and may grow it.
    ///
    /// # Errors
    ///
    /// What the transport reports.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>>;

    /// Takes the first bytes of `bytes`, and returns how many; not 0 unless there were none.
    ///
    /// # Errors
    ///
    /// What the transport reports. Nothing was taken then.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Waits until what was taken is on its way.
    ///
    /// # Errors
    ///
    /// What the transport reports.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the sending direction, behind everything that was taken. The other goes on.
    ///
    /// # Errors
    ///
    /// What the transport reports.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}
