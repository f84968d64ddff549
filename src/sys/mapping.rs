//! Anonymous memory of our own pages, for what the kernel keeps an address of.

use std::{io, ptr::NonNull};

/// Zeroed pages that a forked child does not see, unmapped when dropped.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
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
        // A fork would make these pages copy-on-write, and the kernel would go on writing to the
        // copy that the child got. A failure leaves the default, which only a fork would notice.
        // SAFETY: the range is the one just mapped.
        let _ = unsafe { libc::madvise(start, bytes, libc::MADV_DONTFORK) };
        let start = NonNull::new(start.cast::<u8>()).expect("the kernel never maps address zero");
        Ok(Self { start, bytes })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new`, and whoever lent it out took it back.
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
