//! Tasks and calls that other threads send.

use std::{
    cell::RefCell,
    future::{Future as _, pending, ready},
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use annulus::{Worker, Workers, spawn, task, time};

use crate::{
    joined, on_each_driver, stop,
    support::{BOUND, counted::Counted},
    until, waiting, within_bound, worker,
};

#[test]
fn a_task_runs_on_its_worker_and_its_output_comes_back() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        for worker in workers.iter() {
            let index = worker.index();
            let task = worker.spawn(async move || {
                let local = Rc::new(RefCell::new(Vec::new()));
                let other = Rc::clone(&local);
                spawn(async move { other.borrow_mut().push(1) })
                    .await
                    .unwrap();
                time::sleep(Duration::from_millis(1)).await;
                local.borrow_mut().push(2);
                (local.take(), Worker::current().map(|worker| worker.index()))
            });
            assert_eq!(task.worker(), &worker);
            assert_eq!(task.join().unwrap(), (vec![1, 2], Some(index)));
        }
        stop(workers);
    });
}

#[test]
fn a_handle_is_awaited_on_any_runtime() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let (first, second) = (worker(&workers, 0), worker(&workers, 1));
        // On a runtime of ours that is no worker.
        assert_eq!(annulus::run(first.call(|| 1)).unwrap(), 1);
        // On another worker, which asks the first one back meanwhile.
        let asked = second.spawn(move || async move {
            let there = Worker::current().unwrap();
            let back = first.spawn(move || async move { there.call(|| 20).await.unwrap() + 1 });
            back.await.unwrap() + 1
        });
        assert_eq!(asked.join().unwrap(), 22);
        // By hand, as a foreign executor polls.
        let (tell, told) = mpsc::channel();
        let mut slow = second_call(&workers, told);
        let counted = Counted::new();
        let mut poll = || Pin::new(&mut slow).poll(&mut counted.context());
        assert!(poll().is_pending());
        assert!(poll().is_pending());
        tell.send(3).unwrap();
        until(|| counted.count() > 0);
        let Poll::Ready(output) = poll() else {
            panic!("it was woken for its output");
        };
        assert_eq!(output.unwrap(), 3);
        assert_eq!(counted.count(), 1);
        stop(workers);
    });
}

fn second_call(
    workers: &Workers<()>,
    told: mpsc::Receiver<u32>,
) -> annulus::workers::RemoteJoinHandle<u32> {
    worker(workers, 1).call(move || told.recv_timeout(BOUND).unwrap())
}

#[test]
fn what_one_thread_sends_begins_in_its_order() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let senders = (0..3_usize).map(|sender| {
            let (worker, seen) = (worker(&workers, 0), Arc::clone(&seen));
            thread::spawn(move || {
                let mut last = None;
                for number in 0..1000_usize {
                    let seen = Arc::clone(&seen);
                    last = Some(if number % 2 == 0 {
                        worker.call(move || seen.lock().unwrap().push((sender, number)))
                    } else {
                        worker.spawn(move || {
                            seen.lock().unwrap().push((sender, number));
                            ready(())
                        })
                    });
                }
                last.unwrap().join().unwrap();
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            sender.join().unwrap();
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 3000);
        for sender in 0..3 {
            let own = seen.iter().filter(|(from, _)| *from == sender);
            assert!(own.map(|(_, number)| *number).eq(0..1000));
        }
        stop(workers);
    });
}

#[test]
fn a_worker_sends_to_itself_in_the_same_order() {
    on_each_driver(|builder| {
        let workers = builder.count(1).start(async |worker| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let mut sent = Vec::new();
            for number in 0..100 {
                let seen = Arc::clone(&seen);
                sent.push(worker.call(move || seen.lock().unwrap().push(number)));
            }
            assert!(
                seen.lock().unwrap().is_empty(),
                "none runs inside of another"
            );
            for handle in sent {
                handle.await?;
            }
            let seen = seen.lock().unwrap().clone();
            io::Result::Ok(seen)
        });
        let seen = joined(workers.unwrap()).unwrap();
        assert!(seen[0].as_ref().unwrap().iter().copied().eq(0..100));
    });
}

#[test]
fn panics_of_the_closure_and_of_the_future_are_the_handles() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(1));
        let worker = worker(&workers, 0);
        let call = worker.call(|| -> u32 { panic!("planned: call") });
        let error = call.join().unwrap_err();
        assert!(error.is_panic() && !error.is_aborted() && !error.has_worker_ended());
        assert_eq!(error.worker(), 0);
        assert_eq!(
            error.to_string(),
            "the task on worker 0 panicked: planned: call"
        );
        let what = "make".to_owned();
        let make = worker.spawn(move || -> std::future::Ready<()> { panic!("planned: {what}") });
        let payload = make.join().unwrap_err().try_into_panic().unwrap();
        assert_eq!(*payload.downcast::<String>().unwrap(), "planned: make");
        let poll = worker.spawn(|| async {
            task::yield_now().await;
            panic!("planned: poll")
        });
        assert!(poll.join().unwrap_err().is_panic());
        assert_eq!(worker.call(|| 1).join().unwrap(), 1);
        stop(workers);
    });
}

