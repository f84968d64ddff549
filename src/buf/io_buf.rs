//! The buffer traits and the types of others that are buffers.

use std::{rc::Rc, sync::Arc};

use bytes::{Bytes, BytesMut};

/// A buffer that the kernel can read from, for sends and writes.
///
/// # Safety
///
/// While a value is alive and not accessed otherwise, `as_ptr` gives the same address however
/// often the value is moved, and `len` bytes from there are initialized and readable. Arrays are
/// therefore no buffers: their bytes move with them.
///
/// # Examples
///
/// A buffer goes into a write and comes back from it. A part of one is a buffer, too:
///
/// ```
/// use annulus::{buf::IoBuf, net::UnixStream};
///
/// annulus::run(async {
///     let (near, far) = UnixStream::pair()?;
///     let text = near.write_all(String::from("hello ")).await?;
///     assert_eq!(text, "hello "); // to be used again
///     let part = near.write_all(vec![b'w', b'o', b'r', b'l', b'd', 0, 0].slice(..5)).await?;
///     assert_eq!(part.into_inner().len(), 7);
///     near.write_all("!").await?; // static data comes back, too
///     assert_eq!(&*far.recv().await?, b"hello world!");
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a buffer that the kernel can read from",
    label = "not an owned buffer",
    note = "the kernel may use it after the future is dropped, so give the buffer itself, such as \
            a `Vec<u8>`, `String` or `Bytes`, or static data; it comes back with the result: `let \
            buf = stream.write_all(buf).await?`"
)]
pub unsafe trait IoBuf: 'static {
    /// The address of the first byte.
    fn as_ptr(&self) -> *const u8;

    /// The number of initialized bytes.
    fn len(&self) -> usize;

    /// Whether there is nothing to write.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of `range` only; out of range is a panic.
    fn slice(self, range: impl std::ops::RangeBounds<usize>) -> super::Slice<Self>
    where
        Self: Sized,
    {
        super::Slice::new(self, range)
    }
}

/// A buffer that the kernel can write to, for receives and reads.
///
/// # Safety
///
/// As [`IoBuf`], for `capacity` writable bytes from `as_mut_ptr`, of which the first `len` are
/// initialized. Nothing else reads or writes them while the value is not accessed.
///
/// # Examples
///
/// A buffer goes into a read and comes back with the count, on failure as well:
///
/// ```
/// use annulus::net::UnixStream;
///
/// annulus::run(async {
///     let (near, far) = UnixStream::pair()?;
///     near.write_all("hello").await?;
///     let (count, buf) = far.read(Vec::with_capacity(1024)).await?;
///     assert_eq!((count, &*buf), (5, &b"hello"[..]));
///
///     near.write_all("again").await?;
///     match far.read(buf).await {
///         Ok((_count, buf)) => assert_eq!(buf, b"again"),
///         Err(failed) => eprintln!("{failed}; a buffer of {} bytes", failed.buf.capacity()),
///     }
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a buffer that the kernel can write to",
    label = "not an owned buffer",
    note = "the kernel may use it after the future is dropped, so give the buffer itself; it comes \
            back with the count: `let (count, buf) = stream.read(vec![0; 1024]).await?`",
    note = "`recv` needs no buffer: it returns memory that the kernel has filled"
)]
pub unsafe trait IoBufMut: IoBuf {
    /// The address of the first byte.
    fn as_mut_ptr(&mut self) -> *mut u8;

    /// The number of bytes that can be written, initialized or not.
    fn capacity(&self) -> usize;

    /// Says that the first `len` bytes are initialized and are what the buffer holds.
    ///
    /// # Safety
    ///
    /// `len` is at most `capacity`, and that many bytes are initialized.
    unsafe fn set_len(&mut self, len: usize);

    /// The room between `start` and the capacity, to be read into; beyond it is a panic.
    fn slice_mut(self, start: usize) -> super::SliceMut<Self>
    where
        Self: Sized,
    {
        super::SliceMut::new(self, start)
    }
}

// SAFETY: the bytes are on the heap and move with a reallocation only, which needs an access.
unsafe impl IoBuf for Vec<u8> {
    fn as_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; the vector owns its whole capacity.
unsafe impl IoBufMut for Vec<u8> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: as the caller promises.
        unsafe { self.set_len(len) }
    }
}

// SAFETY: the bytes are on the heap and never move.
unsafe impl IoBuf for Box<[u8]> {
    fn as_ptr(&self) -> *const u8 {
        self.as_ref().as_ptr()
    }

    fn len(&self) -> usize {
        self.as_ref().len()
    }
}

// SAFETY: as above; every byte of a slice is initialized, so its length never changes.
unsafe impl IoBufMut for Box<[u8]> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut().as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.as_ref().len()
    }

    unsafe fn set_len(&mut self, _len: usize) {}
}

// SAFETY: the bytes are on the heap and move with a reallocation only, which needs an access.
unsafe impl IoBuf for String {
    fn as_ptr(&self) -> *const u8 {
        self.as_str().as_ptr()
    }

    fn len(&self) -> usize {
        self.len()
    }
}

// SAFETY: static memory stays where it is and is never written.
unsafe impl IoBuf for &'static [u8] {
    fn as_ptr(&self) -> *const u8 {
        (**self).as_ptr()
    }

    fn len(&self) -> usize {
        (**self).len()
    }
}

