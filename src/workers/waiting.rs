//! Waits for a future on a thread without a runtime.

use std::future::Future;

use crate::{park, runtime};

/// Polls `future` to its end, and parks the thread meanwhile.
///
/// # Panics
///
/// Inside a runtime, whose tasks would all stand still.
#[track_caller]
pub(super) fn wait_for<F: Future>(future: F) -> F::Output {
    assert!(
        !runtime::is_inside(),
        "this would block the thread of a runtime, and with it all of its tasks: `.await` it there"
    );
    park::block_on(future)
}
