use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;

#[test]
fn every_future_is_dropped_and_every_handle_says_cancelled() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let mut handles: Vec<_> = (0..10)
        .map(|number| {
            let token = drops.token();
            spawn(async move {
                let _token = token;
                if number % 3 == 0 {
                    return;
                }
                if number % 3 == 1 {
                    std::future::pending().await
                }
                loop {
                    yield_now().await;
                }
            })
        })
        .collect();
    tasks.run(20);
    assert_eq!(drops.count(), 4);
    drop(entered);
    drop(tasks);
    assert_eq!(drops.count(), 10);
    for (number, handle) in handles.iter_mut().enumerate() {
        assert!(handle.is_finished());
        let Poll::Ready(output) = poll_once(handle) else {
            panic!("it is finished")
        };
        assert_eq!(output.is_ok(), number % 3 == 0);
        assert!(output.is_ok() || output.unwrap_err().is_cancelled());
    }
}

#[test]
fn an_output_outlives_the_runtime() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let token = drops.token();
    let mut taken = spawn(async { vec![1, 2, 3] });
    let untaken = spawn(async move { token });
    run_all(&tasks);
    drop(entered);
    drop(tasks);
    assert!(matches!(poll_once(&mut taken), Poll::Ready(Ok(list)) if list == [1, 2, 3]));
    assert_eq!(drops.count(), 0);
    drop(untaken);
    assert_eq!(drops.count(), 1);
}

#[test]
fn futures_are_dropped_oldest_first() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let order = Rc::new(RefCell::new(Vec::new()));
    for number in 0..3 {
        let order = order.clone();
        let on_drop = OnDrop(move || order.borrow_mut().push(number));
        spawn(async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
        });
    }
    drop(entered);
    drop(tasks);
    assert_eq!(*order.borrow(), [0, 1, 2]);
}

#[test]
fn tasks_spawned_by_futures_that_are_dropped_are_dropped_too() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let handles = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..3 {
        let (drops, handles) = (drops.clone(), handles.clone());
        let spawner = tasks.system_spawner();
        let on_drop = OnDrop(move || {
            let (inner, outer) = (drops.token(), drops.token());
            let spawner = spawner.clone();
            let nested = OnDrop(move || {
                let _outer = &outer;
                spawner.spawn(std::future::pending());
            });
            let handle = spawn(async move {
                let _nested = nested;
                let _inner = inner;
                unreachable!("the runtime is shut down");
            });
            assert!(handle.is_finished());
            handles.borrow_mut().push(handle);
        });
        spawn(async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
        });
    }
    run_all(&tasks);
    drop(entered);
    drop(tasks);
    assert_eq!(drops.count(), 6);
    for handle in handles.borrow_mut().iter_mut() {
        let output: Poll<Result<(), _>> = poll_once(handle);
        assert!(matches!(output, Poll::Ready(Err(error)) if error.is_cancelled()));
    }
}

#[test]
fn futures_that_wake_abort_and_detach_each_other_while_they_are_dropped_do_no_harm() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let wakers = Rc::new(RefCell::new(Vec::<Waker>::new()));
    let handles = Rc::new(RefCell::new(Vec::<JoinHandle<()>>::new()));
    for _ in 0..6 {
        let (all, others, token) = (wakers.clone(), handles.clone(), drops.token());
        let on_drop = OnDrop(move || {
            let _token = &token;
            for waker in all.borrow().iter() {
                waker.wake_by_ref();
            }
            for handle in others.borrow().iter() {
                handle.abort();
            }
            let one = others.borrow_mut().pop();
            drop(one);
            let one = all.borrow_mut().pop();
            drop(one);
        });
        let shown = wakers.clone();
        let handle = spawn(async move {
            let _on_drop = on_drop;
            poll_fn::<(), _>(|cx| {
                shown.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            })
            .await;
        });
        handles.borrow_mut().push(handle);
    }
    run_all(&tasks);
    tasks.shutdown();
    tasks.shutdown();
    assert_eq!(drops.count(), 6);
    assert!(!tasks.has_ready());
    drop(entered);
}

#[test]
fn a_panic_in_one_drop_does_not_spare_the_others() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Drops::default();
    let mut handles = Vec::new();
    for number in 0..4 {
        let token = drops.token();
        let on_drop = OnDrop(move || {
            if number % 2 == 0 {
                resume_unwind(Box::new("in drop"));
            }
        });
        handles.push(spawn(async move {
            let (_token, _on_drop) = (token, on_drop);
            std::future::pending::<()>().await;
        }));
    }
    run_all(&tasks);
    drop(entered);
    // Also while a panic unwinds.
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _tasks = tasks;
        resume_unwind(Box::new("outside"));
    }));
    assert_eq!(
        *unwound.unwrap_err().downcast::<&'static str>().unwrap(),
        "outside"
    );
    assert_eq!(drops.count(), 4);
    for (number, handle) in handles.iter_mut().enumerate() {
        let Poll::Ready(Err(error)) = poll_once(handle) else {
            panic!("it was cancelled")
        };
        assert_eq!(error.is_panic(), number % 2 == 0);
    }
}

