//! Mutex, read-write lock, once cell and barrier.

use std::future::pending;

use super::*;

#[test]
fn mutex_serves_in_order_and_passes_on_the_turn_of_a_dropped_future() {
    let mutex = Mutex::new(0);
    let held = mutex.try_lock().unwrap();
    let mut first = Box::pin(mutex.lock());
    let mut second = Box::pin(mutex.lock());
    let mut third = Box::pin(mutex.lock());
    let (wakes, waker) = counting();
    assert!(!is_ready(&mut first));
    assert!(poll_with(&mut second, &waker).is_pending());
    assert!(!is_ready(&mut third));
    drop(held);
    assert!(mutex.try_lock().is_none(), "the turn is the first one's");
    assert_eq!(wakes.count(), 0);
    drop(first);
    assert_eq!(wakes.count(), 1);
    assert!(!is_ready(&mut third));
    let Poll::Ready(mut guard) = poll_with(&mut second, &waker) else {
        panic!("it has the turn");
    };
    *guard += 1;
    drop(guard);
    assert!(is_ready(&mut third));
    drop((second, third));
    assert_eq!(mutex.into_inner(), 1);
}

#[test]
fn mutex_is_free_after_a_panic_and_shows_its_value() {
    let mut mutex = Mutex::from(5);
    assert_eq!(format!("{mutex:?}"), "Mutex { value: 5 }");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = mutex.try_lock().unwrap();
        assert_eq!(format!("{mutex:?}"), "Mutex { value: <locked> }");
        std::panic::resume_unwind(Box::new("planned"));
    }));
    assert!(caught.is_err());
    assert_eq!(format!("{:?}", mutex.try_lock().unwrap()), "5");
    *mutex.get_mut() = 6;
    assert_eq!(*mutex.try_lock().unwrap(), 6);
}

#[test]
fn mutex_holds_unsized_values() {
    let mutex: Rc<Mutex<[u8]>> = Rc::new(Mutex::new([1, 2, 3]));
    mutex.try_lock().unwrap()[0] = 9;
    assert_eq!(*mutex.try_lock().unwrap(), [9, 2, 3]);
}

#[test]
fn rw_lock_lets_many_read_and_a_waiting_writer_comes_before_later_readers() {
    let lock = RwLock::new(1);
    let first = lock.try_read().unwrap();
    let second = lock.try_read().unwrap();
    assert!(lock.try_write().is_none());
    let mut writer = Box::pin(lock.write());
    let mut reader = Box::pin(lock.read());
    assert!(!is_ready(&mut writer) && !is_ready(&mut reader));
    assert!(lock.try_read().is_none());
    drop(first);
    assert!(!is_ready(&mut writer));
    drop(second);
    assert!(!is_ready(&mut reader));
    let Poll::Ready(mut guard) = poll_once(&mut writer) else {
        panic!("the writer is first");
    };
    *guard += 1;
    assert_eq!(format!("{lock:?}"), "RwLock { value: <locked> }");
    drop(guard);
    assert!(matches!(poll_once(&mut reader), Poll::Ready(guard) if *guard == 2));
}

#[test]
fn rw_lock_lets_readers_on_when_the_writer_before_them_leaves() {
    let lock = RwLock::new(());
    let held = lock.try_read().unwrap();
    let mut writer = Box::pin(lock.write());
    let mut reader = Box::pin(lock.read());
    assert!(!is_ready(&mut writer) && !is_ready(&mut reader));
    drop(writer);
    assert!(is_ready(&mut reader));
    drop((held, reader));
    assert!(lock.try_write().is_some());
}

#[test]
fn rw_lock_downgrades_without_a_gap() {
    let lock = RwLock::new(1);
    let mut guard = lock.try_write().unwrap();
    let mut reader = Box::pin(lock.read());
    let mut writer = Box::pin(lock.write());
    assert!(!is_ready(&mut reader) && !is_ready(&mut writer));
    *guard = 2;
    let guard = guard.downgrade();
    assert!(matches!(poll_once(&mut reader), Poll::Ready(other) if *other == 2));
    assert!(!is_ready(&mut writer));
    drop(guard);
    assert!(is_ready(&mut writer));
}

