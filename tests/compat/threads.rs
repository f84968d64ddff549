//! `Send`, without leaving the thread.

use std::{thread, time::Duration};

use annulus::{
    compat::{Compat, hyper::Timer},
    net::UnixStream,
};
use hyper::rt::Timer as _;

use crate::{
    Family as _, Tokio,
    support::{counted::Counted, run_each},
};

#[test]
fn dropped_on_another_thread_the_stream_is_closed_at_home() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        let near = Compat::new(near);
        let other = thread::spawn(move || drop(near));
        assert!(far.recv().await.unwrap().is_empty());
        other.join().unwrap();
    });
}

#[test]
fn a_use_on_another_thread_panics_and_costs_the_runtime_nothing() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        let mut near = Compat::new(near);
        let other = thread::Builder::new().name("tokio-worker".into());
        let other = other.spawn(move || {
            assert_eq!(
                format!("{near:?}"),
                "Compat { stream: <on another thread> }"
            );
            let counted = Counted::new();
            drop(Tokio::poll_read(
                &mut near,
                &mut counted.context(),
                &mut [0],
            ));
        });
        let panic = tokio_join(other.unwrap()).await;
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("used on the thread `tokio-worker`"), "{text}");
        assert!(text.contains("`annulus::spawn`"), "{text}");
        // It came home when the other thread unwound.
        assert!(far.recv().await.unwrap().is_empty());
    });
}

/// Waits for the end of a thread that panics, while the runtime goes on.
async fn tokio_join(other: thread::JoinHandle<()>) -> Box<dyn std::any::Any + Send> {
    annulus::blocking::run(move || other.join().unwrap_err()).await
}

#[test]
fn a_sleep_of_hyper_is_set_anew_without_an_allocation() {
    run_each(async || {
        let mut sleep = Timer.sleep(Duration::from_secs(3600));
        let far = Timer.now() + Duration::from_secs(7200);
        Timer.reset(&mut sleep, far);
        let before = crate::support::counting::allocations();
        for _ in 0..100 {
            Timer.reset(&mut sleep, far);
        }
        assert_eq!(crate::support::counting::allocations(), before);
        Timer.reset(&mut sleep, Timer.now());
        sleep.await;
    });
}
