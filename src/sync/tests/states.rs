//! Watch, broadcast and cancellation tokens.

use super::{
    broadcast::{RecvError, SlowReceivers},
    *,
};

#[test]
fn watch_shows_the_latest_value_and_its_end() {
    let (sender, mut receiver) = watch::channel(0);
    let mut late = receiver.clone();
    let (wakes, waker) = counting();
    {
        let mut changed = Box::pin(receiver.changed());
        assert!(poll_with(&mut changed, &waker).is_pending());
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll_with(&mut changed, &waker), Poll::Ready(Ok(())));
    }
    assert_eq!(*receiver.borrow(), 2);
    assert_eq!(receiver.has_changed(), Ok(false));
    assert_eq!(late.has_changed(), Ok(true));
    drop(sender.clone());
    drop(sender);
    assert_eq!(receiver.has_changed(), Err(Closed));
    assert_eq!(
        poll_once(&mut Box::pin(receiver.changed())),
        Poll::Ready(Err(Closed))
    );
    assert_eq!(
        poll_once(&mut Box::pin(late.changed())),
        Poll::Ready(Ok(()))
    );
    assert_eq!(
        poll_once(&mut Box::pin(late.changed())),
        Poll::Ready(Err(Closed))
    );
    assert_eq!(*late.borrow_and_update(), 2);
}

#[test]
fn watch_loses_no_change_to_a_dropped_future() {
    let (sender, mut receiver) = watch::channel(0);
    {
        let mut changed = Box::pin(receiver.changed());
        assert!(!is_ready(&mut changed));
        sender.send(1).unwrap();
    }
    assert_eq!(
        poll_once(&mut Box::pin(receiver.changed())),
        Poll::Ready(Ok(()))
    );
    let wanted = {
        let mut wait = Box::pin(receiver.wait_for(|value| *value > 2));
        assert!(!is_ready(&mut wait));
        sender.send(2).unwrap();
        assert!(!is_ready(&mut wait));
        sender.send(3).unwrap();
        matches!(poll_once(&mut wait), Poll::Ready(Ok(value)) if *value == 3)
    };
    assert!(wanted);
    drop(sender);
    assert!(matches!(
        poll_once(&mut Box::pin(receiver.wait_for(|value| *value > 3))),
        Poll::Ready(Err(Closed))
    ));
    assert!(is_ready(&mut Box::pin(
        receiver.wait_for(|value| *value == 3)
    )));
}

#[test]
fn watch_senders_know_whether_there_are_receivers() {
    let (sender, receiver) = watch::channel(0);
    let (wakes, waker) = counting();
    let mut closed = Box::pin(sender.closed());
    assert!(poll_with(&mut closed, &waker).is_pending());
    drop(receiver.clone());
    assert!(poll_with(&mut closed, &waker).is_pending());
    drop(receiver);
    assert_eq!(wakes.count(), 1);
    assert!(poll_with(&mut closed, &waker).is_ready());
    assert_eq!(sender.send(1), Err(SendError(1)));
    assert_eq!(sender.send_replace(2), 0);
    assert!(!sender.send_if_modified(|value| *value > 2));
    let receiver = sender.subscribe();
    assert_eq!((receiver.has_changed(), *receiver.borrow()), (Ok(false), 2));
    assert_eq!((*sender.borrow(), sender.receiver_count()), (2, 1));
}

#[test]
fn watch_receivers_see_increasing_values_and_the_last_whatever_is_dropped() {
    for seed in 1..60 {
        let (sender, receiver) = watch::channel(0);
        let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for task in 1..5 {
            let mut receiver = receiver.clone();
            tasks.push(Box::pin(async move {
                let mut random = Random(seed * 131 + task);
                let mut last = 0;
                loop {
                    if random.below(3) == 0 {
                        let _polled = poll_once(&mut Box::pin(receiver.changed()));
                        yield_now().await;
                        continue;
                    }
                    if receiver.changed().await.is_err() {
                        break;
                    }
                    let value = *receiver.borrow();
                    assert!(value > last);
                    last = value;
                }
                assert_eq!(*receiver.borrow(), 50);
            }));
        }
        tasks.push(Box::pin(async move {
            let mut random = Random(seed);
            for value in 1..=50 {
                sender.send_replace(value);
                if random.below(2) == 0 {
                    yield_now().await;
                }
            }
        }));
        drop(receiver);
        run_all(tasks);
    }
}

