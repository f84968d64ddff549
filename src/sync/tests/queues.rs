//! The queue with `task_done` and `join`.

use super::*;

#[test]
fn queue_serves_both_ends_in_order() {
    let queue = Queue::bounded(1);
    let mut first = Box::pin(queue.get());
    let mut second = Box::pin(queue.get());
    let (wakes, waker) = counting();
    assert!(!is_ready(&mut first));
    assert!(poll_with(&mut second, &waker).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!(queue.try_put(2), Err(TrySendError::Full(2)));
    assert_eq!(
        queue.try_get(),
        Err(TryRecvError::Empty),
        "it is the first one's"
    );
    let mut third = Box::pin(queue.put(3));
    let mut fourth = Box::pin(queue.put(4));
    assert!(!is_ready(&mut third) && !is_ready(&mut fourth));
    assert_eq!(wakes.count(), 0);
    assert_eq!(poll_once(&mut first), Poll::Ready(Some(1)));
    assert_eq!(
        queue.try_put(5),
        Err(TrySendError::Full(5)),
        "the place is the third one's"
    );
    assert!(!is_ready(&mut fourth));
    assert_eq!(poll_once(&mut third), Poll::Ready(Ok(())));
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll_with(&mut second, &waker), Poll::Ready(Some(3)));
    assert_eq!(poll_once(&mut fourth), Poll::Ready(Ok(())));
    assert_eq!(
        (queue.len(), queue.unfinished(), queue.capacity()),
        (1, 3, 1)
    );
}

#[test]
fn queue_passes_on_the_value_and_the_place_of_a_dropped_future() {
    let queue = Queue::bounded(1);
    let mut first = Box::pin(queue.get());
    let mut second = Box::pin(queue.get());
    assert!(!is_ready(&mut first) && !is_ready(&mut second));
    queue.try_put(1).unwrap();
    drop(first);
    assert_eq!(poll_once(&mut second), Poll::Ready(Some(1)));
    queue.try_put(2).unwrap();
    let mut third = Box::pin(queue.put(3));
    let mut fourth = Box::pin(queue.put(4));
    assert!(!is_ready(&mut third) && !is_ready(&mut fourth));
    assert_eq!(queue.try_get(), Ok(2));
    drop(third);
    assert_eq!(poll_once(&mut fourth), Poll::Ready(Ok(())));
    assert_eq!(queue.try_get(), Ok(4));
    assert!(queue.is_empty());
}

#[test]
fn queue_join_waits_for_every_value_that_was_put_in() {
    let queue = Queue::unbounded();
    assert!(is_ready(&mut Box::pin(queue.join())));
    queue.try_put(1).unwrap();
    let (wakes, waker) = counting();
    let mut join = Box::pin(queue.join());
    let mut dropped = Box::pin(queue.join());
    assert!(poll_with(&mut join, &waker).is_pending());
    assert!(!is_ready(&mut dropped));
    assert_eq!(queue.try_get(), Ok(1));
    queue.try_put(2).unwrap();
    drop(queue.task_done_on_drop());
    assert!(poll_with(&mut join, &waker).is_pending());
    assert_eq!(queue.try_get(), Ok(2));
    drop(dropped);
    queue.task_done();
    assert_eq!(wakes.count(), 1);
    // All was done at that moment, whatever comes before the poll.
    queue.try_put(3).unwrap();
    assert!(poll_with(&mut join, &waker).is_ready());
    assert!(poll_with(&mut join, &waker).is_ready());
}

#[test]
#[should_panic(expected = "expected a value that is not done, found that all are")]
fn queue_refuses_more_ends_than_values() {
    Queue::<u8>::unbounded().task_done();
}

#[test]
#[should_panic(expected = "expected a queue with room for a value")]
fn queue_refuses_a_capacity_of_zero() {
    let _queue = Queue::<u8>::bounded(0);
}

#[test]
fn queue_close_gives_values_back_and_keeps_those_that_are_in() {
    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let (wakes, waker) = counting();
    let mut putting = Box::pin(queue.put(2));
    assert!(poll_with(&mut putting, &waker).is_pending());
    queue.close();
    assert_eq!(wakes.count(), 1);
    assert_eq!(
        poll_with(&mut putting, &waker),
        Poll::Ready(Err(SendError(2)))
    );
    assert_eq!(queue.try_put(3), Err(TrySendError::Closed(3)));
    assert_eq!(
        poll_once(&mut Box::pin(queue.put(3))),
        Poll::Ready(Err(SendError(3)))
    );
    assert_eq!(poll_once(&mut Box::pin(queue.get())), Poll::Ready(Some(1)));
    assert_eq!(poll_once(&mut Box::pin(queue.get())), Poll::Ready(None));
    assert_eq!(queue.try_get(), Err(TryRecvError::Closed));

    let queue = Queue::<u8>::unbounded();
    let mut getting = Box::pin(queue.get());
    assert!(poll_with(&mut getting, &waker).is_pending());
    queue.close();
    assert_eq!(wakes.count(), 2);
    assert_eq!(poll_with(&mut getting, &waker), Poll::Ready(None));
}

