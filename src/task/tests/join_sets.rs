use std::{
    cell::Cell,
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use super::*;

/// Waits for a number of turns.
async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn outputs_come_in_the_order_in_which_the_tasks_finish() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        let mut set = JoinSet::new();
        assert!(set.is_empty());
        assert!(set.join_next().await.is_none());
        for number in [5, 1, 3] {
            set.spawn(async move {
                turns(number).await;
                number
            });
        }
        assert_eq!(set.len(), 3);
        assert!(set.try_join_next().is_none());
        let mut outputs = Vec::new();
        while let Some(output) = set.join_next().await {
            outputs.push(output.unwrap());
        }
        assert_eq!(outputs, [1, 3, 5]);
        assert!(set.is_empty());
        // It can be used again, and reuses its slots.
        set.spawn(async { 9 });
        assert_eq!(set.join_next().await.unwrap().unwrap(), 9);
    });
}

#[test]
fn a_panic_and_an_abort_are_results_like_others() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        let mut set = JoinSet::new();
        set.spawn(async { std::panic::resume_unwind(Box::new("expected")) });
        assert!(set.join_next().await.unwrap().unwrap_err().is_panic());
        let handle = set.spawn(pending::<()>());
        handle.abort();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn join_next_that_is_dropped_loses_nothing() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        let mut set = JoinSet::new();
        for number in 0..10 {
            set.spawn(async move {
                turns(number % 3).await;
                number
            });
        }
        let mut outputs = Vec::new();
        while !set.is_empty() {
            {
                let mut next = std::pin::pin!(set.join_next());
                let polled = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
                if let Poll::Ready(Some(output)) = polled {
                    outputs.push(output.unwrap());
                }
            }
            yield_now().await;
        }
        outputs.sort_unstable();
        assert_eq!(outputs, (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn dropping_the_set_aborts_its_tasks() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let drops = Drops::default();
    let mut set = JoinSet::new();
    for _ in 0..3 {
        let token = drops.token();
        set.spawn(async move {
            let _token = token;
            pending::<()>().await;
        });
    }
    run_all(&tasks);
    drop(set);
    run_all(&tasks);
    assert_eq!(drops.count(), 3);
}

#[test]
fn abort_all_leaves_the_tasks_in_the_set() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        let mut set = JoinSet::new();
        set.spawn(async {});
        turns(2).await;
        set.spawn(pending());
        set.abort_all();
        assert_eq!(set.len(), 2);
        assert!(set.join_next().await.unwrap().is_ok());
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn detached_tasks_go_on_and_do_not_disturb_those_that_follow() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    let done = Rc::new(Cell::new(0));
    block_on(&tasks, &unpark, async {
        let mut set = JoinSet::new();
        for number in 0..4 {
            let done = done.clone();
            set.spawn(async move {
                turns(number).await;
                done.set(done.get() + 1);
                0
            });
        }
        yield_now().await; // the first has finished and is in the list
        set.detach_all();
        assert!(set.is_empty());
        set.spawn(async {
            turns(10).await;
            1
        });
        assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    });
    assert_eq!(done.get(), 4);
}

#[test]
fn a_set_outlives_its_runtime() {
    let (tasks, _unpark) = new_tasks();
    let mut set = JoinSet::new();
    {
        let _entered = tasks.enter();
        set.spawn(async { 1 });
        run_all(&tasks);
        set.spawn(pending());
        set.spawn(pending());
    }
    drop(tasks);
    let mut next = || {
        let cx = &mut Context::from_waker(Waker::noop());
        match set.poll_join_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => panic!("all are finished"),
        }
    };
    assert_eq!(next().unwrap().unwrap(), 1);
    assert!(next().unwrap().unwrap_err().is_cancelled());
    assert!(next().unwrap().unwrap_err().is_cancelled());
    assert!(next().is_none());
}

#[test]
fn a_handle_that_is_inserted_late_is_joined_at_once() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        let handle = spawn(async { 4 });
        turns(2).await;
        assert!(handle.is_finished());
        let mut set = JoinSet::default();
        set.insert(handle);
        assert_eq!(set.try_join_next().unwrap().unwrap(), 4);
    });
}

#[test]
#[should_panic(expected = "has returned its output already")]
fn a_handle_that_returned_cannot_be_inserted() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut handle = spawn(async {});
    run_all(&tasks);
    assert!(poll_once(&mut handle).is_ready());
    JoinSet::new().insert(handle);
}

#[test]
fn outputs_that_use_the_set_while_they_are_dropped_do_no_harm() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let mut set = JoinSet::new();
    for _ in 0..3 {
        set.spawn(async {
            OnDrop(|| {
                spawn(async {});
            })
        });
    }
    run_all(&tasks);
    drop(set.try_join_next());
    drop(set);
    run_all(&tasks);
    assert_eq!(tasks.counters().spawned, 6);
}

/// Panics when it is dropped, and counts that.
struct Bomb(Rc<Cell<usize>>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        std::panic::resume_unwind(Box::new("an output's panic"));
    }
}

#[test]
fn outputs_that_panic_as_they_are_dropped_are_dropped_all() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        for detach in [false, true] {
            let dropped = Rc::new(Cell::new(0));
            let mut set = JoinSet::new();
            for _ in 0..3 {
                let bomb = Bomb(Rc::clone(&dropped));
                set.spawn(async move { bomb });
            }
            turns(3).await;
            let end = AssertUnwindSafe(|| {
                if detach {
                    set.detach_all();
                }
                drop(set);
            });
            assert!(catch_unwind(end).is_err());
            assert_eq!(dropped.get(), 3);
        }
    });
}

#[test]
fn a_set_of_many_tasks_gives_its_memory_back_when_it_is_empty() {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        let mut set = JoinSet::new();
        for _ in 0..100_000 {
            set.spawn(async {});
        }
        assert_eq!(set.member_count(), 99_999);
        while set.join_next().await.is_some() {}
        assert_eq!(set.member_count(), 0);
        // The memory of a small set is kept.
        for _ in 0..2 {
            for _ in 0..100 {
                set.spawn(async {});
            }
            while set.join_next().await.is_some() {}
            assert_eq!(set.member_count(), 99);
        }
    });
}

#[test]
fn a_waker_that_panics_leaves_the_other_outputs_to_be_joined() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker's panic"));
        }
    }

    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, async {
        let mut set = JoinSet::new();
        for number in 0..3 {
            set.spawn(async move { number });
        }
        let waker = Waker::from(Arc::new(Panics));
        assert!(
            set.poll_join_next(&mut Context::from_waker(&waker))
                .is_pending()
        );
        turns(3).await;
        // Its task has finished, so that it wakes at once.
        let waker = Waker::from(Arc::new(Panics));
        let done = spawn(async { 3 });
        turns(1).await;
        for number in 0..3 {
            assert_eq!(set.try_join_next().unwrap().unwrap(), number);
        }
        set.spawn(pending());
        assert!(
            set.poll_join_next(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert!(catch_unwind(AssertUnwindSafe(|| set.insert(done))).is_err());
        assert_eq!(set.try_join_next().unwrap().unwrap(), 3);
        assert_eq!(set.len(), 1);
    });
}