#[test]
fn broadcast_gives_each_value_to_each_receiver_without_a_clone_for_the_last() {
    #[derive(Debug)]
    struct Counted(Rc<Cell<usize>>);

    impl Clone for Counted {
        fn clone(&self) -> Counted {
            self.0.set(self.0.get() + 1);
            Counted(self.0.clone())
        }
    }

    let clones = Rc::new(Cell::new(0));
    let (sender, mut first) = broadcast::channel(4, SlowReceivers::Skip);
    assert_eq!(sender.try_send(Counted(clones.clone())).unwrap(), 1);
    let mut second = sender.subscribe();
    assert_eq!(sender.try_send(Counted(clones.clone())).unwrap(), 2);
    assert_eq!((first.len(), second.len(), sender.len()), (2, 1, 2));
    assert!(second.try_recv().is_ok());
    assert_eq!(
        second.try_recv().unwrap_err(),
        broadcast::TryRecvError::Empty
    );
    assert_eq!((clones.get(), sender.len()), (1, 2));
    assert!(first.try_recv().is_ok() && first.try_recv().is_ok());
    assert_eq!((clones.get(), sender.len()), (1, 0));
    assert_eq!(Rc::strong_count(&clones), 1);
    drop((first, second));
    assert!(matches!(
        sender.try_send(Counted(clones)),
        Err(TrySendError::Closed(_))
    ));
}

#[test]
fn broadcast_skips_for_slow_receivers_and_tells_them() {
    let (sender, mut slow) = broadcast::channel(2, SlowReceivers::Skip);
    let mut fast = sender.subscribe();
    for number in 0..5 {
        assert_eq!(sender.try_send(number), Ok(2));
        assert_eq!(fast.try_recv(), Ok(number));
    }
    drop(sender);
    let mut recv = |expected| {
        assert_eq!(poll_once(&mut Box::pin(slow.recv())), Poll::Ready(expected));
    };
    recv(Err(RecvError::Lagged(3)));
    recv(Ok(3));
    recv(Ok(4));
    recv(Err(RecvError::Closed));
    recv(Err(RecvError::Closed));
}

#[test]
fn broadcast_senders_wait_for_the_slowest_in_order() {
    let (sender, mut slow) = broadcast::channel(1, SlowReceivers::Wait);
    let mut fast = sender.subscribe();
    assert_eq!(poll_once(&mut Box::pin(sender.send(1))), Poll::Ready(Ok(2)));
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    let (wakes, waker) = counting();
    let mut second = Box::pin(sender.send(2));
    let mut third = Box::pin(sender.send(3));
    let mut fourth = Box::pin(sender.send(4));
    assert!(poll_with(&mut second, &waker).is_pending());
    assert!(!is_ready(&mut third) && !is_ready(&mut fourth));
    assert_eq!(fast.try_recv(), Ok(1));
    assert_eq!(wakes.count(), 0);
    assert_eq!(slow.try_recv(), Ok(1));
    assert_eq!(wakes.count(), 1);
    // One that was chosen and is dropped passes its place on.
    drop(second);
    assert_eq!(poll_once(&mut third), Poll::Ready(Ok(2)));
    assert_eq!(fast.try_recv(), Ok(3));
    drop(slow);
    assert_eq!(poll_once(&mut fourth), Poll::Ready(Ok(1)));
    let mut fifth = Box::pin(sender.send(5));
    assert!(!is_ready(&mut fifth));
    drop(fast);
    assert_eq!(poll_once(&mut fifth), Poll::Ready(Err(SendError(5))));
    // The places are there for the next receiver.
    let mut next = sender.subscribe();
    assert_eq!(sender.try_send(6), Ok(1));
    assert_eq!(next.try_recv(), Ok(6));
}