/// Those that get values have been told by then that no more will come.
#[test]
fn queue_refuses_a_value_whose_place_was_free_just_before_the_close() {
    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let mut putting = Box::pin(queue.put(2));
    assert!(!is_ready(&mut putting));
    assert_eq!(queue.try_get(), Ok(1));
    queue.close();
    assert_eq!(poll_once(&mut Box::pin(queue.get())), Poll::Ready(None));
    assert_eq!(poll_once(&mut putting), Poll::Ready(Err(SendError(2))));
    queue.task_done();
    assert!(is_ready(&mut Box::pin(queue.join())));
}

#[test]
fn queue_keeps_a_value_whose_getter_was_chosen_and_dropped_after_the_close() {
    let queue = Queue::unbounded();
    let mut chosen = Box::pin(queue.get());
    assert!(!is_ready(&mut chosen));
    queue.try_put(1).unwrap();
    queue.close();
    assert_eq!(
        queue.try_get(),
        Err(TryRecvError::Closed),
        "it is the chosen one's"
    );
    drop(chosen);
    assert_eq!(queue.try_get(), Ok(1));
}

#[test]
fn queue_delivers_each_value_once_whatever_is_dropped() {
    for seed in 1..60 {
        let queue = Queue::bounded(1 + seed as usize % 3);
        let (put, got) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let putting = Cell::new(3);
        let putters = (0..3).map(|task| -> Pin<Box<dyn Future<Output = ()> + '_>> {
            let (queue, put, putting) = (&queue, &put, &putting);
            Box::pin(async move {
                let mut random = Random(seed * 131 + task);
                for number in 0..40 {
                    let value = task * 100 + number;
                    let mut putting = Box::pin(queue.put(value));
                    let is_put = match random.below(3) {
                        0 => {
                            let polled = poll_once(&mut putting);
                            yield_now().await;
                            polled.is_ready()
                        }
                        _ => putting.await.is_ok(),
                    };
                    if is_put {
                        put.borrow_mut().push(value);
                    }
                }
                putting.set(putting.get() - 1);
                if putting.get() == 0 {
                    queue.join().await;
                    assert_eq!(queue.unfinished(), 0);
                    queue.close();
                }
            })
        });
        let getters = (0..3).map(|task| -> Pin<Box<dyn Future<Output = ()> + '_>> {
            let (queue, got) = (&queue, &got);
            Box::pin(async move {
                let mut random = Random(seed * 717 + task);
                loop {
                    let mut getting = Box::pin(queue.get());
                    let value = if random.below(3) == 0 {
                        let polled = poll_once(&mut getting);
                        yield_now().await;
                        match polled {
                            Poll::Ready(value) => value,
                            Poll::Pending => continue,
                        }
                    } else {
                        getting.await
                    };
                    let Some(value) = value else { break };
                    let _done = queue.task_done_on_drop();
                    got.borrow_mut().push(value);
                    if random.below(2) == 0 {
                        yield_now().await;
                    }
                }
            })
        });
        run_all(putters.chain(getters).collect());
        let (mut put, mut got) = (put.take(), got.take());
        put.sort_unstable();
        got.sort_unstable();
        assert_eq!(put, got);
        assert!(queue.is_empty() && queue.unfinished() == 0);
    }
}

#[test]
fn queue_wakers_may_use_it() {
    let queue = Rc::new(Queue::bounded(2));
    let again = queue.clone();
    let on_waker = move || {
        let _ = again.try_put(7);
        let _ = again.try_get();
        let _polled = poll_once(&mut Box::pin(again.get()));
        let _polled = poll_once(&mut Box::pin(again.put(8)));
        let _polled = poll_once(&mut Box::pin(again.join()));
    };
    with_nasty(on_waker, 6, || {
        let mut getting: Vec<_> = (0..3).map(|_| Box::pin(queue.get())).collect();
        for get in &mut getting {
            // The wakers put and get, too.
            if poll_with(get, &nasty()).is_pending() {
                let _polled = poll_with(get, &nasty());
            }
        }
        let _ = queue.try_put(1);
        let _ = queue.try_put(2);
        drop(getting.remove(0));
        drop(getting);
        while queue.try_put(3).is_ok() {}
        let mut putting: Vec<_> = (0..3).map(|_| Box::pin(queue.put(4))).collect();
        for put in &mut putting {
            let _polled = poll_with(put, &nasty());
        }
        let mut joining = Box::pin(queue.join());
        let _polled = poll_with(&mut joining, &nasty());
        while queue.try_get().is_ok() {}
        queue.close();
    });
}

/// The waker of one task panics, and no other task and no value is lost by that.
#[test]
fn queue_loses_nothing_to_wakers_that_panic() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker's panic"));
        }
    }

    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let mut putting = Box::pin(queue.put(2));
    assert!(poll_with(&mut putting, &Waker::from(Arc::new(Panics))).is_pending());
    assert_eq!(queue.try_get(), Ok(1));
    assert!(is_ready(&mut putting));
    assert_eq!(queue.try_get(), Ok(2));

    let mut getting = Box::pin(queue.get());
    assert!(poll_with(&mut getting, &Waker::from(Arc::new(Panics))).is_pending());
    let put = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| queue.try_put(3)));
    assert!(put.is_err());
    assert_eq!(poll_once(&mut getting), Poll::Ready(Some(3)));
    assert_eq!(queue.unfinished(), 3);
}
