//! Ends: what futures return, errors, panics, and stops.

use std::{
    future::{Future as _, pending},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use annulus::{Workers, spawn, time};

use crate::{
    joined, on_each_driver, stop,
    support::{BOUND, counted::Counted},
    until, waiting, worker,
};

#[test]
fn what_each_future_returns_comes_back_by_its_number() {
    on_each_driver(|builder| {
        let workers = builder.count(5).start(async |worker| {
            let index = worker.index();
            time::sleep(Duration::from_millis(5 - index as u64)).await;
            io::Result::Ok(format!("worker {index}"))
        });
        let outputs = joined(workers.unwrap()).unwrap();
        for (index, output) in outputs.into_iter().enumerate() {
            assert_eq!(output, Some(format!("worker {index}")));
        }
    });
}

#[test]
fn an_error_has_its_workers_number_and_stops_the_others() {
    on_each_driver(|builder| {
        let workers = builder.count(3).start(async |worker| -> io::Result<()> {
            match worker.index() {
                1 => Err(io::Error::new(io::ErrorKind::AddrInUse, "planned")),
                // This one waits for the stop, and the last one would not notice it.
                0 => {
                    worker.stopping().await;
                    Ok(())
                }
                _ => pending().await,
            }
        });
        let error = joined(workers.unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "worker 1 failed: planned");
        assert_eq!(error.worker(), Some(1));
        assert!(!error.is_panic() && !error.is_start());
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), "worker 1 failed: planned");
    });
}

#[test]
fn the_error_may_be_of_any_type() {
    let workers = Workers::builder().count(1).start(async |_worker| {
        "seven".parse::<u32>()?;
        Ok::<(), std::num::ParseIntError>(())
    });
    let error = joined(workers.unwrap()).unwrap_err();
    let source = error.try_into_source().unwrap();
    assert!(source.downcast_ref::<std::num::ParseIntError>().is_some());
    let text = Workers::builder().start(async |_worker| Err::<(), _>("in words"));
    let error = joined(text.unwrap()).unwrap_err();
    assert!(error.to_string().ends_with(" failed: in words"), "{error}");
    assert!(error.try_into_panic().is_err());
}

#[test]
fn a_panic_surfaces_with_its_workers_number_and_the_others_end() {
    on_each_driver(|builder| {
        let told = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&told);
        let workers = builder.count(3).start(async move |worker| {
            assert_ne!(worker.index(), 2, "planned");
            worker.stopping().await;
            counted.fetch_add(1, Ordering::Relaxed);
            io::Result::Ok(())
        });
        let error = joined(workers.unwrap()).unwrap_err();
        assert!(error.is_panic());
        assert_eq!(error.worker(), Some(2));
        assert!(error.to_string().starts_with("worker 2 panicked: "));
        assert_eq!(told.load(Ordering::Relaxed), 2);
        let payload = error.try_into_panic().unwrap();
        assert!(
            payload
                .downcast_ref::<String>()
                .unwrap()
                .contains("planned")
        );
    });
}

#[test]
fn the_first_failure_is_the_one_that_is_told() {
    let workers = Workers::builder().count(2).start(async |worker| {
        if worker.index() == 1 {
            worker.stopping().await;
            panic!("planned: because of the other");
        }
        Err::<(), _>("the first")
    });
    let error = joined(workers.unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "worker 0 failed: the first");
}

/// An error that panics as it is dropped.
#[derive(Debug)]
struct BombError(Bomb);

impl std::fmt::Display for BombError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("planned")
    }
}

impl std::error::Error for BombError {}

#[test]
fn an_error_that_is_not_told_and_panics_as_it_is_dropped_keeps_no_join_waiting() {
    let workers = Workers::builder().count(2).start(async |worker| {
        if worker.index() == 1 {
            worker.stopping().await;
        }
        Err::<(), _>(BombError(Bomb))
    });
    let error = joined(workers.unwrap()).unwrap_err();
    assert_eq!(error.worker(), Some(0));
    std::mem::forget(error);
}

/// Panics as it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "planned: dropped");
    }
}

