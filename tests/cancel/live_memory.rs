//! Looks whether more and more memory is allocated.

use crate::support::{counting::live, repetitions};

/// How often something is done, to see whether memory is lost.
pub(super) fn rounds() -> usize {
    repetitions(20)
}

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
    /// To be called at the end of each of [`rounds`].
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
        let Some(kept) = least else {
            // There is one span in a quarter of the rounds.
            assert!(rounds() < 2 * SPAN);
            return;
        };
        // The least that an operation may leave behind is a box of 64 bytes.
        let lost = (SPAN * count) as i64 * 64;
        assert!(kept < lost, "{kept} bytes are lost in {SPAN} rounds");
    }
}
