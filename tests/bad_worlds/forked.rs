//! A forked child cannot use its parent's runtimes, and does not harm them.

use std::{
    io::{self, Read as _, Write as _},
    os::fd::AsRawFd as _,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use annulus::{
    Runtime, blocking,
    fs::File,
    net::{TcpListener, TcpStream, UnixStream},
    signal::{self, SignalKind},
    spawn, time,
};

use crate::{
    child::{child, descriptors, everything_works},
    support::{guarded, pair, recv_at_least},
};

/// Forks, and runs `last` in the child. What it says when it panics is written to standard error.
fn fork(last: impl FnOnce()) {
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
fn on_each_driver(name: &str, world: fn()) {
    child(name, &[], world);
    child(name, &[("ANNULUS_DRIVER", "poll")], world);
}

fn runtime() -> Runtime {
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

fn is_explained(text: &str) {
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
