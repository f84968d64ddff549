//! Waits for the other side of a channel on a thread without a runtime.

use std::future::Future;

use crate::{budget, park};

/// Blocks the thread until `future` is ready.
///
/// # Panics
///
/// In a task of a runtime of this crate, which would keep all others from running.
#[track_caller]
pub(super) fn wait_for<F: Future>(future: F) -> F::Output {
    assert!(
        !budget::is_limited(),
        "expected a plain thread, found a task of a runtime, which awaits instead of blocking"
    );
    park::block_on(future)
}
