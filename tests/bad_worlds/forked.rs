//! A forked child cannot use its parent's runtimes, and does not harm them.

use std::{
    cell::Cell,
    future::Future,
    io::{self, Read as _, Write as _},
    os::fd::AsRawFd as _,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use annulus::{
    Runtime, Workers, blocking,
    fs::File,
    io::AsyncFd,
    net::{TcpListener, TcpStream, UnixStream},
    signal::{self, SignalKind},
    spawn,
    task::{self, JoinError, JoinSet},
    time,
};

use crate::{
    child::{child, descriptors, everything_works},
    support::{guarded, pair, recv_at_least},
};

/// Forks, and runs `last` in the child. What it says when it panics is written to standard error.
pub(crate) fn fork(last: impl FnOnce()) {
    // SAFETY: the parent has no other threads that could hold a lock, but idle helper threads.
    let process = unsafe { libc::fork() };
    assert!(process >= 0, "{}", io::Error::last_os_error());
    if process == 0 {
        let result = catch_unwind(AssertUnwindSafe(last));
        // SAFETY: the call takes no address and does not come back.
        unsafe { libc::_exit(if result.is_ok() { 7 } else { 8 }) };
    }
    let mut status = 0;
    // SAFETY: the kernel writes to the status during the call.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    assert_eq!(waited, process);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7,
        "the forked child ended with {status:x}"
    );
}

/// Runs `world` on each driver, in a process that has no other threads.
pub(crate) fn on_each_driver(name: &str, world: fn()) {
    child(name, &[], world);
    child(name, &[("ANNULUS_DRIVER", "poll")], world);
}

pub(crate) fn runtime() -> Runtime {
    Runtime::builder().receive_buffers(8).build().unwrap()
}

/// The sentence of a panic.
fn panic_of(call: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).expect_err("it panics");
    let panic = match panic.downcast::<String>() {
        Ok(sentence) => return *sentence,
        Err(panic) => panic,
    };
    let sentence = panic.downcast_ref::<&'static str>();
    (*sentence.expect("a sentence")).to_owned()
}

pub(crate) fn is_explained(text: &str) {
    assert!(text.contains("made before fork(2)"), "{text}");
}

#[test]
fn a_runtime_of_the_parent_says_so_in_a_sentence() {
    on_each_driver(
        "forked::a_runtime_of_the_parent_says_so_in_a_sentence",
        || {
            let unused = runtime();
            let used = runtime();
            used.block_on(everything_works());
            fork(|| {
                for runtime in [&unused, &used] {
                    is_explained(&panic_of(|| runtime.block_on(async {})));
                    is_explained(&panic_of(|| runtime.enter(|| ())));
                    is_explained(&panic_of(|| _ = runtime.turn()));
                }
            });
            unused.block_on(everything_works());
            used.block_on(everything_works());
        },
    );
}

#[test]
fn a_child_makes_runtimes_of_its_own() {
    on_each_driver("forked::a_child_makes_runtimes_of_its_own", || {
        let inherited = runtime();
        inherited.block_on(async {
            everything_works().await;
            // Helper threads are there and idle.
            blocking::run(|| ()).await;
        });
        fork(|| {
            runtime().block_on(async {
                everything_works().await;
                assert_eq!(blocking::run(|| 5).await, 5);
                let addrs = TcpListener::bind("localhost:0").await;
                addrs.unwrap();
            });
            fork(|| runtime().block_on(everything_works()));
            runtime().block_on(everything_works());
        });
        inherited.block_on(everything_works());
    });
}