#[test]
fn broadcast_wakes_those_who_wait_and_drops_what_was_not_received() {
    let dropped = Rc::new(());
    let (sender, mut receiver) = broadcast::channel(3, SlowReceivers::Wait);
    let other = sender.subscribe();
    let (wakes, waker) = counting();
    {
        let mut recv = Box::pin(receiver.recv());
        assert!(poll_with(&mut recv, &waker).is_pending());
        sender.try_send(dropped.clone()).unwrap();
        assert_eq!(wakes.count(), 1);
    }
    sender.try_send(dropped.clone()).unwrap();
    assert!(receiver.try_recv().is_ok());
    assert_eq!(Rc::strong_count(&dropped), 3);
    drop(other);
    assert_eq!((Rc::strong_count(&dropped), sender.len()), (2, 1));
    {
        drop(receiver.try_recv());
        let mut recv = Box::pin(receiver.recv());
        assert!(poll_with(&mut recv, &waker).is_pending());
        drop(sender);
        assert_eq!(wakes.count(), 2);
        assert!(matches!(
            poll_once(&mut recv),
            Poll::Ready(Err(RecvError::Closed))
        ));
    }
    assert_eq!(Rc::strong_count(&dropped), 1);
}

#[test]
fn broadcast_delivers_all_or_counts_what_was_missed_whatever_is_dropped() {
    for seed in 1..80 {
        let policy = [SlowReceivers::Skip, SlowReceivers::Wait][seed as usize % 2];
        let (sender, receiver) = broadcast::channel(1 + seed as usize % 4, policy);
        let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for task in 1..4 {
            let mut receiver = sender.subscribe();
            tasks.push(Box::pin(async move {
                let mut random = Random(seed * 131 + task);
                let mut next = 0;
                loop {
                    let received = if random.below(3) == 0 {
                        let polled = poll_once(&mut Box::pin(receiver.recv()));
                        yield_now().await;
                        match polled {
                            Poll::Ready(received) => received,
                            Poll::Pending => continue,
                        }
                    } else {
                        receiver.recv().await
                    };
                    match received {
                        Ok(value) => {
                            assert_eq!(value, next);
                            next += 1;
                        }
                        Err(RecvError::Lagged(count)) => {
                            assert_eq!(policy, SlowReceivers::Skip);
                            next += count;
                        }
                        Err(RecvError::Closed) => break,
                    }
                }
                assert_eq!(next, 40);
            }));
        }
        tasks.push(Box::pin(async move {
            let mut random = Random(seed);
            let mut value = 0;
            while value < 40 {
                let mut send = Box::pin(sender.send(value));
                let sent = match random.below(3) {
                    0 => poll_once(&mut send),
                    _ => Poll::Ready(send.await),
                };
                value += u64::from(sent.is_ready());
                if random.below(3) == 0 {
                    yield_now().await;
                }
            }
            assert!(sender.len() <= 1 + seed as usize % 4);
        }));
        drop(receiver);
        run_all(tasks);
    }
}

#[test]
fn states_let_their_wakers_use_them() {
    let (state, seen) = watch::channel(0);
    let (said, heard) = broadcast::channel(2, SlowReceivers::Wait);
    let stop = CancellationToken::new();
    let again = Rc::new((state.clone(), said.clone(), stop.child_token()));
    let on_waker = {
        let again = again.clone();
        move || {
            let (state, said, stop) = &*again;
            state.send_replace(7);
            let _ = said.try_send(7);
            let _ = said.subscribe().try_recv();
            drop(stop.child_token());
            let _polled = poll_once(&mut Box::pin(stop.cancelled()));
        }
    };
    with_nasty(on_waker, 6, || {
        let (mut seen, mut heard) = (seen, heard);
        let child = stop.child_token();
        {
            let mut changed = Box::pin(seen.changed());
            let _polled = poll_with(&mut changed, &nasty());
            let _polled = poll_with(&mut changed, &nasty());
            let mut recv = Box::pin(heard.recv());
            let _polled = poll_with(&mut recv, &nasty());
            let mut cancelled = Box::pin(child.cancelled());
            assert!(poll_with(&mut cancelled, &nasty()).is_pending());
            assert!(poll_with(&mut cancelled, &nasty()).is_pending());
            state.send_replace(1);
            let _ = said.try_send(1);
            stop.cancel();
            assert!(poll_with(&mut cancelled, &nasty()).is_ready());
        }
        drop((seen, heard, state, said));
    });
}

