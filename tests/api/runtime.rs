//! The runtime itself.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    task::Poll,
    thread,
    time::Duration,
};

use annulus::{DriverKind, Runtime, blocking, net::TcpListener, spawn, task::yield_now, time};

use crate::support::{
    Folder, guarded, pair, poll_once, recv_exact, run, settle, skip::skip, std_pair,
};

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn run_returns_the_output() {
    assert_eq!(annulus::run(async { 7 }), 7);
    let result: Result<(), &str> = annulus::run(async { Err("mine") });
    assert_eq!(result, Err("mine"));
}

#[test]
fn run_passes_a_panic_on_and_can_be_called_again() {
    let panic = catch_unwind(|| annulus::run(async { panic!("out of run") })).unwrap_err();
    assert_eq!(message(panic), "out of run");
    assert_eq!(annulus::run(async { 8 }), 8);
}

#[test]
fn block_on_works_several_times_and_tasks_go_on() {
    let runtime = Runtime::new().unwrap();
    let steps = Rc::new(Cell::new(0));
    let mut task = None;
    runtime.block_on(async {
        let steps = Rc::clone(&steps);
        task = Some(spawn(async move {
            for _ in 0..10 {
                steps.set(steps.get() + 1);
                yield_now().await;
            }
            "finished"
        }));
    });
    assert!(steps.get() < 10);
    let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0").await.unwrap() });
    assert_eq!(
        runtime.block_on(guarded(task.unwrap())).unwrap(),
        "finished"
    );
    assert_eq!(steps.get(), 10);
    // Handles of the first call are used in the third.
    runtime.block_on(guarded(async {
        let addr = listener.local_addr().unwrap();
        let near = annulus::net::TcpStream::connect(addr).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        near.write_all("x").await.unwrap();
        assert_eq!(recv_exact(&far, 1).await, b"x");
    }));
}

#[test]
fn a_connection_goes_on_at_the_next_block_on() {
    let runtime = Runtime::new().unwrap();
    let (near, far) = runtime.block_on(guarded(pair()));
    let mut echo = None;
    runtime.block_on(async {
        echo = Some(spawn(async move {
            while let Ok(bytes) = far.recv().await {
                if bytes.is_empty() {
                    return;
                }
                far.write_all(bytes).await.unwrap();
            }
        }));
    });
    for round in 0..5_u8 {
        runtime.block_on(guarded(async {
            near.write_all(vec![round; 10]).await.unwrap();
        }));
        let bytes = runtime.block_on(guarded(recv_exact(&near, 10)));
        assert_eq!(bytes, [round; 10]);
    }
    runtime.block_on(async { drop(near) });
    runtime.block_on(guarded(echo.unwrap())).unwrap();
}

#[test]
fn a_panic_in_block_on_leaves_the_runtime_usable() {
    let runtime = Runtime::new().unwrap();
    let (near, far) = runtime.block_on(guarded(pair()));
    let panic = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            near.write_all("before").await.unwrap();
            panic!("in between");
        })
    }));
    assert!(panic.is_err());
    let bytes = runtime.block_on(guarded(recv_exact(&far, 6)));
    assert_eq!(bytes, b"before");
}

#[test]
fn nesting_panics_with_a_sentence() {
    let sentence = "annulus is already running on this thread: inside it, `.await` the future or \
                    `spawn` it instead of calling `run` or `block_on` again";
    run(async {
        let panic = catch_unwind(|| annulus::run(async {})).unwrap_err();
        assert_eq!(message(panic), sentence);
        // A runtime may be made inside another, but not entered.
        let other = Runtime::new().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| other.block_on(async {}))).unwrap_err();
        assert_eq!(message(panic), sentence);
        drop(other);
        // The one around goes on.
        let (near, far) = pair().await;
        near.write_all("on").await.unwrap();
        assert_eq!(recv_exact(&far, 2).await, b"on");
        time::sleep(Duration::from_millis(1)).await;
    });
    annulus::run(async {});
}

