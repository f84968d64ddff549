//! An allocator that keeps freed memory and looks whether it is written to, for suites that make it
//! theirs by `#[global_allocator]`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const PATTERN: u8 = 0xa5;

/// How long a block is kept.
const KEPT: Duration = Duration::from_millis(50);

/// How many blocks are kept at most; the oldest one goes when there are more.
const BLOCKS_MAX: usize = 1 << 16;

#[derive(Clone, Copy)]
struct Block {
    /// As a number, since the list is shared by threads.
    address: usize,
    layout: Layout,
    freed: Instant,
}

/// A ring of blocks that allocates nothing itself.
struct Quarantine {
    blocks: [Option<Block>; BLOCKS_MAX],
    first: usize,
    count: usize,
    written: usize,
}

static QUARANTINE: Mutex<Quarantine> = Mutex::new(Quarantine {
    blocks: [None; BLOCKS_MAX],
    first: 0,
    count: 0,
    written: 0,
});

pub(crate) static IS_ON: AtomicBool = AtomicBool::new(false);

impl Quarantine {
    fn push(&mut self, block: Block) {
        if self.count == BLOCKS_MAX {
            self.pop();
        }
        self.blocks[(self.first + self.count) % BLOCKS_MAX] = Some(block);
        self.count += 1;
    }

    /// Looks at the oldest block and frees it.
    fn pop(&mut self) {
        let Some(block) = self.blocks[self.first].take() else {
            return;
        };
        self.first = (self.first + 1) % BLOCKS_MAX;
        self.count -= 1;
        let address = block.address as *mut u8;
        for index in 0..block.layout.size() {
            // SAFETY: the block is allocated, and was filled to its end when it came here. The
            // read is volatile, because the kernel may write to it: that is what is looked for.
            let byte = unsafe { address.wrapping_add(index).read_volatile() };
            if byte != PATTERN {
                self.written += 1;
                break;
            }
        }
        // SAFETY: the block's owner has freed it, and it left the list above.
        unsafe { System.dealloc(address, block.layout) };
    }

    fn pop_old(&mut self, now: Instant) {
        while let Some(block) = self.blocks[self.first] {
            if now.saturating_duration_since(block.freed) < KEPT {
                return;
            }
            self.pop();
        }
    }
}

fn quarantine() -> MutexGuard<'static, Quarantine> {
    QUARANTINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The system's allocator, which keeps freed memory for a while once it is switched on.
pub(crate) struct Keeping;

// SAFETY: it does what the system's allocator does, and frees some blocks later.
unsafe impl GlobalAlloc for Keeping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        if !IS_ON.load(Ordering::Relaxed) {
            // SAFETY: the caller keeps the same contract.
            return unsafe { System.dealloc(address, layout) };
        }
        // SAFETY: the block is the caller's until now, and has no owner from now on.
        unsafe { address.write_bytes(PATTERN, layout.size()) };
        let freed = Instant::now();
        let mut quarantine = quarantine();
        quarantine.push(Block {
            address: address as usize,
            layout,
            freed,
        });
        quarantine.pop_old(freed);
    }
}

/// How many blocks were written to after `run` had freed them.
pub(crate) fn written_late(run: impl FnOnce()) -> usize {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    quarantine().written = 0;
    IS_ON.store(true, Ordering::Relaxed);
    run();
    IS_ON.store(false, Ordering::Relaxed);
    std::thread::sleep(KEPT);
    let mut quarantine = quarantine();
    while quarantine.count > 0 {
        quarantine.pop();
    }
    quarantine.written
}
