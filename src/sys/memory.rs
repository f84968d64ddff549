//! The allocator's memory.

/// Asks the allocator to give free pages back to the system. It walks through all of its memory, so
/// it is for moments in which there is little else to do.
///
/// Allocators other than the C library's do so by themselves, or not at all.
pub(crate) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call touches free memory only, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
