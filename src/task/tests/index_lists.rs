use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
    thread,
};

use super::*;

fn taken(wakes: &IndexWakes) -> Vec<u32> {
    let mut indices = Vec::new();
    wakes.take(&mut indices);
    indices
}

#[test]
fn woken_indices_come_once_and_in_order() {
    let wakes = IndexWakes::new();
    assert!(wakes.is_empty());
    assert_eq!(wakes.pop(), None);
    for index in [7, 0, 10_000, 7, 63, 64, 0] {
        wakes.waker(index).wake();
    }
    assert_eq!(taken(&wakes), [7, 0, 10_000, 63, 64]);
    assert!(wakes.is_empty());
    let waker = wakes.waker(7);
    waker.wake_by_ref();
    assert_eq!(wakes.pop(), Some(7));
    clone_and_wake(&waker);
    waker.wake();
    assert_eq!(taken(&wakes), [7]);
}

#[test]
fn take_appends() {
    let wakes = IndexWakes::new();
    wakes.waker(2).wake();
    let mut indices = vec![1];
    wakes.take(&mut indices);
    assert_eq!(indices, [1, 2]);
}

#[test]
fn the_worker_is_woken_once_for_each_time_that_it_waits() {
    let wakes = IndexWakes::new();
    let count = Arc::new(AtomicUsize::new(0));
    let woken = count.clone();
    let worker = Waker::from(Arc::new(CallOnWake(move || {
        woken.fetch_add(1, Ordering::SeqCst);
    })));
    let cx = &mut Context::from_waker(&worker);
    for round in 1..=3 {
        assert!(wakes.poll_ready(cx).is_pending());
        assert!(wakes.poll_ready(cx).is_pending());
        for index in 0..5 {
            wakes.waker(index).wake();
        }
        assert_eq!(count.load(Ordering::SeqCst), round);
        assert!(wakes.poll_ready(cx).is_ready());
        assert_eq!(taken(&wakes).len(), 5);
    }
    assert!(
        wakes
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    wakes.waker(0).wake();
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn lists_do_not_disturb_each_other() {
    let lists: Vec<_> = (0..100).map(|_| IndexWakes::new()).collect();
    for (index, wakes) in lists.iter().enumerate() {
        wakes.waker(index as u32).wake();
    }
    for (index, wakes) in lists.iter().enumerate() {
        assert_eq!(taken(wakes), [index as u32]);
    }
}

#[test]
fn a_waker_on_another_thread_counts_and_after_its_list_does_nothing() {
    let wakes = IndexWakes::new();
    let waker = wakes.waker(3);
    let other = waker.clone();
    let (worker, worker_woken) = counting_waker();
    assert!(
        wakes
            .poll_ready(&mut Context::from_waker(&worker))
            .is_pending()
    );
    thread::spawn(move || {
        let _list_of_that_thread = IndexWakes::new();
        other.wake_by_ref();
        other.wake();
    })
    .join()
    .unwrap();
    assert_eq!(worker_woken.load(Ordering::Relaxed), 1);
    assert_eq!(taken(&wakes), [3]);
    assert!(wakes.is_empty());
    drop(wakes);
    waker.wake_by_ref();
    waker.wake();
}

#[test]
fn wakers_of_one_index_will_wake_each_other_and_no_other() {
    let (wakes, other) = (IndexWakes::new(), IndexWakes::new());
    assert!(wakes.waker(1).will_wake(&wakes.waker(1)));
    assert!(!wakes.waker(1).will_wake(&wakes.waker(2)));
    assert!(!wakes.waker(1).will_wake(&other.waker(1)));
}

#[test]
fn the_worker_may_use_the_list_when_it_is_woken() {
    thread_local! {
        static WAKES: RefCell<Option<Rc<IndexWakes>>> = const { RefCell::new(None) };
    }
    let wakes = Rc::new(IndexWakes::new());
    WAKES.set(Some(wakes.clone()));
    let worker = Waker::from(Arc::new(CallOnWake(|| {
        let wakes = WAKES.take().unwrap();
        assert_eq!(taken(&wakes), [1]);
        wakes.waker(2).wake();
        drop(IndexWakes::new());
    })));
    assert!(
        wakes
            .poll_ready(&mut Context::from_waker(&worker))
            .is_pending()
    );
    wakes.waker(1).wake();
    assert_eq!(taken(&wakes), [2]);
}

struct Counting(Arc<AtomicUsize>);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker that counts, for other threads too.
fn counting_waker() -> (Waker, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    (Waker::from(Arc::new(Counting(Arc::clone(&count)))), count)
}
