//! Calls on helper threads.

use std::{
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use annulus::{DriverKind, Runtime, blocking, fs::File, net::TcpStream, spawn, task::JoinSet};

use crate::support::{guarded, listen, poll_once, run, until};

#[test]
fn the_result_comes_back_from_another_thread() {
    run(async {
        let here = thread::current().id();
        let (there, text) =
            blocking::run(move || (thread::current().id(), String::from("done"))).await;
        assert_ne!(here, there);
        assert_eq!(text, "done");
    });
}

#[test]
fn the_runtime_goes_on_meanwhile() {
    run(async {
        let (sender, receiver) = mpsc::channel();
        let call = spawn(blocking::run(move || receiver.recv().unwrap()));
        let other = spawn(async { 7 });
        assert_eq!(other.await.unwrap(), 7);
        assert!(!call.is_finished());
        sender.send(5).unwrap();
        assert_eq!(call.await.unwrap(), 5);
    });
}

#[test]
fn a_panic_comes_back() {
    run(async {
        let task = spawn(async { blocking::run(|| -> i32 { panic!("told") }).await });
        let error = task.await.unwrap_err();
        let payload = error.into_panic();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"told"));
        // The thread serves on.
        assert_eq!(blocking::run(|| 3).await, 3);
    });
    let panic = std::panic::catch_unwind(AssertUnwindSafe(|| {
        annulus::run(blocking::run(|| panic!("through run")));
    }));
    assert_eq!(
        panic.unwrap_err().downcast_ref::<&str>(),
        Some(&"through run")
    );
}

#[test]
fn a_dropped_call_that_has_begun_ends_and_its_result_is_dropped() {
    run(async {
        let token = Arc::new(());
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let inside = Arc::clone(&token);
        let mut call = Box::pin(blocking::run(move || {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            inside
        }));
        assert!(poll_once(&mut call).await.is_pending());
        has_begun.recv().unwrap();
        drop(call);
        assert_eq!(Arc::strong_count(&token), 2);
        go_on.send(()).unwrap();
        until(|| Arc::strong_count(&token) == 1).await;
    });
}

#[test]
fn many_calls_are_all_made() {
    run(async {
        let made = Arc::new(AtomicUsize::new(0));
        let mut calls = JoinSet::new();
        for number in 0..500 {
            let made = Arc::clone(&made);
            calls.spawn(blocking::run(move || {
                made.fetch_add(1, Ordering::Relaxed);
                number
            }));
        }
        let mut sum = 0;
        while let Some(number) = calls.join_next().await {
            sum += number.unwrap();
        }
        assert_eq!(sum, 499 * 500 / 2);
        assert_eq!(made.load(Ordering::Relaxed), 500);
    });
}

/// As many calls as there may be threads for files, which wait until the sender is dropped.
fn calls_that_wait() -> (JoinSet<()>, mpsc::Sender<()>) {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Arc::new(Mutex::new(may_go_on));
    let mut calls = JoinSet::new();
    for _ in 0..blocking::stats().files.threads_max {
        let may_go_on = Arc::clone(&may_go_on);
        calls.spawn(blocking::run(move || {
            let _: Result<(), _> = may_go_on.lock().unwrap().recv();
        }));
    }
    (calls, go_on)
}

#[test]
fn calls_that_take_long_delay_no_name_no_file_and_no_other_call() {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(guarded(async {
            let (mut calls, go_on) = calls_that_wait();
            let (_listener, addr) = listen().await;
            TcpStream::connect(format!("localhost:{}", addr.port()))
                .await
                .unwrap();
            File::open("/proc/self/exe").await.unwrap();
            assert_eq!(blocking::run(|| 5).await, 5);
            drop(go_on);
            while let Some(call) = calls.join_next().await {
                call.unwrap();
            }
        }));
    }
}

#[test]
fn calls_that_wait_for_another_one_end() {
    run(async {
        let count = usize::try_from(blocking::stats().files.threads_max).unwrap();
        let all = Arc::new(Barrier::new(count + 1));
        let mut calls = JoinSet::new();
        for _ in 0..=count {
            let all = Arc::clone(&all);
            calls.spawn(blocking::run(move || all.wait().is_leader()));
        }
        let mut leaders = 0;
        while let Some(is_leader) = calls.join_next().await {
            leaders += usize::from(is_leader.unwrap());
        }
        assert_eq!(leaders, 1);
    });
}

#[test]
fn runtimes_that_run_on_helper_threads_have_files_and_calls_of_their_own() {
    run(async {
        let count = usize::try_from(blocking::stats().files.threads_max).unwrap();
        let all = Arc::new(Barrier::new(count));
        let mut calls = JoinSet::new();
        for _ in 0..count {
            let all = Arc::clone(&all);
            calls.spawn(blocking::run(move || {
                all.wait();
                let runtime = Runtime::builder().driver(DriverKind::Poll).build().unwrap();
                runtime.block_on(async {
                    File::open("/proc/self/exe").await.unwrap();
                    blocking::run(|| 1).await
                })
            }));
        }
        while let Some(one) = calls.join_next().await {
            assert_eq!(one.unwrap(), 1);
        }
    });
}

#[test]
fn the_counters_tell_of_the_threads() {
    run(async {
        let before = annulus::stats().helpers;
        assert!(before.names.threads_max > 0);
        let (mut calls, go_on) = calls_that_wait();
        blocking::run(|| ()).await;
        let busy = annulus::stats().helpers.calls;
        assert!(busy.threads >= before.files.threads_max);
        drop(go_on);
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
    });
}

#[test]
fn it_works_outside_a_runtime_too() {
    let waker = std::task::Waker::noop();
    let mut call = Box::pin(blocking::run(|| 9));
    let mut context = std::task::Context::from_waker(waker);
    loop {
        if let std::task::Poll::Ready(nine) = call.as_mut().poll(&mut context) {
            assert_eq!(nine, 9);
            return;
        }
        thread::yield_now();
    }
}

#[test]
fn a_runtime_that_ends_first_does_not_wait_for_it() {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (done, is_done) = mpsc::channel();
    run(async {
        let not_send = Rc::new(());
        let call = blocking::run(move || {
            may_go_on.recv().unwrap();
            done.send(()).unwrap();
        });
        spawn(async move {
            call.await;
            drop(not_send);
        });
        annulus::task::yield_now().await;
    });
    // The call has begun or never will, and either way nothing is broken.
    let _ = go_on.send(());
    let _ = is_done.recv();
}
