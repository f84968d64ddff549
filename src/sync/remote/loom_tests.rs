//! Models of channels between threads: `RUSTFLAGS="--cfg loom" cargo test --release --lib loom_`.
//!
//! Besides what each model asserts, loom finds a wake that is lost, since all threads would wait,
//! and a value that is never dropped.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    model::Builder as Model,
    sync::{Condvar, Mutex},
    thread,
};

use super::{
    mpsc::{self, SendError},
    oneshot,
};
use crate::sync::closed::Closed;

struct Park {
    is_woken: Mutex<bool>,
    condition: Condvar,
}

impl Wake for Park {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.condition.notify_one();
    }
}

/// Polls `future` when it is woken, until it is ready.
fn block_on<F: Future>(future: F) -> F::Output {
    let park = Arc::new(Park {
        is_woken: Mutex::new(false),
        condition: Condvar::new(),
    });
    let waker = Waker::from(Arc::clone(&park));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut is_woken = park.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = park.condition.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }
}

/// Runs every order of events with at most so many unforced changes of threads.
fn model(preemptions: usize, code: impl Fn() + Send + Sync + 'static) {
    let mut model = Model::new();
    model.preemption_bound = Some(preemptions);
    model.check(code);
}

#[test]
fn loom_values_of_a_bounded_channel_come_in_order_and_both_sides_wake() {
    model(3, || {
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = thread::spawn(move || {
            for number in 0..3 {
                block_on(sender.send(Box::new(number))).unwrap();
            }
        });
        for number in 0..3 {
            assert_eq!(block_on(receiver.recv()), Some(Box::new(number)));
        }
        assert_eq!(block_on(receiver.recv()), None);
        sending.join().unwrap();
    });
}

#[test]
fn loom_senders_that_wait_have_places_when_the_receiver_goes_on_without_sleeping() {
    model(2, || {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(0).unwrap();
        let sending = [1, 2].map(|number| {
            let sender = sender.clone();
            thread::spawn(move || block_on(sender.send(number)).unwrap())
        });
        drop(sender);
        let mut sum = 0;
        while let Some(number) = block_on(receiver.recv()) {
            sum += number;
        }
        assert_eq!(sum, 3);
        for sending in sending {
            sending.join().unwrap();
        }
    });
}

#[test]
fn loom_a_dropped_wait_passes_its_place_on() {
    model(2, || {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(0).unwrap();
        let other = sender.clone();
        let giving_up = thread::spawn(move || {
            let mut reserve = Box::pin(other.reserve());
            let mut context = Context::from_waker(Waker::noop());
            // Whether or not it has a place by now, it gives it up.
            let _polled = reserve.as_mut().poll(&mut context).is_ready();
        });
        let sending = thread::spawn(move || block_on(sender.send(1)).unwrap());
        assert_eq!(block_on(receiver.recv()), Some(0));
        assert_eq!(block_on(receiver.recv()), Some(1));
        giving_up.join().unwrap();
        sending.join().unwrap();
        assert_eq!(block_on(receiver.recv()), None);
    });
}

#[test]
fn loom_a_receiver_that_is_dropped_wakes_the_senders() {
    model(3, || {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Box::new(0)).unwrap();
        let sending = thread::spawn(move || block_on(sender.send(Box::new(1))));
        drop(receiver);
        let sent = sending.join().unwrap();
        assert!(matches!(sent, Err(SendError(_))));
    });
}

#[test]
fn loom_one_value_wakes_its_receiver_or_comes_back() {
    model(3, || {
        let (sender, receiver) = oneshot::channel();
        let sending = thread::spawn(move || sender.send(Box::new(5)));
        assert_eq!(block_on(receiver), Ok(Box::new(5)));
        assert!(sending.join().unwrap().is_ok());

        let (sender, receiver) = oneshot::channel::<Box<u32>>();
        let dropping = thread::spawn(move || drop(sender));
        assert_eq!(block_on(receiver), Err(Closed));
        dropping.join().unwrap();
    });
    model(3, || {
        let (mut sender, receiver) = oneshot::channel();
        let dropping = thread::spawn(move || drop(receiver));
        block_on(sender.closed());
        assert!(sender.send(Box::new(5)).is_err());
        dropping.join().unwrap();
    });
}
