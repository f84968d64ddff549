//! A runtime that a foreign loop drives: `turn`, `enter` and its descriptor.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    io::{self, Write as _},
    os::fd::{AsFd as _, AsRawFd as _},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use annulus::{
    DriverKind, Runtime, blocking,
    fs::File,
    future::join,
    net::UnixStream,
    spawn,
    sync::remote,
    task::{unconstrained, yield_now},
    time,
};

use crate::support::{BOUND, Folder, pair, recv_exact, repetitions};

/// Calls `test` with a runtime of each driver.
fn on_each_driver(test: impl Fn(&Runtime)) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        test(&Runtime::builder().driver(kind).build().unwrap());
    }
}

/// Waits until the descriptor is readable or `latest` has come, and says whether it is readable.
fn wait(runtime: &Runtime, latest: Option<Instant>) -> bool {
    let bound = Instant::now() + BOUND;
    let until = latest.unwrap_or(bound);
    let left = until.saturating_duration_since(Instant::now());
    let milliseconds = left.as_nanos().div_ceil(1_000_000);
    let mut fd = libc::pollfd {
        fd: runtime.as_fd().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the kernel reads and writes the structure during the call.
    let count = unsafe { libc::poll(&raw mut fd, 1, milliseconds as i32) };
    assert!(count >= 0, "{}", io::Error::last_os_error());
    assert!(count > 0 || latest.is_some(), "nothing comes any more");
    count > 0
}

fn is_readable(runtime: &Runtime) -> bool {
    wait(runtime, Some(Instant::now()))
}

/// A foreign loop: turns and waits. Returns how many turns it took.
fn drive(runtime: &Runtime, is_done: impl Fn() -> bool) -> usize {
    let mut turns = 0;
    while !is_done() {
        let latest = runtime.turn();
        turns += 1;
        if !is_done() {
            wait(runtime, latest);
        }
    }
    turns
}

/// Runs a future as a task of `runtime` in a foreign loop.
fn run_outside<T: 'static>(runtime: &Runtime, future: impl Future<Output = T> + 'static) -> T {
    let output = Rc::new(Cell::new(None));
    let task = Rc::clone(&output);
    let task = runtime.enter(|| spawn(async move { task.set(Some(future.await)) }));
    drive(runtime, || task.is_finished());
    output.take().expect("the task does not panic")
}

/// A connection whose other end is std's.
fn std_pair(runtime: &Runtime) -> (std::os::unix::net::UnixStream, UnixStream) {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let far = runtime.enter(|| UnixStream::from_std(far));
    (near, far.unwrap())
}

/// Becomes idle.
fn settle(runtime: &Runtime) {
    while runtime
        .turn()
        .is_some_and(|latest| latest <= Instant::now())
        || is_readable(runtime)
    {}
}

#[test]
fn every_kind_of_work_goes_on_in_a_foreign_loop() {
    on_each_driver(|runtime| {
        run_outside(runtime, async {
            let (near, far) = pair().await;
            let echo = spawn(async move {
                while let Ok(bytes) = far.recv().await {
                    if bytes.is_empty() {
                        return;
                    }
                    far.write_all(bytes).await.unwrap();
                }
            });
            for round in 0..100_u8 {
                near.write_all(vec![round; 10]).await.unwrap();
                assert_eq!(recv_exact(&near, 10).await, [round; 10]);
            }
            // More than one turn takes, and a queue that is full meanwhile.
            let large = vec![7; 3 << 20];
            let (sent, received) = join(near.write_all(large), recv_exact(&near, 3 << 20)).await;
            assert_eq!(received, sent.unwrap());
            drop(near);
            echo.await.unwrap();
            let folder = Folder::new("outside");
            let path = folder.path("file");
            let file = File::create(&path).await.unwrap();
            file.write_all_at("text", 0).await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"text");
            assert_eq!(blocking::run(|| 5).await, 5);
            time::sleep(Duration::from_millis(3)).await;
            assert!(
                time::timeout(Duration::from_millis(1), pending::<()>())
                    .await
                    .is_err()
            );
        });
    });
}

