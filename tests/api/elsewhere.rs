//! Calls that have begun in one runtime and are awaited in another, or after theirs has ended: each
//! tells an error, and none waits for ever.

use std::{
    future::{Future, pending, poll_fn},
    io,
    net::{self, Shutdown},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use annulus::{
    Runtime,
    fs::File,
    net::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream, UnixListener, UnixStream},
    signal::{self, SignalKind},
    spawn,
    sync::oneshot,
    task::yield_now,
    time::sleep,
};
use futures_util::StreamExt as _;

use crate::support::{Folder, guarded, listen, pair, run};

type Call = Pin<Box<dyn Future<Output = io::Result<()>>>>;
type Calls = Vec<(&'static str, Call)>;

fn says_so(name: &str, result: io::Result<()>) {
    let error = result.expect_err(name);
    let text = error.to_string();
    let is_said = text.contains("belongs to another annulus runtime");
    assert!(is_said, "{name}: {text}");
}

fn runtime() -> Runtime {
    // At its end it does not wait for tasks.
    let builder = Runtime::builder().shutdown_timeout(Duration::ZERO);
    builder.build().unwrap()
}

/// Lets the kernel see what is queued.
async fn turns() {
    for _ in 0..3 {
        sleep(Duration::from_micros(50)).await;
        yield_now().await;
    }
}

async fn unix_pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// Calls of a stream that have to wait, each on a stream of its own: its peer sends nothing and
/// takes nothing.
macro_rules! stream_calls {
    ($calls:expr, $peers:expr, $pair:expr) => {
        stream_calls!(@reads $calls, $peers, $pair;
            "recv" => |s| s.recv().await.map(drop),
            "read" => |s| s.read(Vec::with_capacity(9)).await.map(drop).map_err(io::Error::from),
            "read_append" => |s| {
                let buf = Vec::with_capacity(9);
                s.read_append(buf).await.map(drop).map_err(io::Error::from)
            },
            "peek" => |s| s.peek(Vec::with_capacity(9)).await.map(drop).map_err(io::Error::from),
            "closed" => |s| s.closed().await,
        );
        stream_calls!(@writes $calls, $peers, $pair;
            "write_all" => |s| {
                let bytes = vec![0; 16 << 20];
                s.write_all(bytes).await.map(drop).map_err(io::Error::from)
            },
            "write_all_vectored" => |s| {
                let parts = vec![vec![0; 16 << 20]];
                s.write_all_vectored(parts).await.map(drop).map_err(io::Error::from)
            },
        );
        stream_calls!(@behind $calls, $peers, $pair;
            "write behind a write" => |s| {
                s.write(vec![0; 9]).await.map(drop).map_err(io::Error::from)
            },
            "write_all_vectored behind a write" => |s| {
                let parts = vec![vec![0; 9]];
                s.write_all_vectored(parts).await.map(drop).map_err(io::Error::from)
            },
            "flush" => |s| s.flush().await,
            "shutdown" => |s| s.shutdown(Shutdown::Write).await,
        );
    };
    (@reads $calls:expr, $peers:expr, $pair:expr; $($name:expr => |$s:ident| $call:expr),* $(,)?) => {
        $({
            let ($s, peer) = $pair.await;
            $peers.push(Box::new(peer));
            let $s = Rc::new($s);
            let behind = Rc::clone(&$s);
            $calls.push(($name, Box::pin(async move { $call }) as Call));
            $calls.push((
                concat!("recv behind ", $name),
                Box::pin(async move { behind.recv().await.map(drop) }) as Call,
            ));
        })*
    };
    (@writes $calls:expr, $peers:expr, $pair:expr; $($name:expr => |$s:ident| $call:expr),* $(,)?) => {
        $({
            let ($s, peer) = $pair.await;
            $peers.push(Box::new(peer));
            $calls.push(($name, Box::pin(async move { $call }) as Call));
        })*
    };
    (@behind $calls:expr, $peers:expr, $pair:expr; $($name:expr => |$s:ident| $call:expr),* $(,)?) => {
        $({
            let ($s, peer) = $pair.await;
            $peers.push(Box::new(peer));
            // A write that was dropped is under way, and the runtime finishes it.
            {
                let mut write = Box::pin($s.write_all(vec![0; 16 << 20]));
                poll_fn(|context| {
                    assert!(write.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            $calls.push(($name, Box::pin(async move { $call }) as Call));
        })*
    };
}

/// Calls of everything, and what they need to go on waiting.
async fn calls(folder: &Folder) -> (Calls, Vec<Box<dyn std::any::Any>>) {
    let mut calls = Calls::new();
    let mut peers: Vec<Box<dyn std::any::Any>> = Vec::new();
    stream_calls!(calls, peers, pair());
    stream_calls!(calls, peers, unix_pair());

    // A Unix socket that is full stays so, since nothing goes on by itself.
    let full = async || {
        let (near, far) = unix_pair().await;
        while near.try_write(&[0; 65536]).is_ok() {}
        while near.try_write(&[0]).is_ok() {}
        (near, far)
    };
    let (near, far) = full().await;
    peers.push(Box::new(far));
    calls.push((
        "write",
        Box::pin(async move { near.write("x").await.map(drop).map_err(io::Error::from) }),
    ));
    let (near, far) = full().await;
    peers.push(Box::new(far));
    calls.push((
        "write_vectored",
        Box::pin(async move {
            let write = near.write_vectored(vec!["x"]).await;
            write.map(drop).map_err(io::Error::from)
        }),
    ));

    let (near, far) = full().await;
    let (read, write): (OwnedReadHalf<_>, OwnedWriteHalf<_>) = near.into_split();
    peers.push(Box::new(far));
    calls.push((
        "recv of a half",
        Box::pin(async move { read.recv().await.map(drop) }),
    ));
    calls.push((
        "write_all of a half",
        Box::pin(async move {
            write
                .write_all("x")
                .await
                .map(drop)
                .map_err(io::Error::from)
        }),
    ));

    let (near, far) = pair().await;
    {
        let mut write = Box::pin(near.write_all(vec![0; 16 << 20]));
        poll_fn(|context| Poll::Ready(write.as_mut().poll(context).is_pending())).await;
    }
    peers.push(Box::new(far));
    calls.push((
        "detach",
        Box::pin(async move { near.detach().await.map(drop) }),
    ));

    let (listener, _) = listen().await;
    calls.push((
        "accept",
        Box::pin(async move { listener.accept().await.map(drop) }),
    ));
    let (listener, _) = listen().await;
    calls.push((
        "incoming",
        Box::pin(async move { listener.incoming().next().await.unwrap().map(drop) }),
    ));
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    for name in ["accept", "accept behind an accept"] {
        let listener = Rc::clone(&listener);
        calls.push((
            name,
            Box::pin(async move { listener.accept().await.map(drop) }),
        ));
    }
    let listener = UnixListener::bind(folder.path("listener")).unwrap();
    calls.push((
        "unix accept",
        Box::pin(async move { listener.accept().await.map(drop) }),
    ));

    // The backlog is full, so a further connection gets no answer.
    let options = TcpListener::options().backlog(0);
    let full = options.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = full.local_addr().unwrap();
    peers.push(Box::new(full));
    while let Ok(stream) = net::TcpStream::connect_timeout(&addr, Duration::from_secs(1)) {
        peers.push(Box::new(stream));
    }
    for _ in 0..3 {
        calls.push((
            "connect",
            Box::pin(async move { TcpStream::connect(addr).await.map(drop) }),
        ));
    }

    let mut signals = signal::stream(SignalKind::hangup()).unwrap();
    calls.push(("signal", Box::pin(async move { signals.recv().await })));
    (calls, peers)
}

/// Begins all calls in one runtime and awaits them in another, after `between`.
fn awaited_elsewhere(name: &str, between: impl FnOnce(Runtime) -> Option<Runtime>) {
    let folder = Folder::new(name);
    let home = runtime();
    let (calls, peers) = home.block_on(guarded(async {
        let (mut calls, peers) = calls(&folder).await;
        for (name, call) in &mut calls {
            poll_fn(|context| {
                let poll = call.as_mut().poll(context);
                assert!(poll.is_pending(), "{name}: {poll:?}");
                Poll::Ready(())
            })
            .await;
        }
        turns().await;
        (calls, peers)
    }));
    let home = between(home);
    run(async {
        for (name, call) in calls {
            says_so(name, call.await);
        }
    });
    drop(peers);
    drop(home);
}

#[test]
fn calls_that_are_awaited_in_another_runtime() {
    awaited_elsewhere("elsewhere", Some);
}

#[test]
fn calls_that_are_awaited_after_their_runtime_has_ended() {
    awaited_elsewhere("ended", |home| {
        drop(home);
        None
    });
}

/// Files are quick, so a call of theirs may have its result already.
#[test]
fn calls_of_files_that_are_awaited_elsewhere() {
    let folder = Folder::new("elsewhere-files");
    let path = folder.path("file");
    for ends in [false, true] {
        let home = Runtime::new().unwrap();
        let (mut calls, closing) = home.block_on(guarded(async {
            let file = Rc::new(File::create(&path).await.unwrap());
            let closing = File::open(&path).await.unwrap();
            file.write_all_at(vec![b'x'; 1 << 16], 0).await.unwrap();
            let mut calls = Calls::new();
            let other = Rc::clone(&file);
            calls.push((
                "write_all_at",
                Box::pin(async move {
                    let write = other.write_all_at(vec![b'x'; 1 << 20], 0).await;
                    write.map(drop).map_err(io::Error::from)
                }),
            ));
            let other = Rc::clone(&file);
            calls.push(("sync_all", Box::pin(async move { other.sync_all().await })));
            let path = path.clone();
            calls.push((
                "open",
                Box::pin(async move { File::open(path).await.map(drop) }),
            ));
            (calls, closing)
        }));
        home.block_on(poll_fn(|context| {
            calls.retain_mut(|(_, call)| call.as_mut().poll(context).is_pending());
            Poll::Ready(())
        }));
        let home = (!ends).then_some(home);
        run(async {
            for (name, call) in calls {
                if let Err(error) = call.await {
                    says_so(name, Err(error));
                }
            }
            says_so("close", closing.close().await);
        });
        drop(home);
    }
}

/// A write that its runtime did not finish gives its turn back, and its stream says what is wrong.
#[test]
fn a_stream_whose_runtime_has_ended_in_the_middle_of_a_write() {
    let home = runtime();
    let (near, far) = home.block_on(guarded(async {
        let (near, far) = unix_pair().await;
        let mut write = Box::pin(near.write_all(vec![0; 16 << 20]));
        poll_fn(|context| {
            assert!(write.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(write);
        (near, far)
    }));
    drop(home);
    run(async {
        let buf = || vec![0; 9];
        says_so(
            "write",
            near.write(buf()).await.map(drop).map_err(io::Error::from),
        );
        says_so(
            "write_all",
            near.write_all(buf())
                .await
                .map(drop)
                .map_err(io::Error::from),
        );
        let parts = near.write_vectored(vec![buf()]).await;
        says_so("write_vectored", parts.map(drop).map_err(io::Error::from));
        let parts = near.write_all_vectored(vec![buf()]).await;
        says_so(
            "write_all_vectored",
            parts.map(drop).map_err(io::Error::from),
        );
        says_so("try_write", near.try_write(&buf()).map(drop));
        says_so("flush", near.flush().await);
        says_so("shutdown", near.shutdown(Shutdown::Write).await);
        says_so("recv", near.recv().await.map(drop));
    });
    drop(far);
}

/// A read that its own runtime sees again has lost nothing, whatever another runtime was told.
#[test]
fn a_receive_that_was_awaited_elsewhere_loses_nothing() {
    let home = Runtime::new().unwrap();
    let (near, far) = home.block_on(guarded(pair()));
    home.block_on(guarded(async {
        let mut recv = Box::pin(near.recv());
        poll_fn(|context| Poll::Ready(recv.as_mut().poll(context).is_pending())).await;
        far.write_all("kept").await.unwrap();
    }));
    run(async { says_so("recv", near.recv().await.map(drop)) });
    home.block_on(guarded(async {
        assert_eq!(&*near.recv().await.unwrap(), b"kept");
    }));
}

/// A task runs in its own runtime only, and wakes what waits for it in another.
#[test]
fn a_task_is_joined_in_another_runtime_when_its_own_has_run_it() {
    let (home, other) = (runtime(), runtime());
    let (go_on, may_go_on) = oneshot::channel();
    let [task] = home.block_on(async { [spawn(async { may_go_on.await.unwrap() })] });
    let [waiting] = other.block_on(async {
        let waiting = spawn(task);
        go_on.send(5).unwrap();
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!waiting.is_finished(), "its runtime does not run");
        [waiting]
    });
    home.block_on(guarded(async {
        for _ in 0..10 {
            yield_now().await;
        }
    }));
    assert_eq!(other.block_on(guarded(waiting)).unwrap().unwrap(), 5);
}

#[test]
fn a_task_whose_runtime_ends_is_told_in_another_to_be_cancelled() {
    let (home, other) = (runtime(), runtime());
    let (task, aborted) = home.block_on(async { (spawn(pending::<()>()), spawn(pending::<()>())) });
    aborted.abort();
    other.block_on(guarded(async {
        let (waiting, also) = (spawn(task), spawn(aborted));
        yield_now().await;
        assert!(!waiting.is_finished() && !also.is_finished());
        // Inside of a task of the other runtime.
        drop(home);
        assert!(waiting.await.unwrap().unwrap_err().is_cancelled());
        assert!(also.await.unwrap().unwrap_err().is_cancelled());
    }));
}
