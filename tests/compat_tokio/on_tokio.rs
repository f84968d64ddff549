//! `on_tokio`: futures on tokio's threads.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use annulus::{
    compat::{OnTokio, Tokio, on_tokio},
    future::join,
    net, spawn, stats, time,
};

use crate::{
    alone, panic_of,
    support::{poll_once, run_each},
};

#[test]
fn the_output_comes_back_and_each_is_counted() {
    let _alone = alone();
    run_each(async || {
        let before = stats().tokio.tasks;
        let name = on_tokio(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.as_deref(), Some("annulus-tokio"));
        let slow = on_tokio(async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            1
        });
        let quick = on_tokio(async { 2 });
        assert_eq!(join(slow, quick).await, (1, 2));
        assert_eq!(stats().tokio.tasks, before + 3);
    });
}

#[test]
fn a_panic_goes_on_in_the_awaiting_task() {
    let _alone = alone();
    run_each(async || {
        let task = spawn(async { on_tokio(async { panic!("over there") }).await });
        let error = task.await.unwrap_err();
        assert!(error.is_panic());
        assert!(error.to_string().contains("over there"), "{error}");
        assert_eq!(on_tokio(async { 5 }).await, 5);
    });
}

/// Says when it was dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A future on tokio that never ends, and whether it was dropped.
fn endless() -> (OnTokio<()>, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(Arc::clone(&dropped));
    let future = on_tokio(async move {
        let _flag = flag;
        pending::<()>().await;
    });
    (future, dropped)
}

#[test]
fn dropping_the_handle_cancels_the_future() {
    let _alone = alone();
    run_each(async || {
        let (future, dropped) = endless();
        drop(future);
        let (mut polled, polled_dropped) = endless();
        assert!(poll_once(&mut polled).await.is_pending());
        drop(polled);
        for dropped in [dropped, polled_dropped] {
            while !dropped.load(Ordering::Acquire) {
                time::sleep(Duration::from_millis(1)).await;
            }
        }
        let (timed_out, dropped) = endless();
        assert!(time::timeout(Duration::ZERO, timed_out).await.is_err());
        while !dropped.load(Ordering::Acquire) {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_detached_future_goes_on() {
    let _alone = alone();
    run_each(async || {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&ended));
        on_tokio(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            drop(flag);
        })
        .detach();
        while !ended.load(Ordering::Acquire) {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn annulus_is_not_there_and_says_so() {
    let _alone = alone();
    run_each(async || {
        let told = "there is no annulus runtime on this thread";
        let error = on_tokio(async { net::UnixStream::pair().map(drop) });
        let error = error.await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let sentence = on_tokio(async { panic_of(|| drop(spawn(async {}))) }).await;
        assert!(
            sentence.contains("only be spawned inside a runtime"),
            "{sentence}"
        );
        let sentence = on_tokio(async { panic_of(stats) }).await;
        assert!(sentence.contains(told), "{sentence}");
    });
}

#[test]
fn no_wake_between_the_threads_is_lost() {
    let _alone = alone();
    run_each(async || {
        let tokio = Tokio::shared().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (tokio, count) = (tokio.clone(), Arc::clone(&count));
                spawn(async move {
                    for _ in 0..5000 {
                        let count = Arc::clone(&count);
                        let call = async move { count.fetch_add(1, Ordering::Relaxed) };
                        tokio.spawn(call).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(count.load(Ordering::Relaxed), 20_000);
    });
}