#[test]
fn a_token_cancels_its_children_and_none_above_it() {
    let root = CancellationToken::new();
    let (left, right) = (root.child_token(), root.child_token());
    let below = left.child_token();
    left.cancel();
    assert!(left.is_cancelled() && below.is_cancelled());
    assert!(!root.is_cancelled() && !right.is_cancelled());
    assert!(left.child_token().is_cancelled(), "a late child");
    let (wakes, waker) = counting();
    let mut waiting = Box::pin(right.cancelled());
    assert!(poll_with(&mut waiting, &waker).is_pending());
    drop((left, below));
    root.cancel();
    root.cancel();
    assert_eq!(wakes.count(), 1);
    assert!(poll_with(&mut waiting, &waker).is_ready());
    assert!(is_ready(&mut Box::pin(root.clone().cancelled_owned())));
}

#[test]
fn a_child_is_cancelled_though_the_tokens_between_are_dropped() {
    let root = CancellationToken::new();
    let child = root.child_token().child_token().child_token();
    root.cancel();
    assert!(child.is_cancelled());
}

#[test]
fn a_long_line_of_tokens_is_cancelled_and_dropped_without_recursion() {
    for is_cancelled in [false, true] {
        let root = CancellationToken::new();
        let mut last = root.clone();
        for _ in 0..100_000 {
            last = last.child_token();
        }
        if is_cancelled {
            root.cancel();
        }
        assert_eq!(last.is_cancelled(), is_cancelled);
    }
}

#[test]
fn a_dropped_wait_for_a_token_leaves_nothing() {
    let root = CancellationToken::new();
    let (wakes, waker) = counting();
    for _ in 0..3 {
        let child = root.child_token();
        assert!(poll_with(&mut Box::pin(child.cancelled()), &waker).is_pending());
        let run = child.run_until_cancelled(std::future::pending::<()>());
        assert!(poll_with(&mut Box::pin(run), &waker).is_pending());
    }
    assert_eq!(Arc::strong_count(&wakes), 2, "the test and its waker");
    root.cancel();
    assert_eq!(wakes.count(), 0);
}

#[test]
fn run_until_cancelled_drops_its_future_when_the_token_is_cancelled() {
    let stop = CancellationToken::new();
    let (sender, receiver) = oneshot::channel::<u32>();
    let (wakes, waker) = counting();
    let mut run = Box::pin(stop.run_until_cancelled(receiver));
    assert!(poll_with(&mut run, &waker).is_pending());
    stop.cancel();
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll_with(&mut run, &waker), Poll::Ready(None));
    drop(run);
    assert!(sender.is_closed());
    let unpolled = stop.run_until_cancelled(async { unreachable!("it is cancelled") });
    assert_eq!(poll_once(&mut Box::pin(unpolled)), Poll::Ready(None::<()>));
    let guard = CancellationToken::new().drop_guard();
    let token = guard.disarm();
    assert!(!token.is_cancelled());
}

#[test]
fn a_waker_that_panics_keeps_no_token_from_being_cancelled() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker's panic"));
        }
    }

    let root = CancellationToken::new();
    let children = [(); 4].map(|()| root.child_token());
    let (wakes, waker) = counting();
    let panics = Waker::from(Arc::new(Panics));
    let mut waiting: Vec<_> = children
        .iter()
        .map(|child| Box::pin(child.cancelled()))
        .collect();
    for (number, wait) in waiting.iter_mut().enumerate() {
        let waker = if number % 2 == 0 { &panics } else { &waker };
        assert!(poll_with(wait, waker).is_pending());
    }
    let cancel = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| root.cancel()));
    assert!(cancel.is_err());
    assert_eq!(wakes.count(), 2);
    assert!(waiting.iter_mut().all(is_ready));
}
