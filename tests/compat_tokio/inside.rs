//! `InsideTokio`: annulus's runtime in tokio's loop.

use std::{
    cell::Cell,
    fs,
    future::{Future as _, pending},
    io,
    panic::resume_unwind,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use annulus::{
    DriverKind, Runtime, blocking,
    compat::InsideTokio,
    fs::File,
    net::{TcpListener, TcpStream, UnixStream},
    spawn, sync,
    task::yield_now,
    time,
};
use tokio::runtime::Builder;

use crate::{
    alone, panic_of,
    support::{BOUND, Folder, counted::Counted, recv_exact},
};

/// Runs a test in each kind of tokio's runtimes with each driver.
fn in_each(test: impl AsyncFn(InsideTokio)) {
    let _alone = alone();
    let mut many = Builder::new_multi_thread();
    for builder in [&mut Builder::new_current_thread(), many.worker_threads(1)] {
        for kind in [DriverKind::Auto, DriverKind::Poll] {
            let tokio = builder.enable_all().build().unwrap();
            let bounded = async {
                let runtime = Runtime::builder().driver(kind).build().unwrap();
                test(InsideTokio::with(runtime).unwrap()).await;
            };
            tokio
                .block_on(async { tokio::time::timeout(BOUND, bounded).await })
                .expect("the test does not hang");
        }
    }
}

#[test]
fn sockets_files_timers_and_helper_threads_work_in_tokio_s_loop() {
    in_each(async |inside| {
        let talk = inside.run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let echo = spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                while let Ok(bytes) = stream.recv().await {
                    if bytes.is_empty() {
                        return;
                    }
                    stream.write_all(bytes).await.unwrap();
                }
            });
            let stream = TcpStream::connect(addr).await.unwrap();
            for round in 0..100_u8 {
                stream.write_all(vec![round; 10]).await.unwrap();
                assert_eq!(recv_exact(&stream, 10).await, [round; 10]);
                if round % 10 == 0 {
                    // The other runtime's timer, in the same future.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            drop(stream);
            echo.await.unwrap();
            let folder = Folder::new("inside-tokio");
            let file = File::create(folder.path("file")).await.unwrap();
            file.write_all_at("text", 0).await.unwrap();
            assert_eq!(fs::read(folder.path("file")).unwrap(), b"text");
            assert_eq!(blocking::run(|| 5).await, 5);
            let start = Instant::now();
            time::sleep(Duration::from_millis(5)).await;
            assert!(start.elapsed() >= Duration::from_millis(5));
            assert!(
                time::timeout(Duration::from_millis(1), pending::<()>())
                    .await
                    .is_err()
            );
            7
        });
        assert_eq!(talk.await, 7);
    });
}

