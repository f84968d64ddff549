//! [`Room`]: memory that a caller lends for one poll.

#[cfg(feature = "hyper")]
mod hyper;
#[cfg(any(feature = "http2", feature = "tokio-io"))]
mod tokio;

use std::{cell::Cell, fmt, mem::MaybeUninit, ptr, slice};

#[cfg(feature = "hyper")]
pub(crate) use hyper::lend_cursor;
#[cfg(any(feature = "http2", feature = "tokio-io"))]
pub(crate) use tokio::lend_read_buf;

/// Memory that a caller lends for one call, to be filled from its start.
///
/// A poll that returns `Pending` has no hold on its caller's memory any more, so nothing can be
/// received into it in the background. A `Room` is for the part of a receive that happens during
/// the poll: see [`ByteRead::poll_recv_into`](crate::io::ByteRead::poll_recv_into). It counts the
/// bytes that are put there, and the memory need not be initialized.
///
/// # Examples
///
/// ```
/// use annulus::buf::Room;
///
/// let mut memory = [0; 8];
/// let (taken, filled) = Room::lend(&mut memory, |room| {
///     room.put(b"hello");
///     room.put(b" world") // as much as there is room for
/// });
/// assert_eq!((taken, filled), (3, 8));
/// assert_eq!(&memory, b"hello wo");
/// ```
pub struct Room<'a> {
    memory: &'a mut [MaybeUninit<u8>],
    /// Invariant: so many bytes from the start of `memory` are initialized. It stands outside of
    /// this value and belongs to its memory, since a callee may exchange one `Room` for another.
    filled: &'a Cell<usize>,
}

impl Room<'_> {
    /// Lends `memory` to `call`, and returns the result of `call` with the number of bytes that it
    /// has put at the start of `memory`.
    pub fn lend<T>(memory: &mut [u8], call: impl FnOnce(&mut Room<'_>) -> T) -> (T, usize) {
        let (start, len) = (memory.as_mut_ptr(), memory.len());
        // SAFETY: the same memory, mutably borrowed for as long. A `Room` gives no access to it by
        // which uninitialized bytes could be written.
        Self::lend_uninit(
            unsafe { slice::from_raw_parts_mut(start.cast(), len) },
            call,
        )
    }

    /// Lends `memory`, which need not be initialized, to `call`, and returns the result of `call`
    /// with the number of bytes that it has put at the start of `memory`. Those are initialized
    /// then.
    pub fn lend_uninit<T>(
        memory: &mut [MaybeUninit<u8>],
        call: impl FnOnce(&mut Room<'_>) -> T,
    ) -> (T, usize) {
        let filled = Cell::new(0);
        let result = call(&mut Room {
            memory,
            filled: &filled,
        });
        (result, filled.get())
    }

    /// Returns the number of bytes that there is room for.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.memory.len() - self.filled.get()
    }

    /// Copies as many of `bytes` as there is room for, and returns how many.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.remaining());
        // SAFETY: there is room for that many bytes, and memory that is borrowed mutably does not
        // overlap `bytes`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.as_mut_ptr(), count) };
        // SAFETY: they were just written.
        unsafe { self.advance(count) };
        count
    }

    /// The address of the room: `remaining` bytes can be written from there.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.memory[self.filled.get()..].as_mut_ptr().cast()
    }

    /// Counts bytes that were written at `as_mut_ptr`.
    ///
    /// # Safety
    ///
    /// `count` bytes were, and there was room for them.
    pub(crate) unsafe fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.remaining(), "there was room for the bytes");
        self.filled.set(self.filled.get() + count);
    }
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_put_one_behind_the_other_until_it_is_full() {
        let mut memory = [const { MaybeUninit::uninit() }; 4];
        let (counts, filled) = Room::lend_uninit(&mut memory, |room| {
            (
                room.put(b"abc"),
                room.put(b""),
                room.put(b"def"),
                room.put(b"g"),
            )
        });
        assert_eq!((counts, filled), ((3, 0, 1, 0), 4));
        // SAFETY: four bytes were put there.
        let memory = memory.map(|byte| unsafe { byte.assume_init() });
        assert_eq!(&memory, b"abcd");
    }

    #[test]
    fn the_count_stays_with_its_memory() {
        let (mut outer, mut inner) = ([0; 4], [0; 4]);
        let ((_, inner_filled), outer_filled) = Room::lend(&mut outer, |outer| {
            Room::lend(&mut inner, |inner| {
                outer.put(b"ab");
                inner.put(b"c");
            })
        });
        assert_eq!((outer_filled, inner_filled), (2, 1));
        assert_eq!((&outer, &inner), (b"ab\0\0", b"c\0\0\0"));
    }

    #[test]
    fn no_memory_is_a_room_for_nothing() {
        let (count, filled) = Room::lend(&mut [], |room| room.put(b"abc"));
        assert_eq!((count, filled), (0, 0));
    }
}
