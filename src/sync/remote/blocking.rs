//! The threads on which the blocking calls of channels may block.

use crate::budget;

/// Says that a call may block. It is asked before the look whether the call has to, so that a test
/// in which there is no wait finds the fault as well.
///
/// # Panics
///
/// Inside a runtime of this crate, whose tasks would stand still meanwhile.
#[track_caller]
pub(super) fn may_block() {
    assert!(
        !budget::is_inside(),
        "expected a plain thread, found one inside a runtime, where `.await` takes the place of \
         blocking"
    );
}
