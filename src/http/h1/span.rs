//! A place in a head.

use std::ops::Range;

use super::rules::HEAD_BYTES_LIMIT;

/// A range of bytes in a head, in four bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// The `len` bytes from `start` on, within the limit of a head.
    #[inline]
    pub(super) fn new(start: usize, len: usize) -> Self {
        debug_assert!(start + len <= HEAD_BYTES_LIMIT);
        Self {
            start: start as u16,
            end: (start + len) as u16,
        }
    }

    /// The bytes from `start` up to `end`.
    #[inline]
    pub(super) fn between(start: usize, end: usize) -> Self {
        Self::new(start, end - start)
    }

    /// Moves it as far as it is from `from` to `to`, within the limit of a head.
    #[inline]
    pub(super) fn shift(&mut self, from: usize, to: usize) {
        let by = (to as u16).wrapping_sub(from as u16);
        self.start = self.start.wrapping_add(by);
        self.end = self.end.wrapping_add(by);
    }

    /// Returns the length of the span in bytes.
    #[inline]
    pub(super) fn len(self) -> usize {
        usize::from(self.end - self.start)
    }

    /// The same as a range.
    #[inline]
    pub(super) fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    /// The bytes in this place of `bytes`.
    #[inline]
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.range()]
    }
}
