//! The memory of hyper's `ReadBufCursor` as a [`Room`].

use hyper::rt::ReadBufCursor;

use super::Room;

/// Lends the memory of `cursor` to `call`. The bytes that `call` puts there count as filled.
pub(crate) fn lend_cursor<T>(
    mut cursor: ReadBufCursor<'_>,
    call: impl FnOnce(&mut Room<'_>) -> T,
) -> T {
    // SAFETY: a `Room` writes initialized bytes alone.
    let unfilled = unsafe { cursor.as_mut() };
    let (result, count) = Room::lend_uninit(unfilled, call);
    // SAFETY: so many bytes of the memory, from its start, were initialized.
    unsafe { cursor.advance(count) };
    result
}
