//! The allocator's memory.

/// Asks the allocator to give free pages back to the system. It walks through all of its memory, so
/// it is for moments in which there is little else to do.
///
/// Allocators other than the C library's do so by themselves, or not at all.
pub(crate) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    heap::give_back();
}

/// The C library's heaps.
///
/// `malloc_trim` gives back the free pages between the blocks of all heaps, and the free end of the
/// main thread's heap. The free end of another thread's heap stays in memory, up to a threshold:
/// twice the size of the largest block that was mapped by itself and freed, and at most 64 MiB. So
/// a server that has sent one answer of 4 MiB may keep 8 MiB a worker for good. For the time of
/// this call a block at the end of this thread's heap makes the free end a gap between blocks.
#[cfg(target_env = "gnu")]
mod heap {
    use std::ffi::c_void;

    /// Below the size from which the C library maps each block by itself.
    const PIECE_BYTES: usize = 120 * 1024;
    /// As much as the largest heap of a thread.
    const PIECES_MAX: usize = 64 * 1024 * 1024 / PIECE_BYTES;
    /// Pieces in a row without a page: after so many nothing is to be given back.
    const ABSENT_MAX: usize = 32;
    const PAGE_BYTES: usize = 4096;

    pub(super) fn give_back() {
        let mut pieces = Vec::with_capacity(PIECES_MAX);
        let mut absent = 0;
        while pieces.len() < PIECES_MAX && absent < ABSENT_MAX {
            // SAFETY: any size may be asked for; the block is freed below and nowhere else.
            let piece = unsafe { libc::malloc(PIECE_BYTES) };
            if piece.is_null() {
                break;
            }
            pieces.push(piece);
            absent = if is_resident(piece.cast(), PIECE_BYTES) {
                0
            } else {
                absent + 1
            };
        }
        // The last one keeps the others from being the heap's end.
        let last = pieces.pop();
        pieces.into_iter().for_each(free);
        // SAFETY: the call touches free memory only, under the allocator's own locks.
        unsafe {
            libc::malloc_trim(0);
        }
        last.into_iter().for_each(free);
    }

    fn free(piece: *mut c_void) {
        // SAFETY: it is a block of `malloc`'s that is freed once.
        unsafe { libc::free(piece) };
    }

    /// Whether any page inside of these bytes is in memory. Where pages are larger than
    /// `PAGE_BYTES` the kernel refuses the question unless it happens to be aligned, and the answer
    /// is no.
    pub(super) fn is_resident(start: *const u8, len: usize) -> bool {
        let inside = start.align_offset(PAGE_BYTES);
        let pages = len.saturating_sub(inside) / PAGE_BYTES;
        let mut states = [0; PIECE_BYTES / PAGE_BYTES];
        let pages = pages.min(states.len());
        let first = start.wrapping_add(inside).cast_mut().cast();
        // SAFETY: the kernel writes a byte for each page, of which there are no more than states.
        let result = unsafe { libc::mincore(first, pages * PAGE_BYTES, states.as_mut_ptr()) };
        result == 0 && states[..pages].iter().any(|state| state & 1 == 1)
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use std::{env, process::Command};

    use super::*;

    #[test]
    fn the_free_end_of_a_threads_heap_is_given_back() {
        // In a process of its own: the C library lets many threads share a heap, and a block of
        // another test at its end keeps all before it.
        const CHILD: &str = "ANNULUS_TEST_HEAP";
        const BLOCK_BYTES: usize = 100 * 1024;
        if env::var_os(CHILD).is_none() {
            let path = concat!(
                module_path!(),
                "::the_free_end_of_a_threads_heap_is_given_back"
            );
            let (_crate, this_test) = path.split_once("::").unwrap();
            let mut child = Command::new(env::current_exe().unwrap());
            let output = child.args([this_test, "--exact"]).env(CHILD, "1").output();
            let output = output.unwrap();
            assert!(output.status.success(), "{output:?}");
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(told.contains("1 passed"), "{told}");
            return;
        }
        let resident = std::thread::spawn(|| {
            // A block that was mapped by itself raises the threshold up to which an end is kept.
            drop(vec![1_u8; 16 << 20]);
            let blocks: Vec<Vec<u8>> = (0..80).map(|_| vec![1; BLOCK_BYTES]).collect();
            let starts: Vec<usize> = blocks.iter().map(|block| block.as_ptr() as usize).collect();
            drop(blocks);
            let count = || {
                let is_here = |start: &&usize| heap::is_resident(**start as *const u8, BLOCK_BYTES);
                starts.iter().filter(is_here).count()
            };
            let before = count();
            give_back_memory();
            (before, count())
        });
        let (before, after) = resident.join().unwrap();
        assert!(before > 70, "the allocator keeps {before} blocks of 80");
        assert!(after < 10, "{after} blocks of 80 are still in memory");
    }
}
