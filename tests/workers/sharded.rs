//! Values on each worker, reached by a key.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use annulus::{
    Worker, task, time,
    workers::{RemoteJoinError, Sharded, WorkersHandle},
};

use crate::{joined, on_each_driver, stop, support::BOUND, until, waiting, worker};

/// A part of a map that stays on its thread.
type Part = Rc<RefCell<HashMap<String, usize>>>;

#[test]
fn each_key_has_one_value_on_its_worker() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(3));
        let map = Sharded::<Part>::new(&workers, |_worker| Part::default());
        for number in 0..300 {
            let key = format!("key {number}");
            let index = map.index_of(&key);
            assert_eq!(map.index_of(&*key), index);
            assert_eq!(map.worker_of(&key), worker(&workers, index));
            let insert = map.call(&key.clone(), move |part| {
                part.borrow_mut().insert(key, number);
                Worker::current().map(|worker| worker.index())
            });
            assert_eq!(insert.join().unwrap(), Some(index));
        }
        let other = map.clone();
        let get = thread::spawn(move || {
            let key = String::from("key 7");
            let get = other.call("key 7", move |part| part.borrow().get(&key).copied());
            get.join().unwrap()
        });
        assert_eq!(get.join().unwrap(), Some(7));
        let lens: Vec<usize> = map
            .broadcast(|part| part.borrow().len())
            .into_iter()
            .map(|len| len.join().unwrap())
            .collect();
        assert_eq!(lens.iter().sum::<usize>(), 300);
        assert!(lens.iter().all(|&len| len > 30), "{lens:?}");
        let same = Sharded::new(&workers, |worker| worker.index());
        assert_eq!(same.index_of("key 7"), map.index_of("key 7"));
        assert_eq!(
            same.call("key 7", |index| *index).join().unwrap(),
            map.index_of("key 7")
        );
        assert_eq!(map.with_own(|_part| ()), None, "this thread is no worker");
        stop(workers);
    });
}

#[test]
fn a_call_to_its_own_worker_is_made_at_once() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let all = workers.handle().clone();
        let task = worker(&workers, 1).spawn(async move || {
            let counts = Sharded::new(&all, |worker| Cell::new(10 * worker.index()));
            assert_eq!(counts.with_own(Cell::get), Some(10));
            let own = counts.call_at(1, |count| count.replace(11));
            assert_eq!(counts.with_own(Cell::get), Some(11), "it has been made");
            assert!(own.is_finished());
            assert_eq!(own.await.unwrap(), 10);
            let other = counts.call_at(0, |count| count.replace(1));
            assert_eq!(other.await.unwrap(), 0);
            // A loop of such calls leaves turns to others.
            let other = task::spawn(async {});
            let mut calls = 0;
            while !other.is_finished() {
                counts.call_at(1, |_count| ()).await.unwrap();
                calls += 1;
            }
            assert!(calls < 1000);
            // A panic of the call is that of a call that was sent.
            let panicked = counts.call_at(1, |_count| panic!("planned")).await;
            let error: RemoteJoinError = panicked.unwrap_err();
            assert!(error.is_panic() && error.worker() == 1);
            counts.with_own(Cell::get)
        });
        assert_eq!(task.join().unwrap(), Some(11));
        stop(workers);
    });
}

#[test]
fn a_task_keeps_its_value_across_waits() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let values = Sharded::new(&workers, |worker| Cell::new(worker.index()));
        let task = values.spawn_at(1, async |value: Rc<Cell<usize>>| {
            time::sleep(Duration::from_millis(1)).await;
            value.replace(5)
        });
        assert_eq!(task.join().unwrap(), 1);
        let by_key = values.spawn("a key", async |value: Rc<Cell<usize>>| value.get());
        assert!(by_key.join().is_ok());
        let task = values.spawn_at(1, async |value: Rc<Cell<usize>>| {
            time::sleep(Duration::from_millis(20)).await;
            value.get()
        });
        drop(values);
        assert_eq!(task.join().unwrap(), 5);
        stop(workers);
    });
}

