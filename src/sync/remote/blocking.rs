//! The threads on which the blocking calls of channels may block.

use crate::budget;

/// Says that a call may block. It is asked before the look whether the call has to, so that a test
/// in which there is no wait finds the fault as well.
///
/// # Panics
///
/// In a task of a runtime of this crate, which would keep all others from running.
#[track_caller]
pub(super) fn may_block() {
    assert!(
        !budget::is_limited(),
        "expected a plain thread, found a task of a runtime, which awaits instead of blocking"
    );
}