#[test]
fn an_idle_runtime_is_not_readable_and_asks_for_no_turn() {
    on_each_driver(|runtime| {
        let (near, far) = std_pair(runtime);
        let receives = runtime.enter(|| spawn(async move { far.recv().await.unwrap().len() }));
        settle(runtime);
        assert_eq!(runtime.turn(), None);
        assert!(!is_readable(runtime));
        let before = runtime.stats();
        assert_eq!(runtime.turn(), None);
        assert_eq!(runtime.stats().tasks.polled, before.tasks.polled);
        // An event of the kernel's.
        (&near).write_all(b"four").unwrap();
        assert!(wait(runtime, None));
        drive(runtime, || receives.is_finished());
        assert_eq!(runtime.block_on(receives).unwrap(), 4);
    });
}

#[test]
fn what_is_started_from_outside_makes_the_descriptor_readable() {
    on_each_driver(|runtime| {
        settle(runtime);
        // A task, a timer that comes first, and one that is earlier.
        let task = runtime.enter(|| spawn(async { 1 }));
        assert!(is_readable(runtime));
        drive(runtime, || task.is_finished());
        settle(runtime);
        let timer = |duration| runtime.enter(|| Box::pin(time::sleep(duration)));
        let poll = |timer: &mut std::pin::Pin<Box<time::Sleep>>| {
            let context = &mut std::task::Context::from_waker(Waker::noop());
            runtime.enter(|| timer.as_mut().poll(context)).is_ready()
        };
        let mut hour = timer(Duration::from_secs(3600));
        assert!(!poll(&mut hour));
        assert!(is_readable(runtime));
        settle(runtime);
        let latest = runtime.turn().expect("there is a timer");
        let mut later = timer(Duration::from_secs(7200));
        assert!(!poll(&mut later));
        assert!(
            !is_readable(runtime),
            "the turn that was told is early enough"
        );
        let mut minute = timer(Duration::from_secs(60));
        assert!(!poll(&mut minute));
        assert!(is_readable(runtime));
        assert!(runtime.turn().expect("there is a timer") < latest);
        runtime.enter(|| drop((hour, later, minute)));
    });
}

#[test]
fn a_timer_needs_no_event_and_is_not_early() {
    on_each_driver(|runtime| {
        let start = Instant::now();
        let duration = Duration::from_millis(30);
        let ended = run_outside(runtime, async move {
            time::sleep(duration).await;
            Instant::now()
        });
        assert!(ended - start >= duration);
        // The wheel sorts a timer some times on its way; a loop that spins takes thousands.
        let task = runtime.enter(|| spawn(time::sleep(duration)));
        let turns = drive(runtime, || task.is_finished());
        assert!(turns < 100, "{turns} turns for one timer");
    });
}

