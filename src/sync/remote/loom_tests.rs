//! Models of channels between threads: `RUSTFLAGS="--cfg loom" cargo test --release --lib loom_`.
//!
//! Besides what each model asserts, loom finds a wake that is lost, since all threads would wait,
//! and a value that is never dropped.

use std::{
    future::Future as _,
    task::{Context, Waker},
};

use super::{
    mpsc::{self, SendError},
    oneshot,
};
use crate::{
    park::block_on,
    primitives::{model, thread},
    sync::closed::Closed,
};

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
