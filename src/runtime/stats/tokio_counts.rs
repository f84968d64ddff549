//! Counts of what a thread does in tokio's context, and of the process's threads of tokio.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::TokioStats;
use crate::sys::PerProcess;

thread_local! {
    static CONTEXTS: Cell<u64> = const { Cell::new(0) };
    static TASKS: Cell<u64> = const { Cell::new(0) };
}

static THREADS: PerProcess<AtomicUsize> = PerProcess::new(AtomicUsize::new(0));

/// Counts a poll or a drop inside of tokio's context.
#[inline]
pub(crate) fn count_context() {
    CONTEXTS.set(CONTEXTS.get() + 1);
}

/// Counts a future that was handed to tokio's threads.
pub(crate) fn count_task() {
    TASKS.set(TASKS.get() + 1);
}

pub(crate) fn count_thread_start() {
    let threads = THREADS.of_this_process();
    threads.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn count_thread_end() {
    let threads = THREADS.of_this_process();
    threads.fetch_sub(1, Ordering::Relaxed);
}

pub(super) fn stats() -> TokioStats {
    TokioStats {
        contexts: CONTEXTS.get(),
        tasks: TASKS.get(),
        threads: THREADS.of_this_process().load(Ordering::Relaxed),
    }
}
