//! Waking and yielding allocate nothing.

#[path = "../support/mod.rs"]
mod support;

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use annulus::{
    future::join,
    sync::{
        CancellationToken, Mutex, Queue, RwLock,
        broadcast::{self, SlowReceivers},
        remote, watch,
    },
    task::{self, JoinHandle, JoinSet},
};

use support::counting::{self, Counting};

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations `future` made, when it did all of this once before.
async fn allocations(mut future: impl AsyncFnMut()) -> usize {
    future().await;
    let before = counting::allocations();
    future().await;
    counting::allocations() - before
}

#[test]
fn yielding_allocates_nothing() {
    let count = annulus::run(async {
        allocations(async || {
            for _ in 0..100 {
                task::yield_now().await;
            }
        })
        .await
    });
    assert_eq!(count, 0);
}

#[test]
fn waking_other_tasks_allocates_nothing() {
    let count = annulus::run(async {
        let wakers = Rc::new(Cell::new(Vec::<Waker>::with_capacity(16)));
        for _ in 0..10 {
            let wakers = wakers.clone();
            task::spawn(poll_fn::<(), _>(move |cx| {
                let mut list = wakers.take();
                list.push(cx.waker().clone());
                wakers.set(list);
                Poll::Pending
            }));
        }
        task::yield_now().await;
        allocations(async || {
            let mut list = wakers.take();
            assert_eq!(list.len(), 10);
            list.drain(..).for_each(Waker::wake);
            wakers.set(list);
            task::yield_now().await;
            task::yield_now().await;
        })
        .await
    });
    assert_eq!(count, 0);
}

#[test]
fn a_task_is_one_allocation() {
    let count = annulus::run(async {
        let mut handle = None::<JoinHandle<[u64; 4]>>;
        allocations(async || {
            handle = Some(task::spawn(async {
                task::yield_now().await;
                [1; 4]
            }));
            assert_eq!(handle.take().unwrap().await.unwrap(), [1; 4]);
        })
        .await
    });
    assert_eq!(count, 1);
}

/// Many programs make a set for one task, so that it ends with its owner.
#[test]
fn a_set_of_one_task_is_few_allocations() {
    let count = annulus::run(async {
        allocations(async || {
            let mut set = JoinSet::new();
            set.spawn(async { 5 });
            assert_eq!(set.join_next().await.unwrap().unwrap(), 5);
        })
        .await
    });
    assert_eq!(count, 2);
}

#[test]
fn channels_and_locks_allocate_nothing_once_they_were_used() {
    let count = annulus::run(async {
        let (mutex, lock, queue) = (Mutex::new(0), RwLock::new(0), Queue::bounded(4));
        let (state, mut seen) = watch::channel(0);
        let (said, mut heard) = broadcast::channel(4, SlowReceivers::Wait);
        let (sender, mut receiver) = remote::mpsc::channel(4);
        let stop = CancellationToken::new();
        allocations(async || {
            for number in 0..10 {
                *mutex.lock().await += 1;
                *lock.write().await += 1;
                assert_eq!(*lock.read().await, *mutex.lock().await);
                queue.put(number).await.unwrap();
                assert_eq!(queue.get().await, Some(number));
                queue.task_done();
                queue.join().await;
                // Each receiver waits when its value is sent.
                let (changed, ()) =
                    join(seen.changed(), async { state.send(number).unwrap() }).await;
                let (received, sent) = join(heard.recv(), said.send(number)).await;
                assert_eq!((changed, received, sent), (Ok(()), Ok(number), Ok(1)));
                let (received, sent) = join(receiver.recv(), sender.send(number)).await;
                assert_eq!((received, sent), (Some(number), Ok(())));
                assert!(stop.run_until_cancelled(task::yield_now()).await.is_some());
            }
        })
        .await
    });
    assert_eq!(count, 0);
}
