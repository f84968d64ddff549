//! No edge is lost: another thread adds to counters that mostly are empty then, and each time a
//! task has to be woken, or the test hangs.

use std::{
    fs::File,
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    thread,
};

use annulus::{
    io::{AsyncFd, Interest},
    spawn,
    task::yield_now,
};

use crate::support::{
    descriptors::{add, eventfd, take},
    poll_once,
    random::Random,
    repetitions, run_each,
};

/// The edges of a run on one driver: 50,000, and fewer on an emulated kernel.
fn edges() -> u64 {
    repetitions(50_000) as u64
}

const COUNTERS: usize = 8;

/// How much was taken from each counter.
type Taken = Arc<[AtomicU64; COUNTERS]>;

/// Waits in one of the ways that there are. Some are given up in the middle.
async fn wait(random: &mut Random, counter: &AsyncFd<File>) -> io::Result<()> {
    if random.one_in(4) {
        let mut given_up = Box::pin(counter.readable());
        let _ = poll_once(&mut given_up).await;
        if random.one_in(2) {
            yield_now().await;
        }
    }
    if random.one_in(4) {
        // A poll that is made and forgotten.
        poll_fn(|context| {
            let _ = counter.poll_readable(context);
            Poll::Ready(())
        })
        .await;
        yield_now().await;
    }
    match random.below(3) {
        0 => counter.readable().await,
        1 => poll_fn(|context| counter.poll_readable(context)).await,
        _ => {
            let interest = Interest::READABLE | Interest::PRIORITY;
            counter.ready(interest).await.map(drop)
        }
    }
}

/// Takes from a counter until `total` was taken from all.
async fn take_all(mut random: Random, counter: File, index: usize, taken: Taken, total: u64) {
    let counter = AsyncFd::new(counter).unwrap();
    loop {
        let count = match random.below(3) {
            0 => counter.async_io(Interest::READABLE, take).await,
            1 => counter.try_io(Interest::READABLE, take),
            _ => take(counter.get_ref()),
        };
        match count {
            // The end.
            Ok(count) if count > total => return,
            Ok(count) => drop(taken[index].fetch_add(count, Ordering::Release)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(&mut random, &counter).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Adds to counters at random, three times in four only after what was there before was taken.
fn add_all(mut random: Random, counters: &[File], taken: &Taken) {
    let mut added = [0; COUNTERS];
    for _ in 0..edges() {
        let index = random.below(COUNTERS);
        let waits = !random.one_in(4);
        while waits && taken[index].load(Ordering::Acquire) < added[index] {
            if Arc::strong_count(taken) == 1 {
                // The test has failed.
                return;
            }
            thread::yield_now();
        }
        add(&counters[index], 1);
        added[index] += 1;
    }
    for (index, counter) in counters.iter().enumerate() {
        while taken[index].load(Ordering::Acquire) < added[index] {
            if Arc::strong_count(taken) == 1 {
                return;
            }
            thread::yield_now();
        }
        add(counter, 2 * edges());
    }
}

#[test]
fn no_edge_is_lost() {
    let mut seed = 0;
    run_each(async || {
        seed += 1;
        let counters: Vec<File> = (0..COUNTERS).map(|_| eventfd()).collect();
        let taken = Taken::default();
        let tasks: Vec<_> = counters
            .iter()
            .enumerate()
            .map(|(index, counter)| {
                let random = Random::new(seed * 100 + index as u64);
                let counter = counter.try_clone().unwrap();
                spawn(take_all(
                    random,
                    counter,
                    index,
                    Arc::clone(&taken),
                    edges(),
                ))
            })
            .collect();
        let adding = thread::spawn({
            let taken = Arc::clone(&taken);
            move || add_all(Random::new(seed), &counters, &taken)
        });
        for task in tasks {
            task.await.unwrap();
        }
        adding.join().unwrap();
        let total: u64 = taken
            .iter()
            .map(|taken| taken.load(Ordering::Relaxed))
            .sum();
        assert_eq!(total, edges());
    });
}
