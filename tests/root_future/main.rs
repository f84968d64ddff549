//! The future of `block_on` is as cheap to run as a task.

use annulus::{DriverKind, Runtime, spawn, task};

/// How often epoll is asked while `future` runs.
fn visits(future: impl AsyncFnOnce()) -> u64 {
    let runtime = Runtime::builder()
        .driver(DriverKind::Poll)
        .build()
        .expect("epoll is there");
    let before = runtime.stats().driver.enters;
    runtime.block_on(future());
    runtime.stats().driver.enters - before
}

#[test]
fn a_root_that_can_go_on_visits_the_kernel_once_in_several_polls() {
    let count = visits(async || {
        for _ in 0..800 {
            task::yield_now().await;
        }
    });
    assert!((50..=200).contains(&count), "{count} visits");
}

#[test]
fn a_root_that_joins_quick_tasks_visits_the_kernel_once_in_several_tasks() {
    let count = visits(async || {
        for _ in 0..800 {
            spawn(async {}).await.expect("the task does not panic");
        }
    });
    assert!((50..=200).contains(&count), "{count} visits");
}