// SAFETY: as above.
unsafe impl IoBuf for &'static str {
    fn as_ptr(&self) -> *const u8 {
        (**self).as_ptr()
    }

    fn len(&self) -> usize {
        (**self).len()
    }
}

// SAFETY: as above.
unsafe impl<const N: usize> IoBuf for &'static [u8; N] {
    fn as_ptr(&self) -> *const u8 {
        (**self).as_ptr()
    }

    fn len(&self) -> usize {
        N
    }
}

// SAFETY: the bytes are in the shared allocation, which outlives this owner of it; they can be
// changed only through an owner that is alone, and this one exists.
unsafe impl IoBuf for Rc<[u8]> {
    fn as_ptr(&self) -> *const u8 {
        self.as_ref().as_ptr()
    }

    fn len(&self) -> usize {
        self.as_ref().len()
    }
}

// SAFETY: as above.
unsafe impl IoBuf for Arc<[u8]> {
    fn as_ptr(&self) -> *const u8 {
        self.as_ref().as_ptr()
    }

    fn len(&self) -> usize {
        self.as_ref().len()
    }
}

// SAFETY: the bytes are in shared or static memory, never inside the value, and never change.
unsafe impl IoBuf for Bytes {
    fn as_ptr(&self) -> *const u8 {
        self.as_ref().as_ptr()
    }

    fn len(&self) -> usize {
        self.len()
    }
}

// SAFETY: the bytes are on the heap and move with a reallocation only, which needs an access.
unsafe impl IoBuf for BytesMut {
    fn as_ptr(&self) -> *const u8 {
        self.as_ref().as_ptr()
    }

    fn len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; the value owns its whole capacity.
unsafe impl IoBufMut for BytesMut {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        // The pointer of a slice is good for that slice only, and this one has to be good for the
        // whole capacity: so it comes from the room of a value that holds nothing.
        let len = BytesMut::len(self);
        // SAFETY: no bytes are always initialized.
        unsafe { BytesMut::set_len(self, 0) };
        let start = self.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: that many bytes were initialized before, and nothing was written since.
        unsafe { BytesMut::set_len(self, len) };
        start
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: as the caller promises.
        unsafe { self.set_len(len) }
    }
}

/// The initialized bytes of a buffer that no operation uses at the moment.
pub(crate) fn bytes_of<B: IoBuf>(buf: &B) -> &[u8] {
    if buf.is_empty() {
        return &[];
    }
    // SAFETY: the trait's contract: `len` readable bytes at `as_ptr`, which stay as they are while
    // the buffer is borrowed.
    unsafe { std::slice::from_raw_parts(buf.as_ptr(), buf.len()) }
}

/// Overwrites the buffer's start with as much of `bytes` as fits, and sets its length.
pub(crate) fn fill<B: IoBufMut>(buf: &mut B, bytes: &[u8]) -> usize {
    let count = bytes.len().min(buf.capacity());
    // SAFETY: the trait's contract: `capacity` writable bytes; a buffer that is borrowed mutably
    // does not overlap `bytes`.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buf.as_mut_ptr(), count) };
    // SAFETY: that many bytes were just written.
    unsafe { buf.set_len(count) };
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_is_stable<B: IoBuf>(buf: B) {
        let before = buf.as_ptr();
        let moved = Box::new(buf);
        assert_eq!(before, moved.as_ptr());
        assert_eq!(bytes_of(&*moved).len(), IoBuf::len(&*moved));
    }

    #[test]
    fn the_address_stays_when_the_buffer_moves() {
        address_is_stable(vec![1_u8, 2, 3]);
        address_is_stable(vec![1_u8].into_boxed_slice());
        address_is_stable(String::from("text"));
        address_is_stable("static");
        address_is_stable(b"array");
        address_is_stable(Rc::<[u8]>::from(&b"rc"[..]));
        address_is_stable(Arc::<[u8]>::from(&b"arc"[..]));
        address_is_stable(Bytes::from_static(b"bytes"));
        address_is_stable(BytesMut::from(&b"bytes"[..]));
        address_is_stable(vec![1_u8, 2, 3].slice(1..));
        address_is_stable(Vec::<u8>::new());
    }

    #[test]
    fn the_address_of_bytes_to_fill_is_that_of_the_bytes_they_hold() {
        for held in [&b""[..], b"held"] {
            let mut buf = BytesMut::with_capacity(16);
            buf.extend_from_slice(held);
            assert_eq!(IoBufMut::as_mut_ptr(&mut buf).cast_const(), buf.as_ptr());
            assert_eq!(buf, held);
            assert_eq!(fill(&mut buf, b"longer than before"), 16);
            assert_eq!(&buf[..], b"longer than befo");
        }
    }

    #[test]
    fn filling_overwrites_and_sets_the_length() {
        let mut buf = Vec::with_capacity(4);
        buf.extend_from_slice(b"xyz");
        let capacity = buf.capacity();
        assert_eq!(fill(&mut buf, b"ab"), 2);
        assert_eq!(buf, b"ab");
        assert_eq!(fill(&mut buf, &[7; 100]), capacity);
        assert_eq!(buf.len(), capacity);
    }
}
