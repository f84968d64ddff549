//! Received bytes, in memory that the kernel filled.

use std::{fmt, ops, rc::Rc};

use bytes::Bytes;

use super::Pool;
use crate::buf::{IoBuf, IoBufMut};

/// Received bytes. Dropping the value hands its memory back to the kernel.
///
/// It reads as a slice, and a write takes it as it is, so bytes can be sent on from where they
/// arrived. There are only a few hundred of these in a runtime, and each that is kept is one that
/// the kernel lacks: keep bytes for long as a `Vec`, by [`to_vec`](slice::to_vec) or
/// [`into_vec`](Self::into_vec). When they run out, receives go on with memory of their own.
pub struct ManagedBuf {
    memory: Memory,
    start: u32,
    /// Where the bytes end.
    end: u32,
}

enum Memory {
    /// Invariant: this value alone holds buffer `id` of the pool.
    Pool(Rc<Pool>, u16),
    Own(Vec<u8>),
}

impl ManagedBuf {
    pub(super) fn pooled(pool: Rc<Pool>, id: u16, len: u32) -> Self {
        Self {
            memory: Memory::Pool(pool, id),
            start: 0,
            end: len,
        }
    }

    /// A buffer in memory of its own, holding what the vector holds.
    pub(crate) fn own(bytes: Vec<u8>) -> Self {
        let end = u32::try_from(bytes.len()).expect("a buffer holds less than 4 GiB");
        Self {
            memory: Memory::Own(bytes),
            start: 0,
            end,
        }
    }

    /// Whether the bytes are in memory of their own, and not in one of the pool's buffers.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.memory, Memory::Own(_))
    }

    /// No bytes, and no memory: the end of a stream.
    pub(crate) fn empty() -> Self {
        Self::own(Vec::new())
    }

    /// Drops the first `count` bytes.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(
            count <= self.len(),
            "expected at most {} bytes, found {count}",
            self.len()
        );
        self.start += count as u32;
    }

    /// Drops all but the first `len` bytes. A larger `len` changes nothing.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.end = self.start + len as u32;
        }
    }

    /// The bytes as a vector: copied, unless they are in memory of their own already.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        match &mut self.memory {
            Memory::Own(bytes) if self.start == 0 => {
                let mut bytes = std::mem::take(bytes);
                bytes.truncate(self.end as usize);
                self.end = 0;
                bytes
            }
            _ => self.to_vec(),
        }
    }

    /// The number of its bytes, which takes no look at where they are.
    #[inline]
    pub(crate) fn byte_count(&self) -> usize {
        (self.end - self.start) as usize
    }

    fn base(&self) -> *const u8 {
        match &self.memory {
            Memory::Pool(pool, id) => pool.buffer(*id),
            Memory::Own(bytes) => bytes.as_ptr(),
        }
    }
}

impl Drop for ManagedBuf {
    fn drop(&mut self) {
        if let Memory::Pool(pool, id) = &self.memory {
            pool.give(*id);
        }
    }
}

impl ops::Deref for ManagedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.base().wrapping_add(self.start as usize);
        // SAFETY: the memory up to `end` is initialized, and this value's alone.
        unsafe { std::slice::from_raw_parts(start, (self.end - self.start) as usize) }
    }
}

impl ops::DerefMut for ManagedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let base = match &mut self.memory {
            Memory::Pool(pool, id) => pool.buffer(*id),
            Memory::Own(bytes) => bytes.as_mut_ptr(),
        };
        let start = base.wrapping_add(self.start as usize);
        // SAFETY: as above, and the value is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start, (self.end - self.start) as usize) }
    }
}

/// The vector's bytes, in the memory that they are in: what a source of one's own gives.
///
/// # Panics
///
/// For 4 GiB or more.
impl From<Vec<u8>> for ManagedBuf {
    fn from(bytes: Vec<u8>) -> Self {
        Self::own(bytes)
    }
}

/// Copied, unless they are in memory of their own already: what is kept for a while must not keep
/// one of the few buffers that the kernel receives into.
impl From<ManagedBuf> for Bytes {
    fn from(mut buf: ManagedBuf) -> Self {
        let range = buf.start as usize..buf.end as usize;
        match &mut buf.memory {
            Memory::Own(bytes) => {
                let bytes = std::mem::take(bytes);
                (buf.start, buf.end) = (0, 0);
                Self::slice(&Self::from(bytes), range)
            }
            Memory::Pool(..) => Self::copy_from_slice(&buf),
        }
    }
}

impl AsRef<[u8]> for ManagedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for ManagedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

// SAFETY: the bytes are in the pool's mapping or on the heap, and this value owns them: nothing
// moves or changes them while it is not accessed.
unsafe impl IoBuf for ManagedBuf {
    fn as_ptr(&self) -> *const u8 {
        self.base().wrapping_add(self.start as usize)
    }

    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

// SAFETY: as above; the capacity is the buffer's size, or the vector's capacity, from the start on.
unsafe impl IoBufMut for ManagedBuf {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        let base = match &mut self.memory {
            Memory::Pool(pool, id) => pool.buffer(*id),
            Memory::Own(bytes) => bytes.as_mut_ptr(),
        };
        base.wrapping_add(self.start as usize)
    }

    fn capacity(&self) -> usize {
        let capacity = match &self.memory {
            Memory::Pool(pool, _) => pool.buffer_bytes(),
            Memory::Own(bytes) => bytes.capacity(),
        };
        capacity.min(u32::MAX as usize) - self.start as usize
    }

    unsafe fn set_len(&mut self, len: usize) {
        self.end = self.start + len as u32;
        if let Memory::Own(bytes) = &mut self.memory {
            // SAFETY: as the caller promises, counted from the start of the memory.
            unsafe { bytes.set_len(self.end as usize) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_the_memory_whose_beginning_was_dropped() {
        let bytes = b"header, payload, rest".to_vec();
        let address = bytes.as_ptr();
        let mut buf = ManagedBuf::own(bytes);
        buf.advance(8);
        buf.truncate(7);
        let bytes = Bytes::from(buf);
        assert_eq!(bytes, "payload");
        assert_eq!(bytes.as_ptr(), address.wrapping_add(8));
    }
}
