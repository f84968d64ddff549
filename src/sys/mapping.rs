//! Anonymous pages, for memory whose address the kernel keeps.

use std::{io, ptr::NonNull};

/// Zeroed pages, unmapped when dropped.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// A mapping of so many bytes. A forked child finds the first `own_bytes` of them, whole pages,
    /// zeroed, and a copy of the rest.
    pub(crate) fn new(bytes: usize, own_bytes: usize) -> io::Result<Self> {
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches no
        // other memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // The kernel keeps pages that it has locked, and not their addresses. A fork would make
        // them copy-on-write, and the copy that the kernel reads could become the child's. They are
        // not kept from the child altogether, because it may write there when it drops what it has
        // inherited. A failure leaves the default, which only a fork would notice. SAFETY: the
        // range is a part of the one just mapped.
        let _ = unsafe { libc::madvise(start, own_bytes, libc::MADV_WIPEONFORK) };
        let start = NonNull::new(start.cast::<u8>()).expect("the kernel never maps address zero");
        Ok(Self { start, bytes })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new`, and its owner took back every part that it had
        // lent out.
        let _ = unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapping")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