#[test]
fn a_fork_inside_a_task_stops_the_child_at_its_next_wait() {
    on_each_driver(
        "forked::a_fork_inside_a_task_stops_the_child_at_its_next_wait",
        || {
            let runtime = runtime();
            let mut is_parent = true;
            let panic = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    let (near, far) = pair().await;
                    far.write_all("for the parent").await.unwrap();
                    // SAFETY: as in `fork`.
                    match unsafe { libc::fork() } {
                        0 => {
                            is_parent = false;
                            // It takes nothing that is the parent's.
                            let error = near.recv().await.unwrap_err();
                            is_explained(&error.to_string());
                            drop((near, far));
                            time::sleep(Duration::from_millis(1)).await;
                        }
                        process => {
                            let mut status = 0;
                            // SAFETY: the kernel writes to the status during the call.
                            unsafe { libc::waitpid(process, &raw mut status, 0) };
                            assert!(libc::WIFEXITED(status));
                            assert_eq!(libc::WEXITSTATUS(status), 7);
                            assert_eq!(recv_at_least(&near, 14).await, b"for the parent");
                            drop(near);
                            assert!(far.recv().await.unwrap().is_empty());
                        }
                    }
                });
            }));
            if is_parent {
                return panic.unwrap();
            }
            let panic = panic.unwrap_err();
            is_explained(panic.downcast_ref::<String>().unwrap());
            drop(runtime);
            annulus::run(everything_works());
            // SAFETY: the call takes no address and does not come back.
            unsafe { libc::_exit(7) };
        },
    );
}

#[test]
fn a_descriptor_that_a_child_drops_goes_on_in_the_parent() {
    on_each_driver(
        "forked::a_descriptor_that_a_child_drops_goes_on_in_the_parent",
        || {
            let inherited = runtime();
            inherited.block_on(async {
                let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
                let near = Rc::new(AsyncFd::new(near).unwrap());
                let other = Rc::clone(&near);
                let waiting = spawn(async move { other.readable().await });
                task::yield_now().await;
                time::sleep(Duration::from_millis(1)).await;
                let near = Cell::new(Some(near));
                let mut far = Some(far);
                fork(|| {
                    let near = near.take().unwrap();
                    let mut call = Box::pin(near.readable());
                    let mut context = Context::from_waker(Waker::noop());
                    match call.as_mut().poll(&mut context) {
                        Poll::Ready(Err(error)) => is_explained(&error.to_string()),
                        other => panic!("{other:?}"),
                    }
                    drop(call);
                    drop((near, waiting, far.take()));
                    runtime().block_on(async {
                        let (own, _other) = std::os::unix::net::UnixStream::pair().unwrap();
                        AsyncFd::new(own).unwrap().writable().await.unwrap();
                    });
                });
                assert_eq!(far.as_mut().unwrap().write(b"x").unwrap(), 1);
                guarded(near.take().unwrap().readable()).await.unwrap();
            });
        },
    );
}

#[test]
fn a_fork_inside_a_task_runs_a_runtime_of_its_own_at_once() {
    on_each_driver(
        "forked::a_fork_inside_a_task_runs_a_runtime_of_its_own_at_once",
        || {
            let inherited = runtime();
            inherited.block_on(async {
                fork(|| {
                    // The parent's runtime runs no task here.
                    let late = spawn(async { 5 });
                    let own = runtime();
                    own.block_on(async {
                        let error = guarded(late).await.unwrap_err();
                        assert!(error.is_cancelled(), "{error}");
                        everything_works().await;
                        let nested = panic_of(|| annulus::run(async {}));
                        assert!(nested.contains("already running"), "{nested}");
                    });
                    is_explained(&panic_of(|| inherited.block_on(async {})));
                    annulus::run(everything_works());
                });
                let nested = panic_of(|| annulus::run(async {}));
                assert!(nested.contains("already running"), "{nested}");
                everything_works().await;
            });
        },
    );
}

/// Makes its call when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A runtime with a task that makes a call when the runtime is dropped.
fn ends_with(last: impl FnMut() + 'static) -> Runtime {
    let runtime = runtime();
    let last = OnDrop(last);
    runtime.block_on(async {
        spawn(async move {
            let _last = last;
            std::future::pending::<()>().await;
        });
        task::yield_now().await;
    });
    runtime
}