#[test]
fn a_detached_task_goes_on_and_its_panic_is_the_workers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&seen);
    let workers = waiting(Workers::builder().count(1).runtime(move |runtime| {
        let shared = Arc::clone(&shared);
        runtime
            .on_task_panic(task::OnTaskPanic::Continue)
            .task_panic_hook(move |panic| {
                let message = panic.message().unwrap_or_default().to_owned();
                shared.lock().unwrap().push(message);
            })
    }));
    let worker = worker(&workers, 0);
    drop(worker.call(|| panic!("planned: detached")));
    until(|| seen.lock().unwrap().len() == 1);
    // One whose panic came before its handle was dropped.
    let late = worker.call(|| panic!("planned: late"));
    until(|| late.is_finished());
    drop(late);
    until(|| seen.lock().unwrap().len() == 2);
    // One that is taken is no business of the hook's.
    assert!(worker.call(|| panic!("planned: taken")).join().is_err());
    let (tell, told) = mpsc::channel();
    drop(worker.spawn(move || async move {
        task::yield_now().await;
        tell.send(5).unwrap();
    }));
    assert_eq!(told.recv_timeout(BOUND).unwrap(), 5);
    assert_eq!(
        *seen.lock().unwrap(),
        ["planned: detached", "planned: late"]
    );
    stop(workers);
}

#[test]
fn the_place_of_a_task_is_that_of_the_send() {
    let workers = waiting(Workers::builder().count(1));
    let line = line!() + 1;
    let place = worker(&workers, 0).call(|| task::location().unwrap());
    let place = place.join().unwrap();
    assert_eq!((place.file(), place.line()), (file!(), line));
    let line = line!() + 1;
    let place = workers.broadcast(|_worker| task::location().unwrap()).pop();
    let place = place.unwrap().join().unwrap();
    assert_eq!((place.file(), place.line()), (file!(), line));
    stop(workers);
}

#[test]
fn an_abort_drops_the_future_on_its_worker() {
    struct Tells(mpsc::Sender<Option<usize>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let index = Worker::current().map(|worker| worker.index());
            self.0.send(index).unwrap();
        }
    }
    on_each_driver(|builder| {
        let workers = waiting(builder.count(2));
        let (tell, told) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let task = worker(&workers, 1).spawn(move || async move {
            let _tells = Tells(tell);
            begin.send(()).unwrap();
            pending::<()>().await;
        });
        begun.recv_timeout(BOUND).unwrap();
        task.abort();
        task.abort();
        let error = task.join().unwrap_err();
        assert!(error.is_aborted() && !error.is_panic());
        assert_eq!(error.to_string(), "the task on worker 1 was aborted");
        assert_eq!(told.recv_timeout(BOUND).unwrap(), Some(1));
        // One that is done keeps its output.
        let done = worker(&workers, 0).call(|| 5);
        until(|| done.is_finished());
        done.abort();
        assert_eq!(done.join().unwrap(), 5);
        stop(workers);
    });
}

#[test]
fn a_task_that_is_aborted_before_its_turn_is_never_made() {
    let workers = waiting(Workers::builder().count(1));
    let worker = worker(&workers, 0);
    let (release, released) = mpsc::channel::<()>();
    let busy = worker.call(move || released.recv_timeout(BOUND).unwrap());
    let task = worker.call(|| panic!("it is not called"));
    task.abort();
    release.send(()).unwrap();
    assert!(task.join().unwrap_err().is_aborted());
    busy.join().unwrap();
    stop(workers);
}

#[test]
fn a_broadcast_reaches_each_worker() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(3));
        let calls = workers.broadcast(|worker| {
            assert_eq!(Worker::current(), Some(worker.clone()));
            worker.index()
        });
        for (index, call) in calls.into_iter().enumerate() {
            assert_eq!(call.join().unwrap(), index);
        }
        let tasks = workers.spawn_each(async |worker| {
            task::yield_now().await;
            worker.index() * 10
        });
        for (index, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.join().unwrap(), index * 10);
        }
        stop(workers);
    });
}

