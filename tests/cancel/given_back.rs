//! The memory of a burst is given back, while the objects that it went through live on.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use annulus::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
    time::sleep,
};

use crate::support::{counting::live, repetitions};

use super::{
    census::{alone, runtime, std_pair},
    moment::turns,
};

const COUNT: usize = 100_000;

/// Memory that may stay after a burst of some megabytes: lists of a size that steady traffic has.
const KEPT_MAX: i64 = 512 * 1024;

/// Expects that `burst` needs memory, and that little of it is left when it is over and the thread
/// has slept.
fn is_given_back(burst: impl AsyncFn(&mut i64)) {
    alone(|| {
        runtime(16).block_on(async {
            for round in 0..repetitions(3) {
                turns(3).await;
                let before = live();
                let mut peak = 0;
                burst(&mut peak).await;
                // Tables are tried now and then.
                turns(40).await;
                let (peak, kept) = (peak - before, live() - before);
                assert!(peak > 4 * KEPT_MAX, "the burst needs {peak} bytes only");
                assert!(
                    kept < KEPT_MAX,
                    "{kept} of {peak} bytes are left, round {round}"
                );
            }
        });
    });
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) {
    let poll = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
}

/// Begins to wait by all of `futures`, and gives up again, the first ones first.
fn wait_and_leave<F: Future>(futures: impl Iterator<Item = F>, peak: &mut i64) {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    waiting.iter_mut().for_each(poll);
    *peak = live();
    drop(waiting);
}

#[test]
fn channels_give_back_what_a_burst_needed() {
    let (sender, receiver) = mpsc::unbounded::<[u8; 200]>();
    let receiver = std::cell::RefCell::new(receiver);
    is_given_back(async |peak| {
        for _ in 0..COUNT {
            sender.try_send([0; 200]).unwrap();
        }
        *peak = live();
        while receiver.borrow_mut().try_recv().is_ok() {}
    });
}

#[test]
fn lines_of_waiters_give_back_what_a_burst_needed() {
    let (semaphore, notify) = (Semaphore::new(0), Notify::new());
    is_given_back(async |peak| wait_and_leave((0..COUNT).map(|_| semaphore.acquire()), peak));
    is_given_back(async |peak| wait_and_leave((0..COUNT).map(|_| notify.notified()), peak));
}

#[test]
fn a_set_of_tasks_gives_back_what_a_burst_needed() {
    let set = std::cell::RefCell::new(JoinSet::new());
    is_given_back(async |peak| {
        for _ in 0..COUNT {
            set.borrow_mut().spawn(async {});
        }
        *peak = live();
        let next = || poll_fn(|context| set.borrow_mut().poll_join_next(context));
        while next().await.is_some() {}
    });
}

#[test]
fn timers_give_back_what_a_burst_needed() {
    is_given_back(async |peak| {
        // One that is there before and one that is there after them must not keep the others.
        let mut before = Box::pin(sleep(Duration::from_secs(1000)));
        poll(&mut before);
        let sleeps = (0..COUNT).map(|number| sleep(Duration::from_millis(number as u64 + 1000)));
        wait_and_leave(sleeps, peak);
        turns(1).await;
        drop(before);
    });
}

#[test]
fn timers_that_fire_together_give_back_what_they_needed() {
    is_given_back(async |peak| {
        let mut sleeps = JoinSet::new();
        let deadline = annulus::time::now() + Duration::from_millis(50);
        for _ in 0..COUNT {
            sleeps.spawn(annulus::time::sleep_until(deadline));
        }
        turns(1).await;
        *peak = live();
        while sleeps.join_next().await.is_some() {}
    });
}

#[test]
fn operations_give_back_what_a_burst_needed() {
    let streams = std::cell::OnceCell::new();
    is_given_back(async |peak| {
        let (stream, _far) = streams.get_or_init(std_pair);
        let mut waits: Vec<_> = (0..COUNT / 4).map(|_| Box::pin(stream.closed())).collect();
        waits.iter_mut().for_each(poll);
        turns(1).await;
        *peak = live();
        drop(waits);
        // Each of them ends.
        while annulus::stats().driver.in_flight > 8 {
            turns(1).await;
        }
    });
}

#[test]
fn the_queue_of_a_socket_gives_back_what_a_burst_needed() {
    let streams = std::cell::OnceCell::new();
    is_given_back(async |peak| {
        let (stream, _far) = streams.get_or_init(std_pair);
        wait_and_leave((0..COUNT).map(|_| stream.recv()), peak);
    });
}

#[test]
fn nothing_is_given_back_that_steady_traffic_needs() {
    alone(|| {
        runtime(16).block_on(async {
            let (sender, mut receiver) = mpsc::unbounded::<u64>();
            let mut round = || {
                for number in 0..1000 {
                    sender.try_send(number).unwrap();
                }
                while receiver.try_recv().is_ok() {}
            };
            // The harness has other threads, which may end within one try. What is given back shows
            // in each.
            let is_steady = (0..5).any(|_| {
                round();
                let before = live();
                (0..10).all(|_| {
                    round();
                    (live() - before).abs() < 1000
                })
            });
            assert!(is_steady);
            poll_fn(|_| Poll::Ready(())).await;
        });
    });
}
