//! Workers: how they start, what they send each other, and how they end.

mod cores;
mod ends;
mod messages;
mod moves;
mod policies;
mod sharded;
mod sockets;
mod starts;
#[path = "../support/mod.rs"]
mod support;

use std::{
    io,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use annulus::{
    DriverKind, RuntimeBuilder, Worker, Workers,
    workers::{WorkersBuilder, WorkersError},
};

use support::BOUND;

/// Runs `test` with a builder for each driver.
fn on_each_driver(test: impl Fn(WorkersBuilder)) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        println!("{kind:?}");
        let small = move |runtime: RuntimeBuilder| runtime.driver(kind).receive_buffers(8);
        test(Workers::builder().runtime(small));
    }
}

/// Starts workers that wait for the stop.
fn waiting(builder: WorkersBuilder) -> Workers<()> {
    let workers = builder.start(async |worker| -> io::Result<()> {
        worker.stopping().await;
        Ok(())
    });
    workers.unwrap()
}

fn worker<T>(workers: &Workers<T>, index: usize) -> Worker {
    workers.worker(index).expect("there is one of that number")
}

/// Joins, and fails the test if that does not end.
fn joined<T: Send + 'static>(workers: Workers<T>) -> Result<Vec<Option<T>>, WorkersError> {
    within_bound(move || workers.join())
}

/// Runs `code` on a thread, and fails the test if it does not end.
fn within_bound<T: Send + 'static>(code: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = tell.send(code());
    });
    match told.recv_timeout(BOUND) {
        Ok(output) => output,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it has panicked"))
        }
    }
}

/// Stops the workers, with all the time that they need, and joins them.
fn stop<T: Send + 'static>(workers: Workers<T>) -> Vec<Option<T>> {
    workers.stop(BOUND);
    joined(workers).unwrap()
}

/// Waits, on a thread without a runtime, until `condition` holds.
fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < BOUND, "it never holds");
        thread::sleep(Duration::from_millis(1));
    }
}