#[test]
fn locks_are_held_by_readers_or_by_one_writer_whatever_is_dropped() {
    for seed in 1..60 {
        let lock = RwLock::new(0);
        let mutex = Mutex::new(0);
        let (readers, writers, owners) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let tasks = (1..8).map(|task| -> Pin<Box<dyn Future<Output = ()> + '_>> {
            let (lock, mutex) = (&lock, &mutex);
            let (readers, writers, owners) = (&readers, &writers, &owners);
            Box::pin(async move {
                let mut random = Random(seed * 131 + task);
                for _ in 0..40 {
                    match random.below(6) {
                        0 => {
                            // Gives up, whether it has its turn or not.
                            let _polled = poll_once(&mut Box::pin(lock.write()));
                            let _polled = poll_once(&mut Box::pin(mutex.lock()));
                            yield_now().await;
                        }
                        1 => {
                            let mut guard = lock.write().await;
                            writers.set(writers.get() + 1);
                            assert_eq!((readers.get(), writers.get()), (0, 1));
                            *guard += 1;
                            yield_now().await;
                            writers.set(writers.get() - 1);
                        }
                        2 => {
                            let mut guard = mutex.lock().await;
                            owners.set(owners.get() + 1);
                            assert_eq!(owners.get(), 1);
                            *guard += 1;
                            yield_now().await;
                            owners.set(owners.get() - 1);
                        }
                        _ => {
                            let _guard = lock.read().await;
                            readers.set(readers.get() + 1);
                            assert_eq!(writers.get(), 0);
                            yield_now().await;
                            readers.set(readers.get() - 1);
                        }
                    }
                }
            })
        });
        run_all(tasks.collect());
        assert!(lock.try_write().is_some() && mutex.try_lock().is_some());
    }
}

#[test]
fn once_cell_makes_its_value_once_for_all_who_wait() {
    let cell = OnceCell::new();
    let (sender, receiver) = oneshot::channel::<u32>();
    let mut first = Box::pin(cell.get_or_init(async || receiver.await.unwrap()));
    let mut second = Box::pin(cell.get_or_init(async || unreachable!("the first one makes it")));
    let mut third = Box::pin(cell.get_or_init(async || unreachable!("the first one makes it")));
    let (wakes, waker) = counting();
    assert!(!is_ready(&mut first));
    assert!(poll_with(&mut second, &waker).is_pending());
    assert!(poll_with(&mut third, &waker).is_pending());
    assert_eq!(cell.set(6), Err(6), "it is being made");
    sender.send(5).unwrap();
    assert_eq!(poll_once(&mut first), Poll::Ready(&5));
    assert_eq!(wakes.count(), 2);
    assert_eq!(poll_once(&mut second), Poll::Ready(&5));
    assert_eq!(poll_once(&mut third), Poll::Ready(&5));
    assert_eq!((cell.get(), cell.set(6)), (Some(&5), Err(6)));
    drop((first, second, third));
    assert_eq!(cell.into_inner(), Some(5));
}

#[test]
fn once_cell_goes_on_with_the_next_when_one_fails_or_is_dropped() {
    let cell = OnceCell::new();
    let mut dropped = Box::pin(cell.get_or_init(async || pending().await));
    let (sender, receiver) = oneshot::channel::<()>();
    let mut failing = Box::pin(cell.get_or_try_init(async || Err(receiver.await)));
    let mut last = Box::pin(cell.get_or_init(async || 7));
    assert!(!is_ready(&mut dropped));
    assert!(poll_once(&mut failing).is_pending());
    assert!(!is_ready(&mut last));
    drop(dropped);
    assert!(poll_once(&mut failing).is_pending());
    assert!(!is_ready(&mut last), "the other one tries");
    drop(sender);
    assert_eq!(poll_once(&mut failing), Poll::Ready(Err(Err(Closed))));
    assert_eq!(poll_once(&mut last), Poll::Ready(&7));
    assert_eq!(
        format!("{:?}", OnceCell::<u8>::new()),
        "OnceCell { value: <empty> }"
    );
}

#[test]
fn once_cell_is_set_by_hand() {
    let mut cell = OnceCell::new();
    assert_eq!(cell.set(1), Ok(()));
    *cell.get_mut().unwrap() = 2;
    let polled = poll_once(&mut Box::pin(cell.get_or_init(async || 3)));
    assert_eq!(polled, Poll::Ready(&2));
    assert_eq!(OnceCell::from(4).get(), Some(&4));
}

