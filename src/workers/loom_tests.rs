//! Models of workers: `RUSTFLAGS="--cfg loom" cargo test --release --lib loom_`.
//!
//! A worker here has its tasks and its keeper, and sleeps as a runtime does; what it lacks is a
//! driver. Besides what each model asserts, loom finds a wake that is lost, since all threads would
//! wait.

use std::{
    future::{Future, pending, poll_fn, ready},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    group::Group,
    post::{Cut, Keeper, Open},
    remote_task::{Finisher, Slot},
    worker::Worker,
    workers_error::Cause,
};
use crate::{
    park::block_on,
    primitives::{Arc as Tracked, model, thread},
    task::{self, LoomUnpark, Tasks},
};

fn group(count: usize) -> Arc<Group> {
    Arc::new(Group::new(vec![0; count]))
}

fn worker(group: &Arc<Group>) -> Worker {
    Worker::new(Arc::clone(group), 0)
}

/// Runs a worker's future on this thread, as `thread.rs` does.
fn work<F: Future>(group: &Arc<Group>, future: F) -> Option<F::Output> {
    let unpark = Arc::new(LoomUnpark::default());
    let tasks = Tasks::new(unpark.clone());
    let _entered = tasks.enter();
    let mut future = pin!(async {
        let _open = Open::new(Arc::clone(group), 0);
        let cut = Rc::new(Cut::default());
        drop(task::spawn(Keeper::new(
            Arc::clone(group),
            0,
            Rc::clone(&cut),
        )));
        cut.unless_cut(pin!(future)).await
    });
    let root = tasks.root_waker();
    root.wake_by_ref();
    loop {
        tasks.poll_inbox();
        if tasks.take_root_wake() {
            let context = &mut Context::from_waker(&root);
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return output;
            }
        }
        tasks.run(10);
        if tasks.prepare_park() {
            unpark.sleep();
            tasks.unparked();
        }
    }
}

#[test]
fn loom_a_call_and_a_stop_wake_a_worker_and_its_answer_wakes_the_caller() {
    model(2, || {
        let group = group(1);
        let shared = Arc::clone(&group);
        let calling = thread::spawn(move || {
            let answer = worker(&shared).call(|| Tracked::new(5)).join();
            assert_eq!(*answer.unwrap(), 5);
            shared.stop(Duration::ZERO);
        });
        assert_eq!(work(&group, pending::<()>()), None);
        calling.join().unwrap();
    });
}

#[test]
fn loom_a_call_to_a_worker_that_ends_is_answered() {
    model(2, || {
        let group = group(1);
        let shared = Arc::clone(&group);
        let calling = thread::spawn(move || {
            if let Err(error) = worker(&shared).call(|| Tracked::new(5)).join() {
                assert!(error.has_worker_ended());
            }
        });
        assert_eq!(work(&group, ready(())), Some(()));
        calling.join().unwrap();
    });
}

#[test]
fn loom_an_abort_reaches_its_task() {
    model(2, || {
        let group = group(1);
        let shared = Arc::clone(&group);
        let aborting = thread::spawn(move || {
            let task = worker(&shared).spawn(pending::<()>);
            task.abort();
            assert!(task.join().unwrap_err().is_aborted());
            shared.stop(Duration::ZERO);
        });
        assert_eq!(work(&group, pending::<()>()), None);
        aborting.join().unwrap();
    });
}

#[test]
fn loom_an_outcome_goes_to_its_handle_or_comes_back() {
    model(3, || {
        let slot = Arc::new(Slot::new());
        let finisher = Finisher::new(Arc::clone(&slot), 0);
        let finishing = thread::spawn(move || finisher.finish(Ok(Tracked::new(5))));
        let outcome = block_on(poll_fn(|context| slot.poll(context)));
        assert_eq!(outcome.map(|number| *number).ok(), Some(5));
        finishing.join().unwrap();
    });
    model(3, || {
        let slot = Arc::new(Slot::new());
        let finisher = Finisher::new(Arc::clone(&slot), 0);
        let finishing = thread::spawn(move || finisher.finish(Ok(Tracked::new(5))));
        drop(slot.detach());
        finishing.join().unwrap();
        assert!(slot.detach().is_none(), "loom finds a number that is left");
    });
}

#[test]
fn loom_an_abort_is_seen_by_a_task_that_registers_meanwhile() {
    model(3, || {
        let slot = Arc::new(Slot::<()>::new());
        let shared = Arc::clone(&slot);
        // Not joined: loom does not let a thread that joins be woken for another reason.
        thread::spawn(move || shared.abort());
        block_on(poll_fn(|context| {
            slot.register(context.waker());
            if slot.is_aborted() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
    });
}

#[test]
fn loom_all_run_when_each_has_its_runtime_or_none_does() {
    model(2, || {
        let group = group(2);
        let starting = [(), ()].map(|()| {
            let group = Arc::clone(&group);
            thread::spawn(move || assert!(group.wait_for_others()))
        });
        group.wait_until_running().unwrap();
        for starting in starting {
            starting.join().unwrap();
        }
    });
    model(2, || {
        let group = group(2);
        let [first, second] = [Arc::clone(&group), Arc::clone(&group)];
        let starting = thread::spawn(move || assert!(!first.wait_for_others()));
        let error = std::io::Error::other("planned");
        let refusing = thread::spawn(move || second.refuse(1, Cause::Start(error)));
        assert_eq!(group.wait_until_running().unwrap_err().worker(), Some(1));
        starting.join().unwrap();
        refusing.join().unwrap();
    });
}

#[test]
fn loom_a_stop_wakes_those_that_wait_for_it() {
    model(2, || {
        let group = group(1);
        let waiting = {
            let stopping = worker(&group).stopping();
            thread::spawn(move || block_on(stopping))
        };
        let leaving = {
            let mut stopping = Box::pin(worker(&group).stopping());
            thread::spawn(move || {
                let context = &mut Context::from_waker(Waker::noop());
                let _polled = stopping.as_mut().poll(context).is_ready();
            })
        };
        group.stop(Duration::ZERO);
        waiting.join().unwrap();
        leaving.join().unwrap();
    });
}

#[test]
fn loom_the_end_of_the_last_worker_wakes_the_one_who_joins() {
    model(3, || {
        let group = group(2);
        let ending = [0, 1].map(|index| {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let failure = (index == 1).then(|| Cause::Failed("planned".into()));
                group.end(index, failure);
            })
        });
        let ended = block_on(poll_fn(|context| group.poll_ended(context)));
        assert_eq!(ended.unwrap_err().worker(), Some(1));
        assert!(group.is_stopping());
        for ending in ending {
            ending.join().unwrap();
        }
    });
}
