//! Waking and yielding allocate nothing.

#[path = "../support/mod.rs"]
mod support;

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use annulus::task::{self, JoinHandle, JoinSet};

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