/// A counter that another thread increments, and the task that waits for it.
#[derive(Default)]
struct Signal {
    sent: AtomicUsize,
    seen: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

/// Sends `count` signals, each after the one before was seen.
fn send_each(signal: &Signal, count: usize) {
    for sent in 1..=count {
        signal.sent.store(sent, Ordering::Release);
        let waker = signal.waker.lock().unwrap().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
        while signal.seen.load(Ordering::Acquire) < sent {
            thread::park();
        }
    }
}

async fn see_each(signal: &Signal, sender: &thread::Thread, count: usize) {
    for seen in 1..=count {
        poll_fn(|context| {
            *signal.waker.lock().unwrap() = Some(context.waker().clone());
            match signal.sent.load(Ordering::Acquire) {
                sent if sent >= seen => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        signal.seen.store(seen, Ordering::Release);
        sender.unpark();
    }
}

#[test]
fn no_wake_of_another_thread_is_lost() {
    const SENDERS: usize = 4;
    let signals = repetitions(25_000);
    on_each_driver(|runtime| {
        let mut tasks = Vec::new();
        let mut senders = Vec::new();
        for _ in 0..SENDERS {
            let signal = Arc::new(Signal::default());
            let theirs = Arc::clone(&signal);
            let sender = thread::spawn(move || send_each(&theirs, signals));
            let thread = sender.thread().clone();
            senders.push(sender);
            let task = async move { see_each(&signal, &thread, signals).await };
            tasks.push(runtime.enter(|| spawn(task)));
        }
        drive(runtime, || tasks.iter().all(|task| task.is_finished()));
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn an_edge_triggered_loop_misses_nothing() {
    on_each_driver(|runtime| {
        // SAFETY: the calls take no address but that of the event, which the kernel reads.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: 0,
        };
        let fd = runtime.as_fd().as_raw_fd();
        // SAFETY: as above.
        let added = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        assert_eq!(added, 0);
        let talk = runtime.enter(|| {
            spawn(async {
                let (near, far) = pair().await;
                for round in 0..2000_u32 {
                    near.write_all(round.to_be_bytes().to_vec()).await.unwrap();
                    assert_eq!(recv_exact(&far, 4).await, round.to_be_bytes());
                    if round % 100 == 0 {
                        blocking::run(|| ()).await;
                    }
                }
            })
        });
        loop {
            let latest = runtime.turn();
            if talk.is_finished() {
                break;
            }
            let left = latest.map_or(BOUND, |latest| {
                latest.saturating_duration_since(Instant::now())
            });
            let milliseconds = left.as_nanos().div_ceil(1_000_000) as i32;
            // SAFETY: the kernel writes one event during the call.
            let count = unsafe { libc::epoll_wait(epoll, &raw mut event, 1, milliseconds) };
            // A signal of another test ends the wait early.
            let is_late = count == 0 && latest.is_none();
            assert!(!is_late, "an edge was missed");
        }
        close(epoll);
    });
}

fn close(fd: i32) {
    // SAFETY: the descriptor is this test's own.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

#[test]
fn tasks_that_are_always_ready_leave_the_loop_its_turn() {
    on_each_driver(|runtime| {
        let yields = runtime.enter(|| {
            spawn(async {
                loop {
                    yield_now().await;
                }
            })
        });
        for _ in 0..10 {
            let latest = runtime.turn().expect("there is more to do");
            assert!(latest <= Instant::now());
        }
        yields.abort();
        drive(runtime, || yields.is_finished());
    });
}

#[test]
fn turns_and_block_on_go_together() {
    on_each_driver(|runtime| {
        let (near, far) = runtime.enter(UnixStream::pair).unwrap();
        let echo = runtime.enter(|| {
            spawn(async move {
                while let Ok(bytes) = far.recv().await {
                    if bytes.is_empty() {
                        return;
                    }
                    far.write_all(bytes).await.unwrap();
                }
            })
        });
        let near = Rc::new(near);
        for round in 0..50_u8 {
            settle(runtime);
            let talk = |near: Rc<UnixStream>| async move {
                near.write_all(vec![round]).await.unwrap();
                assert_eq!(&*near.recv().await.unwrap(), [round]);
            };
            runtime.block_on(talk(Rc::clone(&near)));
            assert!(
                is_readable(runtime),
                "what `block_on` has left is seen by a turn"
            );
            run_outside(runtime, talk(Rc::clone(&near)));
        }
        // A sleep of `block_on` is not disturbed by what the turns' descriptor has been told.
        let before = runtime.stats().driver.enters;
        runtime.block_on(async { time::sleep(Duration::from_millis(20)).await });
        let enters = runtime.stats().driver.enters - before;
        assert!(enters < 20, "{enters} enters for one sleep");
        runtime.enter(|| drop(near));
        drive(runtime, || echo.is_finished());
    });
}

#[test]
fn nesting_panics_with_a_sentence() {
    on_each_driver(|runtime| {
        let other = Runtime::new().unwrap();
        let told = "annulus is already running on this thread";
        let calls: [&dyn Fn(); 4] = [
            &|| _ = runtime.turn(),
            &|| _ = other.turn(),
            &|| runtime.enter(|| ()),
            &|| other.enter(|| ()),
        ];
        let check = || {
            for call in calls {
                let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
                let sentence = panic.downcast_ref::<&str>().expect("a sentence");
                assert!(sentence.starts_with(told), "{sentence}");
            }
        };
        runtime.block_on(async { check() });
        runtime.enter(check);
    });
}

#[test]
fn a_panic_in_between_leaves_the_runtime_usable() {
    on_each_driver(|runtime| {
        let panic = catch_unwind(AssertUnwindSafe(|| runtime.enter(|| panic!("mine"))));
        assert!(panic.is_err());
        run_outside(runtime, async { yield_now().await });
        // Outside again.
        assert!(UnixStream::pair().is_err());
    });
}

#[test]
fn a_foreign_executor_polls_a_future_of_ours() {
    on_each_driver(|runtime| {
        let (near, far) = std_pair(runtime);
        let woken = Arc::new(AtomicUsize::new(0));
        struct Count(Arc<AtomicUsize>);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let waker = Waker::from(Arc::new(Count(Arc::clone(&woken))));
        let context = &mut std::task::Context::from_waker(&waker);
        let mut receives = Box::pin(far.recv());
        assert!(
            runtime
                .enter(|| receives.as_mut().poll(context))
                .is_pending()
        );
        settle(runtime);
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        (&near).write_all(b"x").unwrap();
        drive(runtime, || woken.load(Ordering::Relaxed) > 0);
        let received = runtime.enter(|| receives.as_mut().poll(context));
        let Poll::Ready(Ok(bytes)) = received else {
            panic!("it is ready after its wake");
        };
        assert_eq!(&*bytes, b"x");
        runtime.enter(|| drop(receives));
    });
}

#[test]
fn a_stopped_clock_goes_on_by_itself() {
    on_each_driver(|runtime| {
        let start = Instant::now();
        run_outside(runtime, async {
            time::pause();
            time::sleep(Duration::from_secs(3600)).await;
            time::resume();
        });
        assert!(start.elapsed() < Duration::from_secs(3600));
    });
}

/// Calls what blocks, which has to panic also where it would not have to wait, and to change
/// nothing.
fn refuses_to_block() {
    let (sender, mut receiver) = remote::mpsc::channel(1);
    sender.try_send(1).unwrap();
    let (answer, answered) = remote::oneshot::channel();
    answer.send(1).unwrap();
    let refused = |call: &mut dyn FnMut()| {
        let panicked = catch_unwind(AssertUnwindSafe(call)).expect_err("it was not refused");
        let words = panicked.downcast_ref::<&str>().expect("it is a sentence");
        assert!(words.starts_with("expected a plain thread, found one inside a runtime"));
    };
    refused(&mut || _ = receiver.blocking_recv());
    assert_eq!(receiver.try_recv(), Ok(1));
    refused(&mut || _ = sender.blocking_send(2));
    refused(&mut || _ = receiver.blocking_recv());
    let mut answered = Some(answered);
    refused(&mut || _ = answered.take().unwrap().blocking_recv());
}

#[test]
fn calls_that_block_are_refused_wherever_a_runtime_is_current() {
    on_each_driver(|runtime| {
        runtime.block_on(async {
            refuses_to_block();
            unconstrained(async { refuses_to_block() }).await;
            spawn(unconstrained(async { refuses_to_block() }))
                .await
                .unwrap();
            let elsewhere = blocking::run(|| {
                let (sender, mut receiver) = remote::mpsc::channel(1);
                sender.blocking_send(5).unwrap();
                receiver.blocking_recv()
            });
            assert_eq!(elsewhere.await, Some(5), "a helper thread may block");
        });
        runtime.enter(refuses_to_block);
        // Beside the runtime the thread is a plain one.
        let (sender, mut receiver) = remote::mpsc::channel(1);
        sender.blocking_send(5).unwrap();
        assert_eq!(receiver.blocking_recv(), Some(5));
    });
}
