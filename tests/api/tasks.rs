//! Spawning, aborting, panicking.

use std::{
    cell::{Cell, RefCell},
    future::pending,
    rc::Rc,
};

use annulus::{
    Runtime, spawn,
    task::{self, JoinSet, OnTaskPanic, yield_now},
};

use crate::support::{guarded, pair, recv_exact, run, settle};

#[test]
fn a_handle_returns_the_output_also_when_it_is_not_send() {
    run(async {
        let handle = spawn(async { Rc::new(5) });
        assert_eq!(*handle.await.unwrap(), 5);
    });
}

#[test]
fn dropping_a_handle_lets_the_task_go_on() {
    run(async {
        let done = Rc::new(Cell::new(false));
        let flag = Rc::clone(&done);
        drop(spawn(async move {
            yield_now().await;
            flag.set(true);
        }));
        crate::support::until(|| done.get()).await;
    });
}

#[test]
fn an_aborted_task_drops_its_future_and_says_so() {
    run(async {
        let token = Rc::new(());
        let inside = Rc::clone(&token);
        let handle = spawn(async move {
            pending::<()>().await;
            drop(inside);
        });
        yield_now().await;
        handle.abort();
        let error = handle.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.to_string(), "the task was cancelled");
        assert_eq!(Rc::strong_count(&token), 1);
    });
}

#[test]
fn an_abort_in_the_middle_of_a_receive_loses_nothing() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        for round in 0..20_u8 {
            let receiver = spawn({
                let near = Rc::clone(&near);
                async move { near.recv().await.map(|bytes| bytes.len()) }
            });
            settle().await;
            if round % 2 == 0 {
                receiver.abort();
                far.write_all(vec![round; 8]).await.unwrap();
            } else {
                receiver.abort();
                assert!(receiver.await.unwrap_err().is_cancelled());
                far.write_all(vec![round; 8]).await.unwrap();
            }
            assert_eq!(recv_exact(&near, 8).await, [round; 8]);
        }
    });
}

#[test]
fn a_panic_stays_in_its_task() {
    run(async {
        let handle = spawn(async { panic!("number {}", 7) });
        let error = handle.await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.to_string(), "the task panicked: number 7");
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn the_hook_sees_the_panics_of_detached_tasks_and_no_others() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let runtime = Runtime::builder()
        .on_task_panic(OnTaskPanic::Continue)
        .task_panic_hook(move |panic| {
            let name = panic.name().unwrap_or("nameless").to_owned();
            let text = panic.message().unwrap_or("?").to_owned();
            assert!(panic.location().file().ends_with("tasks.rs"));
            log.borrow_mut().push((name, text));
        })
        .build()
        .unwrap();
    runtime.block_on(guarded(async {
        let awaited = spawn(async { panic!("awaited") });
        drop(task::Builder::new().name("lost").spawn(async {
            panic!("detached");
        }));
        assert!(awaited.await.unwrap_err().is_panic());
        crate::support::until(|| !seen.borrow().is_empty()).await;
    }));
    let expected = ("lost".to_owned(), "detached".to_owned());
    assert_eq!(*seen.borrow(), [expected]);
    let counters = runtime.stats().tasks;
    assert_eq!((counters.spawned, counters.panicked), (2, 2));
}

#[test]
fn a_set_returns_each_of_its_tasks() {
    run(async {
        let mut set = JoinSet::new();
        for number in 0..50_u32 {
            set.spawn(async move {
                for _ in 0..number % 5 {
                    yield_now().await;
                }
                number
            });
        }
        let mut sum = 0;
        while let Some(number) = set.join_next().await {
            sum += number.unwrap();
        }
        assert_eq!(sum, 49 * 50 / 2);
        set.spawn(pending());
        set.abort_all();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn a_task_that_never_waits_does_not_starve_the_sockets() {
    run(async {
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        let (near, far) = pair().await;
        for round in 0..20_u8 {
            near.write_all(vec![round]).await.unwrap();
            assert_eq!(recv_exact(&far, 1).await, [round]);
        }
        annulus::time::sleep(std::time::Duration::from_millis(2)).await;
        busy.abort();
        let ended: Result<(), _> = busy.await;
        assert!(ended.is_err());
    });
}