#[test]
fn several_runs_and_tasks_of_tokio_s_go_on_at_a_time() {
    in_each(async |inside| {
        let inside = Rc::new(inside);
        let (sender, mut receiver) = sync::mpsc::unbounded();
        let local = tokio::task::LocalSet::new();
        for number in 0..10_u64 {
            let (inside, sender) = (Rc::clone(&inside), sender.clone());
            local.spawn_local(async move {
                inside
                    .run(async {
                        let (near, far) = UnixStream::pair().unwrap();
                        for _ in 0..20 {
                            time::sleep(Duration::from_millis(number % 3)).await;
                            near.write_all("x").await.unwrap();
                            far.recv().await.unwrap();
                        }
                    })
                    .await;
                tokio::task::yield_now().await;
                sender.try_send(number).unwrap();
            });
        }
        drop(sender);
        let theirs = tokio::spawn(async {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let collect = async {
            let mut sum = 0;
            while let Some(number) = receiver.recv().await {
                sum += number;
            }
            sum
        };
        assert_eq!(local.run_until(collect).await, 45);
        local.await;
        theirs.await.unwrap();
    });
}

#[test]
fn tasks_go_on_beside_the_program_and_their_handles_are_awaited_anywhere() {
    in_each(async |inside| {
        let (near, far) = inside.runtime().enter(UnixStream::pair).unwrap();
        let task = inside.runtime().enter(|| {
            spawn(async move {
                let bytes = far.recv().await.unwrap();
                time::sleep(Duration::from_millis(1)).await;
                bytes.len()
            })
        });
        let program = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            inside.runtime().enter(|| near.try_write(b"four")).unwrap();
            task.await.unwrap()
        };
        let mut background = Box::pin(inside.run(pending::<()>()));
        let mut program = Box::pin(program);
        let length = std::future::poll_fn(|context| {
            assert!(background.as_mut().poll(context).is_pending());
            program.as_mut().poll(context)
        });
        assert_eq!(length.await, 4);
    });
}

#[test]
fn a_dropped_run_loses_nothing_and_the_others_go_on() {
    in_each(async |inside| {
        let (near, far) = inside.runtime().enter(UnixStream::pair).unwrap();
        for round in 0..50_u8 {
            let dropped = inside.run(far.recv());
            let timed_out = tokio::time::timeout(Duration::from_micros(100), dropped).await;
            assert!(timed_out.is_err(), "nothing was sent");
            // Two that wait, of which the one that drove last goes.
            let ended = inside.run(async {
                near.write_all(vec![round]).await.unwrap();
                let bytes = far.recv().await.unwrap();
                assert_eq!(&*bytes, [round]);
            });
            ended.await;
        }
        inside.run(async move { drop((near, far)) }).await;
    });
}

#[test]
fn it_is_polled_and_dropped_inside_of_annulus() {
    in_each(async |inside| {
        /// Spawns when it is dropped.
        struct SpawnsInDrop(Rc<Cell<u32>>);
        impl Drop for SpawnsInDrop {
            fn drop(&mut self) {
                let count = Rc::clone(&self.0);
                let task = spawn(async move { count.set(count.get() + 1) });
                drop(task);
            }
        }
        let count = Rc::new(Cell::new(0));
        let value = SpawnsInDrop(Rc::clone(&count));
        let waits = inside.run(async move {
            let _value = value;
            pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::ZERO, waits).await.is_err());
        drop(inside.run({
            let value = SpawnsInDrop(Rc::clone(&count));
            async move { drop(value) }
        }));
        inside
            .run(async { time::sleep(Duration::from_millis(1)).await })
            .await;
        assert_eq!(count.get(), 2);
        // Outside of it there is no runtime of annulus's.
        assert!(UnixStream::pair().is_err());
    });
}

/// A counter that another thread increments, and the task that waits for it.
#[derive(Default)]
struct Signal {
    sent: AtomicUsize,
    seen: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

#[test]
fn no_wake_of_another_thread_is_lost() {
    const SIGNALS: usize = 25_000;
    in_each(async |inside| {
        let signal = Arc::new(Signal::default());
        let theirs = Arc::clone(&signal);
        let sender = thread::spawn(move || {
            for sent in 1..=SIGNALS {
                theirs.sent.store(sent, Ordering::Release);
                let waker = theirs.waker.lock().unwrap().clone();
                if let Some(waker) = waker {
                    waker.wake();
                }
                while theirs.seen.load(Ordering::Acquire) < sent {
                    thread::park();
                }
            }
        });
        let thread = sender.thread().clone();
        let task = inside.runtime().enter(|| {
            spawn(async move {
                for seen in 1..=SIGNALS {
                    std::future::poll_fn(|context| {
                        *signal.waker.lock().unwrap() = Some(context.waker().clone());
                        match signal.sent.load(Ordering::Acquire) {
                            sent if sent >= seen => Poll::Ready(()),
                            _ => Poll::Pending,
                        }
                    })
                    .await;
                    signal.seen.store(seen, Ordering::Release);
                    thread.unpark();
                }
            })
        });
        inside.run(task).await.unwrap();
        sender.join().unwrap();
    });
}

#[test]
fn a_waker_that_panics_keeps_no_other_run_waiting() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("a waker's panic"));
        }
    }
    in_each(async |inside| {
        let panics = Waker::from(Arc::new(Panics));
        let mut runs: Vec<_> = (0..3)
            .map(|_| Box::pin(inside.run(pending::<()>())))
            .collect();
        for run in &mut runs {
            let polled = run.as_mut().poll(&mut Context::from_waker(&panics));
            assert!(polled.is_pending());
        }
        let counted = Counted::new();
        let mut other = Box::pin(inside.run(pending::<()>()));
        assert!(other.as_mut().poll(&mut counted.context()).is_pending());
        // A turn that leaves work behind wakes all of them.
        let busy = async {
            loop {
                yield_now().await;
            }
        };
        drop(inside.runtime().enter(|| spawn(busy)));
        let mut last = Box::pin(inside.run(pending::<()>()));
        let polled = last.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        assert_eq!(counted.count(), 1);
    });
}

#[test]
fn without_tokio_it_is_an_error() {
    let error = InsideTokio::new().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    let told = "there is no runtime of tokio's on this thread";
    assert!(error.to_string().starts_with(told), "{error}");
}

#[test]
fn its_end_leaves_no_descriptor() {
    let _alone = alone();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            let before = descriptors();
            for _ in 0..10 {
                let runtime = Runtime::builder().driver(kind).build().unwrap();
                let inside = InsideTokio::with(runtime).unwrap();
                let (near, _far) = inside.runtime().enter(UnixStream::pair).unwrap();
                // In flight at the end.
                let waits = inside
                    .runtime()
                    .enter(|| spawn(async move { near.recv().await }));
                inside
                    .run(async { time::sleep(Duration::from_millis(1)).await })
                    .await;
                drop((inside, waits));
            }
            // A helper thread of another test may have ended meanwhile.
            assert!(descriptors() <= before, "{} of {before}", descriptors());
        });
    }
}

#[test]
fn when_tokio_has_ended_it_goes_on_by_hand_only() {
    let _alone = alone();
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let tokio = Builder::new_current_thread().enable_all().build().unwrap();
        let inside = tokio.block_on(async {
            let runtime = Runtime::builder().driver(kind).build().unwrap();
            InsideTokio::with(runtime).unwrap()
        });
        drop(tokio);
        let task = inside.runtime().enter(|| {
            spawn(async {
                time::sleep(Duration::from_millis(1)).await;
                7
            })
        });
        assert!(!task.is_finished());
        assert_eq!(inside.runtime().block_on(task).unwrap(), 7);
        let later = Builder::new_current_thread().enable_all().build().unwrap();
        later.block_on(async {
            assert_eq!(inside.run(async { 7 }).await, 7);
            let (near, _far) = inside.runtime().enter(UnixStream::pair).unwrap();
            let mut receives = Box::pin(inside.run(async move { near.recv().await }));
            let mut context = Context::from_waker(Waker::noop());
            assert!(receives.as_mut().poll(&mut context).is_pending());
            let sleeps = inside.run(async { time::sleep(Duration::from_millis(1)).await });
            let mut sleeps = Box::pin(sleeps);
            let text = panic_of(|| sleeps.as_mut().poll(&mut context));
            assert!(text.contains("being shutdown"), "{text}");
        });
    }
}
