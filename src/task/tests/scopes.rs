//! Scopes of tasks, and values of a task.

use std::{future::pending, panic::AssertUnwindSafe, panic::catch_unwind};

use super::*;

/// Counts the drops of what a task holds.
#[derive(Clone, Default)]
struct Drops(Rc<Cell<usize>>);

struct Counted(Drops);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() + 1);
    }
}

impl Drops {
    fn one(&self) -> Counted {
        Counted(self.clone())
    }

    fn count(&self) -> usize {
        self.0.get()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let (tasks, unpark) = new_tasks();
    let _entered = tasks.enter();
    block_on(&tasks, &unpark, future)
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn a_scope_returns_when_its_tasks_have_ended() {
    run(async {
        let drops = Drops::default();
        let number = scope(async |scope| {
            for number in 0..3 {
                let (one, inner) = (drops.one(), scope.clone());
                scope.spawn(async move {
                    turns(number).await;
                    inner.spawn(async move {
                        turns(5).await;
                        drop(one);
                        Ok(())
                    });
                    Ok(())
                });
            }
            assert_eq!(scope.len(), 3);
            Ok::<_, ()>(7)
        });
        assert_eq!(number.await, Ok(7));
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn the_first_error_ends_the_body_and_the_other_tasks() {
    run(async {
        let drops = Drops::default();
        let result = scope(async |scope: Scope<u32>| {
            let _one = drops.one();
            for number in 1..4 {
                let one = drops.one();
                scope.spawn(async move {
                    let _one = one;
                    turns(number * 5).await;
                    Err(u32::try_from(number).unwrap())
                });
            }
            pending::<Result<(), u32>>().await
        });
        assert_eq!(result.await, Err(1));
        assert_eq!(drops.count(), 4);

        let result = scope(async |scope| {
            let one = drops.one();
            scope.spawn(async move {
                let _one = one;
                pending().await
            });
            yield_now().await;
            Err::<(), _>("the body's")
        });
        assert_eq!(result.await, Err("the body's"));
        assert_eq!(drops.count(), 5);
    });
}

#[test]
fn a_panic_of_a_task_ends_the_scope_and_goes_on_in_its_caller() {
    let drops = Drops::default();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        run(scope(async |scope: Scope<()>| {
            let one = drops.one();
            scope.spawn(async move {
                let _one = one;
                pending().await
            });
            scope.spawn(async { std::panic::resume_unwind(Box::new("planned")) });
            pending::<Result<(), ()>>().await
        }))
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"planned"));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_scope_that_is_dropped_aborts_its_tasks_and_takes_no_others() {
    run(async {
        let drops = Drops::default();
        let kept = Rc::new(Cell::new(None));
        let mut dropped = Box::pin(scope(async |scope: Scope<()>| {
            let one = drops.one();
            scope.spawn(async move {
                let _one = one;
                pending().await
            });
            kept.set(Some(scope));
            pending::<Result<(), ()>>().await
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        yield_now().await;
        drop(dropped);
        turns(2).await;
        assert_eq!(drops.count(), 1);
        let scope = kept.take().unwrap();
        let one = drops.one();
        scope.spawn(async move {
            let _one = one;
            unreachable!("the scope has ended")
        });
        turns(2).await;
        assert_eq!((drops.count(), scope.is_empty()), (2, true));
    });
}

#[test]
fn tasks_that_are_aborted_are_no_error_of_their_scope() {
    run(async {
        let result = scope(async |scope: Scope<()>| {
            scope.spawn(pending()).abort();
            scope.spawn(pending());
            scope.abort_all();
            scope.spawn(async { Ok(()) });
            Ok(5)
        });
        assert_eq!(result.await, Ok(5));
    });
}

#[test]
fn a_task_that_another_one_spawned_into_an_idle_scope_ends_it_too() {
    run(async {
        let shared = Rc::new(Cell::new(None));
        let outside = Rc::clone(&shared);
        let other = spawn(async move {
            let scope: Scope<&str> = loop {
                match outside.take() {
                    Some(scope) => break scope,
                    None => yield_now().await,
                }
            };
            turns(3).await;
            scope.spawn(async {
                turns(3).await;
                Err("from outside")
            });
        });
        let result = scope(async |scope| {
            shared.set(Some(scope));
            pending::<Result<(), _>>().await
        });
        assert_eq!(result.await, Err("from outside"));
        other.await.unwrap();
    });
}

crate::task_local! {
    /// A number.
    static NUMBER: Cell<u32>;
    static TEXT: String;
}

#[test]
fn a_task_has_its_own_value_over_its_awaits() {
    run(async {
        let tasks = [1, 2].map(|number| {
            spawn(NUMBER.scope(Cell::new(number), async {
                yield_now().await;
                NUMBER.with(|own| own.set(own.get() * 10));
                yield_now().await;
                let inner = TEXT.scope("inner".to_owned(), async {
                    (TEXT.get(), NUMBER.with(Cell::get))
                });
                inner.await
            }))
        });
        let mut numbers = Vec::new();
        for task in tasks {
            let (text, number) = task.await.unwrap();
            assert_eq!(text, "inner");
            numbers.push(number);
        }
        assert_eq!(numbers, [10, 20]);
        assert_eq!(NUMBER.try_with(Cell::get), Err(AccessError));
        assert_eq!(TEXT.try_get(), Err(AccessError));
    });
}

#[test]
fn scopes_of_a_key_nest_and_end_with_a_panic() {
    let outer = TEXT.sync_scope("outer".to_owned(), || {
        assert_eq!(TEXT.sync_scope("inner".to_owned(), || TEXT.get()), "inner");
        let panic = catch_unwind(|| {
            TEXT.sync_scope("panics".to_owned(), || {
                std::panic::resume_unwind(Box::new(()))
            });
        });
        assert!(panic.is_err());
        TEXT.get()
    });
    assert_eq!(outer, "outer");
    let outside = catch_unwind(|| TEXT.with(String::len)).unwrap_err();
    assert_eq!(
        outside.downcast_ref::<String>().unwrap(),
        "expected a value of the task, found that its key has none here"
    );
}

#[test]
fn a_value_is_there_while_its_future_is_dropped() {
    struct Looks(Rc<RefCell<String>>);

    impl Drop for Looks {
        fn drop(&mut self) {
            *self.0.borrow_mut() = TEXT.get();
        }
    }

    let seen = Rc::new(RefCell::new(String::new()));
    let looks = Looks(Rc::clone(&seen));
    let future = TEXT.scope("dropped".to_owned(), async move {
        let _looks = looks;
        pending::<()>().await;
    });
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    drop(future);
    assert_eq!(*seen.borrow(), "dropped");
    assert_eq!(TEXT.try_get(), Err(AccessError));
}

#[test]
fn a_scope_within_a_borrow_of_its_key_is_refused() {
    let panic = catch_unwind(|| {
        NUMBER.sync_scope(Cell::new(1), || {
            NUMBER.with(|_| NUMBER.sync_scope(Cell::new(2), || unreachable!("it is borrowed")))
        })
    });
    assert_eq!(
        panic
            .unwrap_err()
            .downcast_ref::<String>()
            .map(String::as_str),
        Some("expected no scope of a key while its value is borrowed")
    );
    // Dropped within a borrow, a future sees the value of the borrow.
    let dropped = NUMBER.scope(Cell::new(2), pending::<()>());
    NUMBER.sync_scope(Cell::new(1), || {
        NUMBER.with(|own| {
            drop(dropped);
            assert_eq!(own.get(), 1);
        });
    });
}