#[test]
fn panics_of_destructors_at_the_end_surface_or_are_the_tasks() {
    on_each_driver(|builder| {
        let workers = builder.count(2).start(async |worker| {
            let _bomb = (worker.index() == 0).then(|| Bomb);
            // A task's future is the task's concern.
            spawn(async {
                let _bomb = Bomb;
                pending::<()>().await;
            });
            annulus::task::yield_now().await;
            io::Result::Ok(())
        });
        let error = joined(workers.unwrap()).unwrap_err();
        assert_eq!(error.worker(), Some(0));
        assert!(error.is_panic());
    });
}

#[test]
fn the_panic_of_a_task_is_no_concern_of_its_worker() {
    on_each_driver(|builder| {
        let workers = builder.count(1).start(async |_worker| {
            let error = spawn(async { panic!("planned") }).await.unwrap_err();
            assert!(error.is_panic());
            io::Result::Ok(annulus::stats().tasks.panicked)
        });
        assert_eq!(joined(workers.unwrap()).unwrap(), [Some(1)]);
    });
}

#[test]
fn a_stop_gives_those_that_ask_their_time_and_drops_the_others() {
    on_each_driver(|builder| {
        let workers = builder.count(2).start(async |worker| {
            if worker.index() == 0 {
                worker.stopping().await;
                assert!(worker.is_stopping());
                time::sleep(Duration::from_millis(20)).await;
                return io::Result::Ok("at its end");
            }
            pending().await
        });
        assert_eq!(stop(workers.unwrap()), [Some("at its end"), None]);
    });
}

#[test]
fn the_deadline_of_a_stop_drops_what_goes_on() {
    on_each_driver(|builder| {
        let workers = builder.count(2).start(async |worker| -> io::Result<()> {
            worker.stopping().await;
            pending().await
        });
        let workers = workers.unwrap();
        workers.stop(Duration::from_millis(10));
        assert_eq!(joined(workers).unwrap(), [None, None]);
    });
}

#[test]
fn a_second_stop_drops_at_once() {
    on_each_driver(|builder| {
        let workers = builder.count(2).start(async |worker| -> io::Result<()> {
            worker.stopping().await;
            pending().await
        });
        let workers = workers.unwrap();
        let handle = workers.handle().clone();
        handle.stop(BOUND * 10);
        assert!(handle.is_stopping());
        handle.stop(BOUND * 10);
        handle.stop(BOUND * 10);
        assert_eq!(joined(workers).unwrap(), [None, None]);
    });
}

#[test]
fn the_first_stop_after_a_failure_leaves_its_time() {
    on_each_driver(|builder| {
        let (tell, told) = mpsc::channel();
        let workers = builder.count(2).start(async move |worker| {
            if worker.index() == 0 {
                return Err("planned");
            }
            worker.stopping().await;
            time::sleep(Duration::from_millis(20)).await;
            let _ = tell.send(());
            Ok(())
        });
        let workers = workers.unwrap();
        until(|| workers.is_stopping());
        workers.stop(BOUND);
        assert!(joined(workers).is_err());
        assert_eq!(told.try_recv(), Ok(()));
    });
}

#[test]
fn one_that_asks_for_the_cut_has_time_to_return_and_the_others_are_dropped() {
    for timeout in [Duration::ZERO, Duration::from_millis(10), BOUND] {
        on_each_driver(|builder| {
            let builder = builder.count(2);
            let (tell, told) = mpsc::channel();
            let workers = builder.start(async move |worker| -> io::Result<&str> {
                // Both go on until the deadline, and one of them is told of it.
                if worker.index() == 0 {
                    let cutting = worker.cutting();
                    tell.send(()).unwrap();
                    cutting.await;
                    assert!(worker.is_stopping());
                    return Ok("what it has");
                }
                let stopping = worker.stopping();
                tell.send(()).unwrap();
                stopping.await;
                pending().await
            });
            let workers = workers.unwrap();
            told.recv_timeout(BOUND).unwrap();
            told.recv_timeout(BOUND).unwrap();
            workers.stop(timeout);
            if timeout == BOUND {
                workers.stop(timeout);
            }
            assert_eq!(joined(workers).unwrap(), [Some("what it has"), None]);
        });
    }
}