/// Runs a future as a task of `runtime`.
fn spawn_in(
    runtime: &Runtime,
    future: impl Future<Output = ()> + 'static,
) -> Result<(), JoinError> {
    runtime.block_on(async { guarded(spawn(future)).await })
}

/// Forks on the spot. The child goes on where the parent does, and notes that it is the child.
fn fork_in_two(is_child: &Cell<bool>) {
    // SAFETY: as in `fork`.
    match unsafe { libc::fork() } {
        0 => is_child.set(true),
        process => {
            let mut status = 0;
            // SAFETY: the kernel writes to the status during the call.
            unsafe { libc::waitpid(process, &raw mut status, 0) };
            assert!(libc::WIFEXITED(status));
            assert_eq!(libc::WEXITSTATUS(status), 7);
        }
    }
}

/// Looks at the runtime that is current: in a child its tasks are cancelled, and elsewhere it
/// works. A child ends here.
async fn works_or_is_left(is_child: &Cell<bool>) {
    if !is_child.get() {
        assert_eq!(guarded(spawn(async { 5 })).await.unwrap(), 5);
        return everything_works().await;
    }
    let result = catch_unwind(|| {
        let mut set = JoinSet::new();
        let late = spawn(async { 5 });
        set.spawn(async { 5 });
        let named = task::Builder::new().name("late").spawn(async { 5 });
        runtime().block_on(async {
            let errors = [
                guarded(late).await.unwrap_err(),
                guarded(named).await.unwrap_err(),
                guarded(set.join_next()).await.unwrap().unwrap_err(),
            ];
            for error in errors {
                assert!(error.is_cancelled(), "{error}");
            }
            everything_works().await;
        });
    });
    // SAFETY: the call takes no address and does not come back.
    unsafe { libc::_exit(if result.is_ok() { 7 } else { 8 }) };
}

#[test]
fn a_fork_while_a_runtime_ends_inside_a_task_leaves_that_tasks_runtime() {
    on_each_driver(
        "forked::a_fork_while_a_runtime_ends_inside_a_task_leaves_that_tasks_runtime",
        || {
            let is_child = Rc::new(Cell::new(false));
            let forks = Rc::clone(&is_child);
            let inner = ends_with(move || fork_in_two(&forks));
            runtime().block_on(async {
                drop(inner);
                works_or_is_left(&is_child).await;
            });
        },
    );
}

#[test]
fn a_fork_while_two_runtimes_end_inside_a_task_leaves_that_tasks_runtime() {
    on_each_driver(
        "forked::a_fork_while_two_runtimes_end_inside_a_task_leaves_that_tasks_runtime",
        || {
            let is_child = Rc::new(Cell::new(false));
            let forks = Rc::clone(&is_child);
            let mut innermost = Some(ends_with(move || fork_in_two(&forks)));
            let is_dropped = Rc::new(Cell::new(false));
            let drops = Rc::clone(&is_dropped);
            let inner = ends_with(move || {
                drop(innermost.take());
                // The runtime that this task is of ends, in either process.
                let late = spawn(async { 5 });
                assert!(late.is_finished());
                drops.set(true);
            });
            let outer = spawn_in(&runtime(), async move {
                drop(inner);
                assert!(is_dropped.get());
                works_or_is_left(&is_child).await;
            });
            outer.unwrap();
        },
    );
}

/// The fork comes before the inner runtime is entered, or after it was left.
#[test]
fn a_fork_beside_a_runtime_that_ends_inside_a_task_leaves_both() {
    on_each_driver(
        "forked::a_fork_beside_a_runtime_that_ends_inside_a_task_leaves_both",
        || {
            for forks_first in [true, false] {
                let is_child = Rc::new(Cell::new(false));
                let inner = ends_with(|| ());
                let outcome = spawn_in(&runtime(), async move {
                    if forks_first {
                        fork_in_two(&is_child);
                        drop(inner);
                    } else {
                        drop(inner);
                        fork_in_two(&is_child);
                    }
                    works_or_is_left(&is_child).await;
                });
                outcome.unwrap();
            }
        },
    );
}

