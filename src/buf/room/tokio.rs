//! The unfilled part of tokio's `ReadBuf` as a [`Room`].

use tokio::io::ReadBuf;

use super::Room;

/// Lends the unfilled part of `buf` to `call`. The bytes that `call` puts there count as filled.
pub(crate) fn lend_read_buf<T>(buf: &mut ReadBuf<'_>, call: impl FnOnce(&mut Room<'_>) -> T) -> T {
    // SAFETY: a `Room` writes initialized bytes alone.
    let unfilled = unsafe { buf.unfilled_mut() };
    let (result, count) = Room::lend_uninit(unfilled, call);
    // SAFETY: so many bytes of the unfilled part, from its start, were initialized.
    unsafe { buf.assume_init(count) };
    buf.advance(count);
    result
}