#[test]
fn panics_of_a_call_and_of_the_closure_are_errors_of_calls() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let values = Sharded::new(&workers, |worker| {
            assert_eq!(worker.index(), 0, "planned");
            Cell::new(1)
        });
        let panicked = values.call_at(0, |_value| -> u32 { panic!("planned call") });
        let error = panicked.join().unwrap_err();
        assert!(error.is_panic() && error.worker() == 0);
        assert!(error.to_string().ends_with("planned call"), "{error}");
        assert_eq!(values.call_at(0, Cell::get).join().unwrap(), 1);
        let error = values.call_at(1, Cell::get).join().unwrap_err();
        assert!(error.is_panic() && error.worker() == 1);
        assert!(error.to_string().contains("closure"), "{error}");
        let result = std::panic::catch_unwind(|| drop(values.call_at(2, Cell::get)));
        assert!(result.is_err(), "there is no such worker");
        stop(workers);
    });
}

/// The numbers of values, each with the worker that dropped it.
type Notes = Arc<Mutex<Vec<(usize, Option<usize>)>>>;

/// Notes on which worker it is dropped.
struct Noted(usize, Notes);

impl Drop for Noted {
    fn drop(&mut self) {
        let here = Worker::current().map(|worker| worker.index());
        // The runtime is still there.
        drop(task::spawn(async {}));
        self.1.lock().unwrap().push((self.0, here));
    }
}

/// A value on each worker, and the notes of those that were dropped.
fn noted(workers: &WorkersHandle) -> (Sharded<Noted>, Notes) {
    let notes = Notes::default();
    let own = Arc::clone(&notes);
    let make = move |worker: Worker| Noted(worker.index(), Arc::clone(&own));
    (Sharded::new(workers, make), notes)
}

#[test]
fn the_last_handle_drops_the_values_after_the_calls_under_way() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let (values, dropped) = noted(&workers);
        let (tell, told) = mpsc::channel::<()>();
        let block = worker(&workers, 1).call(move || told.recv_timeout(BOUND));
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        // Dropped in mid-flight, it is made all the same.
        drop(values.call_at(1, move |_value| count.fetch_add(1, Ordering::Relaxed)));
        let last = values.call_at(1, |value| value.0);
        drop(values);
        assert!(dropped.lock().unwrap().is_empty(), "a call is under way");
        tell.send(()).unwrap();
        block.join().unwrap().unwrap();
        assert_eq!(last.join().unwrap(), 1);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        until(|| dropped.lock().unwrap().len() == 2);
        let mut dropped = dropped.lock().unwrap();
        dropped.sort_unstable();
        assert_eq!(*dropped, [(0, Some(0)), (1, Some(1))]);
        drop(dropped);
        stop(workers);
    });
}

#[test]
fn a_worker_that_has_ended_has_dropped_its_value_and_refuses_calls() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let (values, dropped) = noted(&workers);
        let never = values.spawn_at(0, async |_value: Rc<Noted>| {
            std::future::pending::<()>().await
        });
        for (index, made) in values.broadcast(|value| value.0).into_iter().enumerate() {
            assert_eq!(made.join().unwrap(), index);
        }
        workers.stop(BOUND);
        joined(workers).unwrap();
        dropped.lock().unwrap().sort_unstable();
        assert_eq!(*dropped.lock().unwrap(), [(0, Some(0)), (1, Some(1))]);
        assert!(never.join().unwrap_err().has_worker_ended());
        let late = values.call_at(1, |value| value.0).join().unwrap_err();
        assert!(late.has_worker_ended() && late.worker() == 1);
        for late in values.broadcast(|value| value.0) {
            assert!(late.join().unwrap_err().has_worker_ended());
        }
    });
}