#[test]
fn a_send_to_a_worker_that_has_ended_is_an_error_at_once() {
    on_each_driver(|builder| {
        let workers = builder.count(2).start(async |worker| -> io::Result<()> {
            if worker.index() == 1 {
                worker.stopping().await;
            }
            Ok(())
        });
        let workers = workers.unwrap();
        let (ended, alive) = (worker(&workers, 0), worker(&workers, 1));
        until(|| ended.call(|| ()).join().is_err());
        let call = ended.call(|| ());
        assert!(call.is_finished());
        let error = call.join().unwrap_err();
        assert!(error.has_worker_ended() && !error.is_aborted());
        assert_eq!(error.to_string(), "worker 0 has ended");
        let io = io::Error::from(error);
        assert_eq!(io.to_string(), "worker 0 has ended");
        // From the other worker as well.
        let there = ended.clone();
        let asked = alive.spawn(move || async move { there.call(|| ()).await.is_err() });
        assert!(asked.join().unwrap());
        let answers = workers.broadcast(|worker| worker.index());
        let answers: Vec<_> = answers.into_iter().map(|call| call.join().ok()).collect();
        assert_eq!(answers, [None, Some(1)]);
        stop(workers);
    });
}

#[test]
fn the_end_of_a_worker_answers_what_waits_in_its_queue() {
    struct Held(Arc<AtomicUsize>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    on_each_driver(|builder| {
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let workers = builder.count(1).start(async move |_worker| {
            // The thread is blocked, so that everything waits.
            released.lock().unwrap().recv_timeout(BOUND).unwrap();
            io::Result::Ok(())
        });
        let workers = workers.unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let sent: Vec<_> = (0..100)
            .map(|_| {
                let held = Held(Arc::clone(&dropped));
                worker(&workers, 0).spawn(move || async move { drop(held) })
            })
            .collect();
        release.send(()).unwrap();
        for handle in sent {
            let error = within_bound(move || handle.join()).unwrap_err();
            assert!(error.has_worker_ended());
        }
        joined(workers).unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 100);
    });
}

#[test]
fn a_task_that_outlasts_its_worker_says_so() {
    on_each_driver(|builder| {
        let workers = waiting(builder.count(1));
        let (begin, begun) = mpsc::channel();
        let task = worker(&workers, 0).spawn(move || async move {
            begin.send(()).unwrap();
            pending::<()>().await;
        });
        begun.recv_timeout(BOUND).unwrap();
        stop(workers);
        assert!(task.join().unwrap_err().has_worker_ended());
    });
}

#[test]
fn sends_from_all_sides_while_workers_end_are_all_answered() {
    on_each_driver(|builder| {
        let workers = builder.count(4).start(async |worker| -> io::Result<()> {
            // Each ends by itself, at another time.
            for _ in 0..worker.index() * 3 {
                time::sleep(Duration::from_millis(1)).await;
            }
            let all = worker.workers();
            for other in all.iter() {
                let answer = other.call(|| 1).await;
                assert!(answer.is_ok_and(|one| one == 1) || other != worker);
            }
            Ok(())
        });
        let workers = workers.unwrap();
        let answered = AtomicU64::new(0);
        let refused = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut ended = 0;
                    while ended < workers.len() {
                        ended = 0;
                        for call in workers.broadcast(|worker| worker.index()) {
                            let count = match call.join() {
                                Ok(_) => &answered,
                                Err(error) => {
                                    assert!(error.has_worker_ended(), "{error}");
                                    ended += 1;
                                    &refused
                                }
                            };
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!(refused.load(Ordering::Relaxed) >= 8);
        joined(workers).unwrap();
    });
}

#[test]
fn a_handle_that_has_returned_panics_at_the_next_poll() {
    let workers = waiting(Workers::builder().count(1));
    let mut call = worker(&workers, 0).call(|| ());
    until(|| call.is_finished());
    let context = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut call).poll(context).is_ready());
    let again = std::panic::AssertUnwindSafe(|| Pin::new(&mut call).poll(context).is_ready());
    assert!(std::panic::catch_unwind(again).is_err());
    stop(workers);
}

#[test]
fn a_flood_of_messages_is_taken_and_its_memory_given_back() {
    let workers = waiting(Workers::builder().count(2));
    let count = Arc::new(AtomicUsize::new(0));
    let (release, released) = mpsc::channel::<()>();
    let target = worker(&workers, 1);
    let busy = target.call(move || released.recv_timeout(BOUND).unwrap());
    for _ in 0..100_000 {
        let count = Arc::clone(&count);
        drop(target.call(move || count.fetch_add(1, Ordering::Relaxed)));
    }
    release.send(()).unwrap();
    busy.join().unwrap();
    // What was sent before is done before.
    target.call(|| ()).join().unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 100_000);
    stop(workers);
}