#[test]
fn a_second_stop_drops_one_that_does_not_return_after_the_cut() {
    on_each_driver(|builder| {
        let (tell, told) = mpsc::channel();
        let workers = builder.count(1).start(async move |worker| {
            worker.cutting().await;
            tell.send(()).unwrap();
            pending::<io::Result<()>>().await
        });
        let workers = workers.unwrap();
        workers.stop(Duration::ZERO);
        told.recv_timeout(BOUND).unwrap();
        workers.stop(Duration::ZERO);
        assert_eq!(joined(workers).unwrap(), [None]);
    });
}

#[test]
fn a_worker_stops_all_of_them_from_inside() {
    on_each_driver(|builder| {
        let workers = builder.count(4).start(async |worker| -> io::Result<()> {
            if worker.index() == 3 {
                worker.workers().stop(BOUND);
            }
            worker.stopping().await;
            Ok(())
        });
        let ended = joined(workers.unwrap()).unwrap();
        assert_eq!(ended.len(), 4);
        // One that was stopped before it began to wait has not asked, and is dropped.
        assert!(ended.contains(&Some(())));
    });
}

#[test]
fn the_future_is_dropped_by_a_stop_and_its_tasks_with_it() {
    on_each_driver(|builder| {
        let dropped = Arc::new(AtomicUsize::new(0));
        struct Counts(Arc<AtomicUsize>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (tell, started) = mpsc::channel();
        let shared = Arc::clone(&dropped);
        let workers = builder
            .count(2)
            .start(async move |_worker| -> io::Result<()> {
                let _own = Counts(Arc::clone(&shared));
                let task = Counts(Arc::clone(&shared));
                spawn(async move {
                    let _task = task;
                    pending::<()>().await;
                });
                tell.send(()).unwrap();
                pending().await
            });
        let workers = workers.unwrap();
        started.recv_timeout(BOUND).unwrap();
        started.recv_timeout(BOUND).unwrap();
        workers.stop(BOUND);
        joined(workers).unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 4);
    });
}

#[test]
fn the_set_is_awaited_on_a_foreign_executor() {
    on_each_driver(|builder| {
        let mut workers = waiting(builder.count(3));
        let counted = Counted::new();
        let poll =
            |workers: &mut Workers<()>, context: &mut Context<'_>| Pin::new(workers).poll(context);
        assert!(poll(&mut workers, &mut counted.context()).is_pending());
        workers.stop(BOUND);
        until(|| counted.count() > 0);
        let ended = poll(&mut workers, &mut counted.context());
        let Poll::Ready(ended) = ended else {
            panic!("it was woken for the end");
        };
        assert_eq!(ended.unwrap().len(), 3);
        assert_eq!(counted.count(), 1);
    });
}

#[test]
fn a_wait_that_is_dropped_leaves_nothing() {
    let workers = waiting(Workers::builder().count(1));
    let counted = Counted::new();
    let mut stopping = Box::pin(worker(&workers, 0).stopping());
    assert!(stopping.as_mut().poll(&mut counted.context()).is_pending());
    let mut other = Box::pin(worker(&workers, 0).stopping());
    let context = &mut Context::from_waker(Waker::noop());
    assert!(other.as_mut().poll(context).is_pending());
    drop(stopping);
    stop(workers);
    assert!(other.as_mut().poll(context).is_ready());
    assert_eq!(counted.count(), 0, "its waiter was dropped");
}

#[test]
fn dropped_handles_leave_the_workers_running() {
    let is_done = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_done);
    let workers = Workers::builder().count(1).start(async move |_worker| {
        time::sleep(Duration::from_millis(10)).await;
        shared.store(true, Ordering::Relaxed);
        io::Result::Ok(())
    });
    drop(workers.unwrap());
    until(|| is_done.load(Ordering::Relaxed));
}

#[test]
fn joining_inside_of_a_runtime_is_refused() {
    let workers = waiting(Workers::builder().count(1));
    let handle = workers.handle().clone();
    let call = handle.worker(0).unwrap().call(|| ());
    let joins = || annulus::run(async { workers.join() });
    let panic = catch_unwind(AssertUnwindSafe(joins)).unwrap_err();
    let text = panic.downcast_ref::<&str>().unwrap();
    assert!(text.contains("`.await` it there"), "{text}");
    let joins = || annulus::run(async { call.join() });
    assert!(catch_unwind(AssertUnwindSafe(joins)).is_err());
    handle.stop(Duration::ZERO);
}