#[test]
fn outside_a_runtime_everything_says_so() {
    let panic = catch_unwind(|| drop(spawn(async {}))).unwrap_err();
    assert_eq!(
        message(panic),
        "a task can only be spawned inside a runtime, and none is running on this thread"
    );
    let panic = catch_unwind(annulus::stats).unwrap_err();
    assert!(message(panic).contains("there is no annulus runtime on this thread"));
    assert!(catch_unwind(time::pause).is_err());
    let mut bind = Box::pin(TcpListener::bind("127.0.0.1:0"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(result) = bind.as_mut().poll(&mut context) else {
        panic!("an error is told at once");
    };
    assert!(result.unwrap_err().to_string().contains("annulus::run"));
    let std_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = TcpListener::from_std(std_listener).unwrap_err();
    assert!(error.to_string().contains("annulus::run"));
}

#[test]
fn the_end_of_a_runtime_drops_its_tasks() {
    let token = Rc::new(());
    run(async {
        for _ in 0..10 {
            let token = Rc::clone(&token);
            spawn(async move {
                pending::<()>().await;
                drop(token);
            });
        }
        yield_now().await;
        assert_eq!(Rc::strong_count(&token), 11);
    });
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn tasks_in_the_middle_of_everything_end_with_the_runtime() {
    let handles = run(async {
        let (listener, addr) = crate::support::listen().await;
        let mut handles = Vec::new();
        handles.push(spawn(async move {
            listener.accept().await.unwrap();
            listener.accept().await.unwrap();
        }));
        let near = Rc::new(annulus::net::TcpStream::connect(addr).await.unwrap());
        for number in 0..4 {
            let near = Rc::clone(&near);
            handles.push(spawn(async move {
                match number {
                    0 => drop(near.recv().await),
                    1 => drop(near.read(Vec::with_capacity(1 << 16)).await),
                    2 => drop(near.closed().await),
                    _ => drop(near.write_all(vec![1; 1 << 24]).await),
                }
            }));
        }
        handles.push(spawn(async { time::sleep(Duration::MAX).await }));
        handles.push(spawn(annulus::blocking::run(|| ())));
        crate::support::settle().await;
        handles
    });
    assert_eq!(handles.len(), 7);
    for handle in handles {
        assert!(handle.is_finished());
    }
}

#[test]
fn what_outlives_its_runtime_is_harmless() {
    let (stream, peer, listener, handle, sleep) = run(async {
        let (listener, _) = crate::support::listen().await;
        let (near, far) = pair().await;
        let _ = time::timeout(Duration::ZERO, near.recv()).await;
        far.write_all("unread").await.unwrap();
        crate::support::settle().await;
        let _ = time::timeout(Duration::ZERO, listener.accept()).await;
        (
            near,
            far,
            listener,
            spawn(pending::<()>()),
            time::sleep(Duration::from_secs(1)),
        )
    });
    assert!(handle.is_finished());
    drop((handle, sleep, listener));
    run(async {
        let error = stream.recv().await.unwrap_err();
        assert!(error.to_string().contains("another annulus runtime"));
        drop(stream);
        drop(peer);
    });
}

#[test]
fn several_runtimes_live_on_one_thread() {
    let first = Runtime::new().unwrap();
    let second = Runtime::builder().ring_entries(8).build().unwrap();
    let a = first.block_on(guarded(pair()));
    let b = second.block_on(guarded(pair()));
    for round in 0..3_u8 {
        first.block_on(guarded(async {
            a.0.write_all(vec![round]).await.unwrap();
            assert_eq!(recv_exact(&a.1, 1).await, [round]);
        }));
        second.block_on(guarded(async {
            b.0.write_all(vec![round]).await.unwrap();
            assert_eq!(recv_exact(&b.1, 1).await, [round]);
        }));
    }
    drop(first);
    second.block_on(guarded(async {
        b.0.write_all("last").await.unwrap();
        assert_eq!(recv_exact(&b.1, 4).await, b"last");
    }));
}

#[test]
fn the_driver_is_the_one_that_was_asked_for() {
    let poll = Runtime::builder().driver(DriverKind::Poll).build().unwrap();
    assert_eq!(poll.driver_kind(), DriverKind::Poll);
    if let Ok(ring) = Runtime::builder().driver(DriverKind::Ring).build() {
        assert_eq!(ring.driver_kind(), DriverKind::Ring);
    } else {
        skip("this machine allows no ring");
    }
    let auto = Runtime::new().unwrap();
    match std::env::var("ANNULUS_DRIVER").as_deref() {
        Ok("poll") => assert_eq!(auto.driver_kind(), DriverKind::Poll),
        Ok("ring") => assert_eq!(auto.driver_kind(), DriverKind::Ring),
        _ => {}
    }
    assert!(format!("{auto:?}").contains("Runtime"));
}

#[test]
fn every_extreme_of_the_builder_works() {
    for builder in [
        Runtime::builder().ring_entries(0),
        Runtime::builder().ring_entries(1),
        Runtime::builder().ring_entries(3),
        Runtime::builder().receive_buffers(0),
        Runtime::builder()
            .receive_buffers(3)
            .receive_buffer_bytes(0),
        Runtime::builder().receive_buffer_bytes(65),
        Runtime::builder()
            .receive_buffers(2)
            .receive_buffer_bytes(u32::MAX),
        Runtime::builder().shutdown_timeout(Duration::ZERO),
        Runtime::builder().shutdown_timeout(Duration::MAX),
    ] {
        let name = format!("{builder:?}");
        let runtime = builder.build().unwrap_or_else(|e| panic!("{name}: {e}"));
        runtime.block_on(guarded(async {
            let (near, far) = pair().await;
            let writer = spawn(async move {
                near.write_all(vec![5; 100_000]).await.unwrap();
                near
            });
            assert_eq!(recv_exact(&far, 100_000).await, vec![5; 100_000]);
            drop(writer.await.unwrap());
            assert!(far.recv().await.unwrap().is_empty());
        }));
    }
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    run(async {
        for _ in 0..100 {
            let (sender, receiver) = std::sync::mpsc::channel::<std::task::Waker>();
            let woken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let flag = std::sync::Arc::clone(&woken);
            let thread = std::thread::spawn(move || {
                let waker = receiver.recv().unwrap();
                flag.store(true, std::sync::atomic::Ordering::Release);
                waker.wake();
            });
            std::future::poll_fn(|context| {
                if woken.load(std::sync::atomic::Ordering::Acquire) {
                    return std::task::Poll::Ready(());
                }
                let _ = sender.send(context.waker().clone());
                std::task::Poll::Pending
            })
            .await;
            thread.join().unwrap();
        }
    });
}

/// Whether this process has the file open.
fn is_open(path: &std::path::Path) -> bool {
    let path = path.canonicalize().unwrap();
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .any(|open| open == path)
}

#[test]
fn a_file_is_closed_also_when_the_end_waits_for_nothing() {
    let folder = Folder::new("closed-at-the-end");
    let path = folder.path("file");
    let runtime = Runtime::builder()
        .shutdown_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let file = runtime.block_on(guarded(annulus::fs::File::create(&path)));
    let file = file.unwrap();
    assert!(is_open(&path));
    runtime.block_on(async {
        drop(spawn(async move {
            let _file = file;
            pending::<()>().await;
        }));
    });
    drop(runtime);
    assert!(!is_open(&path));
}

thread_local! {
    static KEPT: std::cell::RefCell<Option<Runtime>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn a_runtime_in_a_thread_local_ends_with_its_thread() {
    let mut near = std::thread::spawn(|| {
        // Its place comes before the crate's own thread-locals, and outlives them.
        KEPT.with(|kept| assert!(kept.borrow().is_none()));
        let runtime = Runtime::new().unwrap();
        let (far, near) = runtime.block_on(guarded(std_pair()));
        runtime.block_on(async {
            spawn(async move { drop(far.recv().await) });
            spawn(time::sleep(Duration::from_secs(1000)));
            yield_now().await;
            time::pause();
        });
        KEPT.with(|kept| kept.replace(Some(runtime)));
        near
    })
    .join()
    .unwrap();
    near.set_read_timeout(Some(Duration::from_secs(100)))
        .unwrap();
    assert_eq!(std::io::Read::read(&mut near, &mut [0]).unwrap(), 0);
}

#[test]
fn what_is_dropped_last_is_closed_when_block_on_returns() {
    let runtime = Runtime::new().unwrap();
    let mut near = runtime.block_on(guarded(async {
        let (far, near) = std_pair().await;
        let mut receive = Box::pin(far.recv());
        assert!(poll_once(&mut receive).await.is_pending());
        settle().await;
        near
    }));
    // The runtime is not entered any more, and yet the peer sees the end.
    near.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(std::io::Read::read(&mut near, &mut [0]).unwrap(), 0);
    drop(runtime);
}

#[test]
fn a_runtime_that_looks_before_it_sleeps_sees_every_kind_of_event() {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        for spin in [1, 200, 1_000_000] {
            let builder = Runtime::builder()
                .driver(kind)
                .spin(Duration::from_micros(spin));
            builder.build().unwrap().block_on(guarded(async {
                let (near, far) = pair().await;
                let echo = spawn(async move {
                    loop {
                        let bytes = far.recv().await.unwrap();
                        if bytes.is_empty() {
                            break;
                        }
                        far.write_all(bytes).await.unwrap();
                    }
                });
                for round in 0..50_u8 {
                    near.write_all(vec![round; 10]).await.unwrap();
                    assert_eq!(recv_exact(&near, 10).await, [round; 10]);
                    // A helper thread, a timer, and another thread's wake.
                    assert_eq!(blocking::run(move || round).await, round);
                    time::sleep(Duration::from_micros(u64::from(round))).await;
                    let mut thread = None;
                    poll_fn(|context| match thread.take() {
                        None => {
                            let waker = context.waker().clone();
                            thread = Some(thread::spawn(move || waker.wake()));
                            Poll::Pending
                        }
                        Some(thread) => {
                            thread.join().unwrap();
                            Poll::Ready(())
                        }
                    })
                    .await;
                }
                drop(near);
                echo.await.unwrap();
            }));
        }
    }
}