#[test]
fn system_tasks_go_on_when_the_users_are_gone() {
    let (tasks, _unpark) = new_tasks();
    let _entered = tasks.enter();
    let steps = Rc::new(Cell::new(0));
    let system = |rounds: usize| {
        let steps = steps.clone();
        async move {
            for _ in 0..rounds {
                yield_now().await;
                steps.set(steps.get() + 1);
            }
        }
    };
    let drops = Drops::default();
    let token = drops.token();
    let finish = system(3);
    let on_drop = OnDrop({
        let mut finish = Some(finish);
        let spawner = tasks.system_spawner();
        move || spawner.spawn(finish.take().unwrap())
    });
    spawn(async move {
        let (_token, _on_drop) = (token, on_drop);
        loop {
            yield_now().await;
        }
    });
    tasks.system_spawner().spawn(system(2));
    tasks.system_spawner().spawn(std::future::pending());
    tasks.run(4);
    assert_eq!(tasks.system_count(), 2);

    tasks.shutdown_user();
    assert_eq!(drops.count(), 1);
    assert_eq!(tasks.system_count(), 3);
    let mut late = spawn(async { unreachable!("the user's part is shut down") });
    let output: Poll<Result<(), _>> = poll_once(&mut late);
    assert!(matches!(output, Poll::Ready(Err(error)) if error.is_cancelled()));
    run_all(&tasks);
    assert_eq!(steps.get(), 5);
    assert_eq!(tasks.system_count(), 1);

    tasks.shutdown();
    tasks.shutdown_user();
    assert_eq!(tasks.system_count(), 0);
}

#[test]
fn a_runtime_may_end_while_another_is_current() {
    let (inner, _inner_unpark) = new_tasks();
    let (outer, _outer_unpark) = new_tasks();
    let spawned = Rc::new(RefCell::new(None));
    {
        let _entered = inner.enter();
        let slot = spawned.clone();
        let on_drop = OnDrop(move || {
            slot.replace(Some(spawn(async {})));
        });
        spawn(async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
        });
    }
    let _entered = outer.enter();
    let mut holder = Some(inner);
    let mut ended = spawn(async move { drop(holder.take()) });
    run_all(&outer);
    assert!(poll_once(&mut ended).is_ready());
    // It was spawned in the inner one, which was about to end.
    let mut spawned = spawned.take().unwrap();
    assert!(matches!(poll_once(&mut spawned), Poll::Ready(Err(error)) if error.is_cancelled()));
    assert_eq!(outer.counters().spawned, 1);
    assert!(poll_once(&mut spawn(async {})).is_pending());
}

#[test]
fn a_runtime_that_is_shut_down_by_its_own_task_says_so_and_goes_on() {
    let (tasks, _unpark) = new_tasks();
    let tasks = Rc::new(tasks);
    let _entered = tasks.enter();
    let own = tasks.clone();
    let mut handle = spawn(async move { own.shutdown() });
    let mut other = spawn(async { 3 });
    run_all(&tasks);
    let Poll::Ready(Err(error)) = poll_once(&mut handle) else {
        panic!("it panicked")
    };
    assert!(error.to_string().contains("from inside a task"));
    assert!(matches!(poll_once(&mut other), Poll::Ready(Ok(3))));
}

/// Spawns `count` futures like itself when it is dropped, and counts that.
struct Replaced {
    drops: Rc<Cell<usize>>,
    count: usize,
    generations: usize,
}

impl Drop for Replaced {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        if self.generations == 0 {
            return;
        }
        for _ in 0..self.count {
            let next = Replaced {
                drops: Rc::clone(&self.drops),
                generations: self.generations - 1,
                ..*self
            };
            drop(spawn(async move {
                std::future::pending::<()>().await;
                drop(next);
            }));
        }
    }
}

/// How many of such futures are dropped when their runtime ends.
fn replaced(count: usize, generations: usize) -> usize {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let drops = Rc::new(Cell::new(0));
    let first = Replaced {
        drops: Rc::clone(&drops),
        count,
        generations,
    };
    drop(spawn(async move {
        std::future::pending::<()>().await;
        drop(first);
    }));
    run_all(&tasks);
    drop(tasks);
    drop(entered);
    drops.get()
}

#[test]
fn destructors_that_spawn_at_the_end_are_followed_to_theirs() {
    assert_eq!(replaced(1, 0), 1);
    assert_eq!(replaced(1, 500), 501);
    assert_eq!(replaced(3, 4), 1 + 3 + 9 + 27 + 81);
}

#[test]
fn a_destructor_that_spawns_its_replacement_for_ever_comes_to_an_end() {
    // The first one, the one that it spawns, and those that come of that.
    assert_eq!(replaced(1, usize::MAX), 1002);
    assert_eq!(replaced(2, usize::MAX), 1 + 2 * 1001);
}

#[test]
fn a_task_that_is_spawned_too_late_says_that_it_was_cancelled() {
    let (tasks, _unpark) = new_tasks();
    let entered = tasks.enter();
    let handles = Rc::new(RefCell::new(Vec::new()));
    let on_drop = {
        let handles = Rc::clone(&handles);
        OnDrop(move || {
            let inner = Rc::clone(&handles);
            let on_drop = OnDrop(move || {
                let handle = spawn(async { 1 });
                // Its future is dropped when this destructor has ended.
                handle.abort();
                inner.borrow_mut().push(handle);
            });
            let handle = spawn(async move {
                let _on_drop = on_drop;
                2
            });
            handles.borrow_mut().push(handle);
        })
    };
    drop(spawn(async move {
        std::future::pending::<()>().await;
        drop(on_drop);
    }));
    run_all(&tasks);
    drop(tasks);
    drop(entered);
    let mut handles = handles.take();
    assert_eq!(handles.len(), 2);
    for handle in &mut handles {
        let Poll::Ready(output) = poll_once(handle) else {
            panic!("it is finished")
        };
        assert!(output.unwrap_err().is_cancelled());
    }
}
