//! Parts of buffers.

use std::ops::{Bound, RangeBounds};

use super::{IoBuf, IoBufMut};

/// A range of a buffer's initialized bytes, to be written out. Made by [`IoBuf::slice`].
#[derive(Debug)]
pub struct Slice<B> {
    buf: B,
    start: usize,
    end: usize,
}

impl<B: IoBuf> Slice<B> {
    pub(super) fn new(buf: B, range: impl RangeBounds<usize>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => buf.len(),
        };
        assert!(
            start <= end && end <= buf.len(),
            "expected a range within the buffer's {} bytes, found {start}..{end}",
            buf.len()
        );
        Self { buf, start, end }
    }

    /// Returns the whole buffer.
    pub fn into_inner(self) -> B {
        self.buf
    }
}

// SAFETY: the range was inside the buffer when this was made, and nothing could shorten the
// buffer since: it is private and only read.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn as_ptr(&self) -> *const u8 {
        self.buf.as_ptr().wrapping_add(self.start)
    }

    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// A buffer's room from an index on, to be read into. Made by [`IoBufMut::slice_mut`].
#[derive(Debug)]
pub struct SliceMut<B> {
    buf: B,
    start: usize,
}

impl<B: IoBufMut> SliceMut<B> {
    pub(super) fn new(buf: B, start: usize) -> Self {
        assert!(
            start <= buf.len(),
            "expected a start within the buffer's {} bytes, found {start}",
            buf.len()
        );
        Self { buf, start }
    }

    /// Returns the whole buffer.
    pub fn into_inner(self) -> B {
        self.buf
    }
}

// SAFETY: the start is within the initialized bytes, which `set_len` below never goes under.
unsafe impl<B: IoBufMut> IoBuf for SliceMut<B> {
    fn as_ptr(&self) -> *const u8 {
        self.buf.as_ptr().wrapping_add(self.start)
    }

    fn len(&self) -> usize {
        self.buf.len() - self.start
    }
}

// SAFETY: as above; the capacity from the start on is the inner buffer's.
unsafe impl<B: IoBufMut> IoBufMut for SliceMut<B> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.buf.as_mut_ptr().wrapping_add(self.start)
    }

    fn capacity(&self) -> usize {
        self.buf.capacity() - self.start
    }

    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the bytes before the start are initialized, and `len` more as the caller says.
        unsafe { self.buf.set_len(self.start + len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::io_buf::{bytes_of, fill};

    #[test]
    fn a_slice_shows_its_range_only() {
        let slice = vec![1_u8, 2, 3, 4].slice(1..3);
        assert_eq!(bytes_of(&slice), [2, 3]);
        assert_eq!(slice.into_inner(), [1, 2, 3, 4]);
        assert_eq!(bytes_of(&"text".slice(..=1)), b"te");
        assert!("text".slice(4..).is_empty());
    }

    #[test]
    #[should_panic(expected = "within the buffer's 4 bytes")]
    fn a_slice_beyond_the_end_is_a_panic() {
        let _ = "text".slice(2..5);
    }

    #[test]
    fn reading_into_a_slice_keeps_what_stands_before_it() {
        let mut buf = Vec::with_capacity(8);
        buf.extend_from_slice(b"head");
        let mut slice = buf.slice_mut(4);
        assert_eq!(fill(&mut slice, b"tail"), 4);
        assert_eq!(slice.into_inner(), b"headtail");
    }
}
