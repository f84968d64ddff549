//! Channels between threads: their rules on one thread, and many threads at once.

use std::thread;

use super::*;
use crate::sync::remote::{mpsc, oneshot};

fn recv<T>(receiver: &mut mpsc::Receiver<T>, waker: &Waker) -> Poll<Option<T>> {
    receiver.poll_recv(&mut Context::from_waker(waker))
}

#[test]
fn remote_values_come_in_order_and_a_full_channel_refuses_more() {
    let (sender, mut receiver) = mpsc::channel(2);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!((receiver.len(), sender.capacity()), (2, 2));
    // Both were taken over, and one place is free.
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(3), Ok(()));
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(2), Ok(3)));
    drop(sender.clone());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(recv(&mut receiver, Waker::noop()), Poll::Ready(None));
}

#[test]
fn remote_receivers_are_woken_once_and_by_the_last_sender() {
    let (sender, mut receiver) = mpsc::unbounded();
    let (wakes, waker) = counting();
    assert!(recv(&mut receiver, &waker).is_pending());
    assert!(recv(&mut receiver, &waker).is_pending());
    assert_eq!(Arc::strong_count(&wakes), 3, "the waker is stored once");
    for number in 0..100 {
        sender.try_send(number).unwrap();
    }
    assert_eq!(wakes.count(), 1);
    for number in 0..100 {
        assert_eq!(recv(&mut receiver, &waker), Poll::Ready(Some(number)));
    }
    let before = until_asleep(&wakes, || recv(&mut receiver, &waker).is_pending());
    let other = sender.clone();
    drop(sender);
    assert_eq!(wakes.count(), before);
    drop(other);
    assert_eq!(wakes.count(), before + 1);
    assert_eq!(recv(&mut receiver, &waker), Poll::Ready(None));
}

/// Polls until the poll wakes nothing, and returns the count of wakes.
fn until_asleep(wakes: &CountWakes, mut is_pending: impl FnMut() -> bool) -> usize {
    loop {
        let before = wakes.count();
        assert!(is_pending());
        if wakes.count() == before {
            return before;
        }
    }
}

#[test]
fn remote_sides_of_a_stream_look_again_before_they_sleep() {
    let (sender, mut receiver) = mpsc::channel(100);
    let (wakes, waker) = counting();
    for number in 0..100 {
        sender.try_send(number).unwrap();
    }
    let mut first = Box::pin(sender.send(100));
    let mut second = Box::pin(sender.send(101));
    assert!(poll_with(&mut first, &waker).is_pending());
    assert_eq!(wakes.count(), 1, "it wakes itself");
    until_asleep(&wakes, || poll_with(&mut first, &waker).is_pending());
    let before = until_asleep(&wakes, || poll_with(&mut second, &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!(wakes.count(), before + 1, "it waits in line");
    assert_eq!(poll_with(&mut first, &waker), Poll::Ready(Ok(())));
    assert!(poll_with(&mut second, &waker).is_pending());
    for number in 1..101 {
        assert_eq!(recv(&mut receiver, &waker), Poll::Ready(Some(number)));
    }
    assert_eq!(poll_with(&mut second, &waker), Poll::Ready(Ok(())));
    assert_eq!(receiver.try_recv(), Ok(101));
    let before = wakes.count();
    assert!(recv(&mut receiver, &waker).is_pending());
    assert_eq!(wakes.count(), before + 1, "it wakes itself");
    let before = until_asleep(&wakes, || recv(&mut receiver, &waker).is_pending());
    sender.try_send(102).unwrap();
    assert_eq!(wakes.count(), before + 1);
    assert_eq!(recv(&mut receiver, &waker), Poll::Ready(Some(102)));
}

#[test]
fn remote_senders_have_places_in_order_and_pass_on_what_they_give_up() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(0).unwrap();
    let (wakes, waker) = counting();
    let mut first = Box::pin(sender.reserve());
    let mut second = Box::pin(sender.reserve());
    let mut third = Box::pin(sender.reserve());
    assert!(poll_with(&mut first, &waker).is_pending());
    assert!(poll_with(&mut first, &waker).is_pending());
    assert!(poll_with(&mut second, &waker).is_pending());
    assert!(!is_ready(&mut third));
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!(wakes.count(), 1);
    assert_eq!(
        sender.try_send(9),
        Err(TrySendError::Full(9)),
        "it is the first one's"
    );
    drop(first);
    assert_eq!(wakes.count(), 2);
    let Poll::Ready(Ok(permit)) = poll_with(&mut second, &waker) else {
        panic!("it has the place");
    };
    drop(permit);
    let Poll::Ready(Ok(permit)) = poll_once(&mut third) else {
        panic!("the place was passed on");
    };
    permit.send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(2), Ok(()));
}

