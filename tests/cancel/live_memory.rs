//! Counts the bytes that are allocated.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicI64, Ordering},
};

struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: it does what the system's allocator does, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(address, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many bytes are allocated at the moment.
pub(super) fn live() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

/// How often something is done, to see whether memory is lost.
pub(super) const ROUNDS: usize = 20;

/// How many of these make a span whose growth is looked at.
const SPAN: usize = 5;

/// Measures the memory that grows from round to round.
///
/// The test harness has other threads, which allocate now and then. So what counts is the least
/// growth of some spans of time: what is lost each time shows in all of them.
#[derive(Default)]
pub(super) struct Growth {
    live: Vec<i64>,
}

impl Growth {
    /// To be called at the end of each of `ROUNDS` rounds.
    pub(super) fn note(&mut self, round: usize) {
        // In the first span lists get their lengths, and recycled memory is made.
        if round % SPAN == SPAN - 1 {
            self.live.push(live());
        }
    }

    #[track_caller]
    pub(super) fn check(self) {
        self.check_for(1);
    }

    /// Fails if `count` boxes or more were left behind in each round, for what does not end each
    /// round with the same memory in use.
    #[track_caller]
    pub(super) fn check_for(self, count: usize) {
        let least = self.live.windows(2).map(|pair| pair[1] - pair[0]).min();
        let kept = least.expect("there were some spans");
        // The least that an operation may leave behind is a box of 64 bytes.
        let lost = (SPAN * count) as i64 * 64;
        assert!(kept < lost, "{kept} bytes are lost in {SPAN} rounds");
    }
}