#[test]
fn barrier_lets_them_on_together_and_again() {
    let barrier = Barrier::new(3);
    for _ in 0..2 {
        let mut first = Box::pin(barrier.wait());
        let mut second = Box::pin(barrier.wait());
        let (wakes, waker) = counting();
        assert!(poll_with(&mut first, &waker).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        assert!(
            poll_with(&mut second, &waker).is_pending(),
            "it counts once"
        );
        let mut last = Box::pin(barrier.wait());
        assert!(matches!(poll_once(&mut last), Poll::Ready(result) if result.is_leader()));
        assert_eq!(wakes.count(), 2);
        for other in [&mut first, &mut second] {
            assert!(matches!(poll_once(other), Poll::Ready(result) if !result.is_leader()));
        }
    }
}

#[test]
fn barrier_counts_no_future_that_was_dropped() {
    let barrier = Barrier::new(2);
    let mut dropped = Box::pin(barrier.wait());
    assert!(!is_ready(&mut dropped));
    drop(dropped);
    let mut first = Box::pin(barrier.wait());
    assert!(!is_ready(&mut first));
    let unpolled = barrier.wait();
    assert!(is_ready(&mut Box::pin(barrier.wait())));
    drop(unpolled);
    // It was let on, and is dropped before it has seen that.
    drop(first);
    assert!(!is_ready(&mut Box::pin(barrier.wait())));
    for count in [0, 1] {
        assert!(is_ready(&mut Box::pin(Barrier::new(count).wait())));
    }
}

#[test]
fn barrier_never_lets_one_on_before_the_others_are_there() {
    for seed in 1..40 {
        let barrier = Barrier::new(4);
        let rounds = [(); 4].map(|()| Cell::new(0));
        let leader_count = Cell::new(0);
        let tasks = (0..4).map(|task| -> Pin<Box<dyn Future<Output = ()> + '_>> {
            let (barrier, rounds, leader_count) = (&barrier, &rounds, &leader_count);
            Box::pin(async move {
                let mut random = Random(seed * 131 + task as u64);
                for round in 1..=20 {
                    rounds[task].set(round);
                    let result = loop {
                        let mut wait = Box::pin(barrier.wait());
                        if random.below(3) > 0 {
                            break wait.await;
                        }
                        // Gives up, unless it was the last one.
                        if let Poll::Ready(result) = poll_once(&mut wait) {
                            break result;
                        }
                        drop(wait);
                        yield_now().await;
                    };
                    assert!(rounds.iter().all(|other| other.get() >= round));
                    leader_count.set(leader_count.get() + usize::from(result.is_leader()));
                }
            })
        });
        run_all(tasks.collect());
        assert_eq!(leader_count.get(), 20);
    }
}

#[test]
fn wakers_may_use_the_locks() {
    let mutex = Rc::new(Mutex::new(0));
    let lock = Rc::new(RwLock::new(0));
    let barrier = Rc::new(Barrier::new(9));
    let again = (mutex.clone(), lock.clone(), barrier.clone());
    let on_waker = move || {
        let (mutex, lock, barrier) = &again;
        drop(mutex.try_lock());
        let _polled = poll_once(&mut Box::pin(lock.read()));
        let _polled = poll_once(&mut Box::pin(lock.write()));
        let _polled = poll_once(&mut Box::pin(barrier.wait()));
    };
    with_nasty(on_waker, 8, || {
        let held = (mutex.try_lock(), lock.try_write());
        let mut locking: Vec<_> = (0..3).map(|_| Box::pin(mutex.lock())).collect();
        let mut reading: Vec<_> = (0..3).map(|_| Box::pin(lock.read())).collect();
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(barrier.wait())).collect();
        for _ in 0..2 {
            locking
                .iter_mut()
                .for_each(|lock| assert!(poll_with(lock, &nasty()).is_pending()));
            reading
                .iter_mut()
                .for_each(|lock| assert!(poll_with(lock, &nasty()).is_pending()));
            waiting
                .iter_mut()
                .for_each(|wait| assert!(poll_with(wait, &nasty()).is_pending()));
        }
        drop(held);
        drop((locking.remove(0), reading.remove(0)));
        assert!(poll_with(&mut locking[0], &nasty()).is_ready());
        assert!(poll_with(&mut reading[0], &nasty()).is_ready());
    });
    assert!(mutex.try_lock().is_some() && lock.try_write().is_some());
}