#[test]
fn remote_close_gives_values_back_and_keeps_those_that_are_in() {
    let (sender, mut receiver) = mpsc::channel(2);
    sender.try_send(1).unwrap();
    let Poll::Ready(Ok(permit)) = poll_once(&mut Box::pin(sender.reserve())) else {
        panic!("there is room");
    };
    let (wakes, waker) = counting();
    let mut sending = Box::pin(sender.send(2));
    assert!(poll_with(&mut sending, &waker).is_pending());
    receiver.close();
    assert_eq!(wakes.count(), 1);
    assert_eq!(
        poll_with(&mut sending, &waker),
        Poll::Ready(Err(SendError(2)))
    );
    assert_eq!(permit.send(3), Err(SendError(3)));
    assert_eq!(sender.try_send(4), Err(TrySendError::Closed(4)));
    assert_eq!(sender.blocking_send(4), Err(SendError(4)));
    assert!(sender.is_closed());
    assert_eq!(receiver.blocking_recv(), Some(1));
    assert_eq!(receiver.blocking_recv(), None);
}

#[test]
fn remote_receivers_drop_what_was_not_received_whatever_panics() {
    struct Bomb(Arc<AtomicUsize>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("a value's panic"));
        }
    }

    let dropped = Arc::new(AtomicUsize::new(0));
    let (sender, mut receiver) = mpsc::unbounded();
    for _ in 0..3 {
        assert!(sender.try_send(Bomb(dropped.clone())).is_ok());
    }
    // One is the caller's, one is taken over, and one comes after that.
    let first = receiver.try_recv();
    assert!(sender.try_send(Bomb(dropped.clone())).is_ok());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(receiver)));
    assert!(caught.is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(first))).is_err());
}

#[test]
fn remote_channels_deliver_each_value_once_whatever_is_dropped() {
    for seed in 1..60 {
        let capacity = 1 + seed as usize % 3;
        let (sender, mut receiver) = mpsc::channel(capacity);
        let (sent, received) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut tasks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        for task in 0..3 {
            let (sender, sent) = (sender.clone(), &sent);
            tasks.push(Box::pin(async move {
                let mut random = Random(seed * 131 + task);
                for number in 0..40 {
                    let value = task * 100 + number;
                    match random.below(4) {
                        0 => {
                            let mut send = Box::pin(sender.send(value));
                            let is_sent = poll_once(&mut send).is_ready();
                            yield_now().await;
                            if is_sent {
                                sent.borrow_mut().push(value);
                            }
                        }
                        1 => {
                            // Gives a place up, having waited for it or not.
                            let mut reserve = Box::pin(sender.reserve());
                            let _permit = poll_once(&mut reserve);
                            yield_now().await;
                        }
                        _ => {
                            sender.send(value).await.unwrap();
                            sent.borrow_mut().push(value);
                        }
                    }
                }
            }));
        }
        drop(sender);
        let into = &received;
        tasks.push(Box::pin(async move {
            let mut random = Random(seed);
            loop {
                assert!(receiver.len() <= capacity);
                if random.below(3) == 0 {
                    let polled = poll_once(&mut Box::pin(receiver.recv()));
                    yield_now().await;
                    match polled {
                        Poll::Ready(Some(value)) => into.borrow_mut().push(value),
                        Poll::Ready(None) => break,
                        Poll::Pending => {}
                    }
                } else if let Some(value) = receiver.recv().await {
                    into.borrow_mut().push(value);
                } else {
                    break;
                }
            }
        }));
        run_all(tasks);
        let (mut sent, mut received) = (sent.take(), received.take());
        // Those of one sender come in order.
        for task in 0..3 {
            let mut of_task = received.iter().filter(|value| **value / 100 == task);
            assert!(of_task.clone().is_sorted());
            assert_eq!(
                of_task.next().is_some(),
                sent.iter().any(|v| v / 100 == task)
            );
        }
        sent.sort_unstable();
        received.sort_unstable();
        assert_eq!(sent, received);
    }
}