/// Whatever a child drops, and in whatever state, the parent goes on as if nothing had been.
#[test]
fn what_a_child_drops_the_parent_keeps() {
    on_each_driver("forked::what_a_child_drops_the_parent_keeps", || {
        let before = descriptors();
        let runtime = runtime();
        let kept = runtime.block_on(async {
            let (near, far) = pair().await;
            let (read, write) = near.into_split();
            let (silent, peer) = pair().await;
            let silent = Rc::new(silent);
            let waiter = spawn({
                let silent = Rc::clone(&silent);
                async move { silent.recv().await.map(|bytes| bytes.to_vec()) }
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let accept = spawn(async move { listener.accept().await.map(|(stream, _)| stream) });
            let file = File::open("Cargo.toml").await.unwrap();
            let (mut std, ours) = std::os::unix::net::UnixStream::pair().unwrap();
            let ours = UnixStream::from_std(ours).unwrap();
            std.write_all(b"kept").unwrap();
            let bytes = ours.recv().await.unwrap();
            let writing = spawn(async move {
                ours.write_all(vec![b'x'; 4 << 20]).await.unwrap();
            });
            let signal = signal::stream(SignalKind::user1()).unwrap();
            time::sleep(Duration::from_millis(1)).await;
            (
                (read, write, far),
                (waiter, peer, accept, addr),
                (file, bytes, writing, std, signal),
            )
        });
        let (streams, waits, others) = kept;
        let raw = others.0.as_raw_fd();
        let mut all = Some((streams, waits, others, runtime));
        fork(|| {
            // The child's copies. The parent still has its own.
            let (streams, waits, others, inherited) = all.take().unwrap();
            assert_eq!(&*others.1, b"kept", "received bytes are a copy");
            drop(streams);
            drop(waits);
            drop(others);
            drop(inherited);
            // SAFETY: the call takes no address.
            let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
            assert!(flags < 0, "it is closed");
            annulus::run(everything_works());
        });
        let (streams, waits, others, runtime) = all.unwrap();
        let ((read, write, far), (waiter, peer, accept, addr), rest) = (streams, waits, others);
        let (file, bytes, writing, mut std, signal) = rest;
        runtime.block_on(async {
            write.write_all("still open").await.unwrap();
            assert_eq!(recv_at_least(&far, 10).await, b"still open");
            far.write_all("in both directions").await.unwrap();
            assert_eq!(&*read.recv().await.unwrap(), b"in both directions");
            peer.write_all("awaited").await.unwrap();
            assert_eq!(waiter.await.unwrap().unwrap(), b"awaited");
            let _client = TcpStream::connect(addr).await.unwrap();
            accept.await.unwrap().unwrap();
            file.read_at(Vec::with_capacity(9), 0).await.unwrap();
            assert_eq!(&*bytes, b"kept");
            let reader = blocking::run(move || {
                let mut all = vec![0; 4 << 20];
                std.read_exact(&mut all).unwrap();
            });
            reader.await;
            writing.await.unwrap();
            everything_works().await;
        });
        drop((read, write, far, peer, file, bytes, signal));
        drop(runtime);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_signal_of_the_childs_is_not_told_to_the_parent() {
    on_each_driver(
        "forked::a_signal_of_the_childs_is_not_told_to_the_parent",
        || {
            let mut signals = signal::stream(SignalKind::user1()).unwrap();
            let raise = || {
                // SAFETY: the call takes no address.
                assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
            };
            fork(|| {
                raise();
                let mut own = signal::stream(SignalKind::user1()).unwrap();
                raise();
                runtime().block_on(async { own.recv().await.unwrap() });
            });
            runtime().block_on(async {
                let early = time::timeout(Duration::from_millis(1), signals.recv()).await;
                assert!(early.is_err(), "it was the child's");
                raise();
                signals.recv().await.unwrap();
            });
        },
    );
}

#[test]
fn a_call_that_the_parent_has_begun_is_no_childs() {
    on_each_driver(
        "forked::a_call_that_the_parent_has_begun_is_no_childs",
        || {
            let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
            let call = blocking::run(move || may_go_on.recv().is_ok());
            let mut call = Box::pin(call);
            fork(|| {
                let panic = panic_of(|| {
                    runtime().block_on(async { call.as_mut().await });
                });
                assert!(panic.contains("fork(2)"), "{panic}");
            });
            go_on.send(()).unwrap();
            assert!(runtime().block_on(call));
        },
    );
}

#[test]
fn workers_of_the_parent_say_so_and_nothing_waits() {
    on_each_driver(
        "forked::workers_of_the_parent_say_so_and_nothing_waits",
        || {
            let workers = Workers::builder().count(2).start(async |worker| {
                worker.stopping().await;
                io::Result::Ok(())
            });
            let mut set = workers.ok();
            let worker = set.as_ref().unwrap().worker(0).unwrap();
            let early = worker.spawn(std::future::pending::<()>);
            let before = descriptors();
            fork(|| {
                let error = worker.call(|| ()).join().unwrap_err();
                assert!(error.has_worker_ended());
                let text = error.to_string();
                assert!(text.contains("was forked from"), "{text}");
                early.abort();
                assert!(early.join().is_err());
                let mut workers = set.take().unwrap();
                workers.stop(Duration::ZERO);
                for call in workers.broadcast(|_worker| ()) {
                    assert!(call.join().is_err());
                }
                let context = &mut Context::from_waker(Waker::noop());
                let Poll::Ready(ended) = Pin::new(&mut workers).poll(context) else {
                    panic!("it would wait for ever");
                };
                assert!(ended.unwrap_err().to_string().contains("was forked from"));
                assert!(workers.join().is_err());
                // It has workers of its own.
                let own = Workers::builder().count(2);
                let own = own.start(async |worker| io::Result::Ok(worker.index()));
                assert_eq!(own.unwrap().join().unwrap(), [Some(0), Some(1)]);
            });
            assert_eq!(descriptors(), before);
            let workers = set.unwrap();
            assert!(!workers.is_stopping());
            assert_eq!(worker.call(|| 5).join().unwrap(), 5);
            workers.stop(Duration::ZERO);
            workers.join().unwrap();
        },
    );
}

/// Builds a runtime with a watchdog, gets stuck, and returns when that was reported.
fn stuck_until_reported() {
    let (sender, reports) = mpsc::channel();
    let is_reported = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_reported);
    let runtime = Runtime::builder()
        .receive_buffers(8)
        .stall_limit(Duration::from_millis(40))
        .stall_hook(move |stall| {
            flag.store(true, Ordering::Release);
            let _ = sender.send(stall.clone());
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let task = task::Builder::new().name("stuck");
        let work = async move {
            while !is_reported.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
        };
        task.spawn(work).await.unwrap();
    });
    drop(runtime);
    assert!(reports.iter().any(|stall| stall.task() == Some("stuck")));
}

#[test]
fn a_forked_child_has_a_watchdog_of_its_own() {
    on_each_driver("forked::a_forked_child_has_a_watchdog_of_its_own", || {
        stuck_until_reported();
        let watched = Runtime::builder()
            .receive_buffers(8)
            .stall_limit(Duration::from_millis(4))
            .build();
        let watched = Cell::new(watched.ok());
        // Several, since the watchdog may be in the middle of a look at the moment of the fork.
        for _ in 0..10 {
            fork(|| {
                stuck_until_reported();
                drop(watched.take());
                stuck_until_reported();
            });
        }
        drop(watched.take());
        stuck_until_reported();
    });
}