#[test]
fn remote_channels_join_plain_threads() {
    const COUNT: usize = 2000;
    for capacity in [1, 7, usize::MAX] {
        let (sender, mut receiver) = mpsc::channel(capacity);
        let sending: Vec<_> = (0..3)
            .map(|thread| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for number in 0..COUNT {
                        sender.blocking_send((thread, number)).unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        let mut next = [0; 3];
        while let Some((thread, number)) = receiver.blocking_recv() {
            assert_eq!(number, next[thread]);
            next[thread] += 1;
        }
        assert_eq!(next, [COUNT; 3]);
        for sending in sending {
            sending.join().unwrap();
        }
    }
}

#[test]
fn remote_oneshot_delivers_or_says_that_it_cannot() {
    let (sender, mut receiver) = oneshot::channel();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let mut receiver = Box::pin(receiver);
    let (wakes, waker) = counting();
    assert!(poll_with(&mut receiver, &waker).is_pending());
    assert_eq!(sender.send(1), Ok(()));
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Ready(Ok(1)));
    assert_eq!(poll_with(&mut receiver, &waker), Poll::Ready(Err(Closed)));

    let (sender, receiver) = oneshot::channel::<u32>();
    let waiting = thread::spawn(move || receiver.blocking_recv());
    drop(sender);
    assert_eq!(waiting.join().unwrap(), Err(Closed));

    let (mut sender, mut receiver) = oneshot::channel::<u32>();
    assert!(poll_with(&mut Box::pin(sender.closed()), &waker).is_pending());
    receiver.close();
    assert_eq!(wakes.count(), 2);
    assert!(sender.is_closed());
    assert_eq!(sender.send(5), Err(5));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));

    let value = Arc::new(());
    let (sender, receiver) = oneshot::channel();
    sender.send(value.clone()).unwrap();
    drop(receiver);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn remote_ends_are_sendable() {
    fn is_send<T: Send>(_: &T) {}
    fn is_sync<T: Sync>(_: &T) {}

    let (sender, mut receiver) = mpsc::channel(1);
    is_send(&sender);
    is_sync(&sender);
    is_send(&sender.send(1));
    is_send(&sender.reserve());
    is_send(&receiver.recv());
    is_send(&oneshot::channel::<u32>());
}

#[test]
fn remote_wakers_may_use_the_channel() {
    let (sender, receiver) = mpsc::channel(1);
    let receiver = Rc::new(RefCell::new(receiver));
    let again = (sender.clone(), receiver.clone());
    let on_waker = move || {
        let (sender, receiver) = &again;
        let _ = sender.try_send(7);
        let _polled = poll_once(&mut Box::pin(sender.reserve()));
        if let Ok(mut receiver) = receiver.try_borrow_mut() {
            let _ = receiver.try_recv();
        }
        let _ = sender.is_closed();
    };
    with_nasty(on_waker, 6, || {
        let _polled = recv(&mut receiver.borrow_mut(), &nasty());
        let _polled = recv(&mut receiver.borrow_mut(), &nasty());
        while sender.try_send(1).is_ok() {}
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(sender.reserve())).collect();
        for reserve in &mut waiting {
            if poll_with(reserve, &nasty()).is_pending() {
                let _polled = poll_with(reserve, &nasty());
            }
        }
        let _ = receiver.borrow_mut().try_recv();
        drop(waiting.remove(0));
        receiver.borrow_mut().close();
    });
}
