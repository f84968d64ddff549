//! Every kind of work once, on both drivers: the quick check that the runtime works on a kernel.
//!
//! It needs nothing but a loopback device and a folder for temporary files, so that it also runs in
//! a guest that has nothing else. With `ANNULUS_REQUIRE_ALL=1` a driver that cannot be had is a
//! failure, else its part is skipped and says so.

use std::{
    env, fs,
    future::poll_fn,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream as StdStream},
    process,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use annulus::{
    DriverKind, Runtime, blocking,
    fs::{Dir, File},
    net::{TcpListener, TcpStream},
    spawn, task, time,
};

#[path = "../support/mod.rs"]
mod support;

use support::skip::skip;

/// Runs `test` on a runtime of each driver.
fn on_both_drivers(test: impl Fn(Runtime) -> io::Result<()>) {
    for kind in [DriverKind::Ring, DriverKind::Poll] {
        match Runtime::builder().driver(kind).build() {
            Ok(runtime) => test(runtime).unwrap_or_else(|error| panic!("{kind:?}: {error}")),
            Err(error) => skip(&format!("there is no {kind:?} driver: {error}")),
        }
    }
}

/// Serves `count` connections, sending back what they send.
async fn echo(listener: TcpListener, count: usize) -> io::Result<()> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        let (stream, _peer) = listener.accept().await?;
        tasks.push(spawn(async move {
            loop {
                let bytes = stream.recv().await?;
                if bytes.is_empty() {
                    return io::Result::Ok(());
                }
                stream.write_all(bytes).await?;
            }
        }));
    }
    for task in tasks {
        task.await.expect("the task does not panic")?;
    }
    Ok(())
}

/// Bytes whose order can be told.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

/// Sends `sent` in two pieces, and gets it back.
async fn talk(addr: SocketAddr, sent: Vec<u8>) -> io::Result<()> {
    let stream = Rc::new(TcpStream::connect(addr).await?);
    let writer = spawn({
        let (stream, first) = (Rc::clone(&stream), sent[..sent.len() / 2].to_vec());
        let second = sent[sent.len() / 2..].to_vec();
        async move {
            stream.write_all(first).await?;
            stream.write_all(second).await?;
            stream.shutdown(std::net::Shutdown::Write).await
        }
    });
    let mut received = Vec::new();
    loop {
        let bytes = stream.recv().await?;
        if bytes.is_empty() {
            break;
        }
        received.extend_from_slice(&bytes);
    }
    writer.await.expect("the task does not panic")?;
    assert!(received == sent, "the echo differs from what was sent");
    Ok(())
}

#[test]
fn an_echo_returns_every_byte_to_each_of_its_clients() {
    on_both_drivers(|runtime| {
        runtime.block_on(async {
            let sizes = [1, 64, 4096, 70_000, 16 << 20];
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let addr = listener.local_addr()?;
            let server = spawn(echo(listener, sizes.len()));
            let clients: Vec<_> = sizes
                .into_iter()
                .map(|size| spawn(talk(addr, pattern(size))))
                .collect();
            for client in clients {
                client.await.expect("the task does not panic")?;
            }
            server.await.expect("the task does not panic")
        })
    });
}

#[test]
fn a_client_that_blocks_on_another_thread_is_served_message_by_message() {
    on_both_drivers(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind("[::1]:0").await?;
            let addr = listener.local_addr()?;
            let client = thread::spawn(move || {
                let mut stream = StdStream::connect(addr)?;
                for index in 0..100 {
                    let sent = [index; 64];
                    let mut received = [0; 64];
                    stream.write_all(&sent)?;
                    stream.read_exact(&mut received)?;
                    assert_eq!(received, sent);
                }
                io::Result::Ok(())
            });
            echo(listener, 1).await?;
            client.join().expect("the client does not panic")
        })
    });
}

#[test]
fn a_receive_dropped_in_flight_loses_no_byte() {
    on_both_drivers(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let client = TcpStream::connect(listener.local_addr()?).await?;
            let (server, _peer) = listener.accept().await?;
            for message in 0_u8..20 {
                let dropped = time::timeout(Duration::from_millis(1), server.recv()).await;
                assert!(dropped.is_err(), "nothing was sent yet");
                client.write_all(vec![message; 10]).await?;
                let mut received = Vec::new();
                while received.len() < 10 {
                    received.extend_from_slice(&server.recv().await?);
                }
                assert_eq!(received, [message; 10]);
            }
            Ok(())
        })
    });
}

#[test]
fn a_connection_that_is_not_accepted_is_refused_or_ended_with_its_listener() {
    on_both_drivers(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let addr = listener.local_addr()?;
            let dropped = time::timeout(Duration::from_millis(1), listener.accept()).await;
            assert!(dropped.is_err(), "no client has connected yet");
            let client = TcpStream::connect(addr).await?;
            drop(listener);
            // The end of the stream, or a reset: in any case it resolves.
            assert!(client.recv().await.map_or(true, |bytes| bytes.is_empty()));
            assert!(TcpStream::connect(addr).await.is_err());
            Ok(())
        })
    });
}

#[test]
fn a_file_holds_what_was_written() {
    on_both_drivers(|runtime| {
        let path = env::temp_dir().join(format!(
            "annulus-smoke-{}-{:?}",
            process::id(),
            runtime.driver_kind()
        ));
        let result = runtime.block_on(async {
            let written = pattern(300_000);
            let file = File::create(&path).await?;
            let (first, second) = written.split_at(100_000);
            file.write_all_at(first.to_vec(), 0).await?;
            file.write_all_at(second.to_vec(), first.len() as u64)
                .await?;
            file.sync_data().await?;
            file.sync_all().await?;
            file.close().await?;

            let file = File::open(&path).await?;
            let mut read = Vec::new();
            loop {
                let (count, piece) = file
                    .read_at(Vec::with_capacity(65_536), read.len() as u64)
                    .await?;
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&piece);
            }
            assert!(read == written, "the file differs from what was written");
            let missing = File::open(path.with_extension("missing")).await;
            assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);

            let folder = Dir::open(path.parent().unwrap()).await?;
            let file = folder.open_file(path.file_name().unwrap()).await?;
            assert_eq!(file.metadata()?.len(), 300_000);
            let outside = folder.open_file("../etc/passwd").await;
            assert_eq!(outside.unwrap_err().kind(), io::ErrorKind::CrossesDevices);
            Ok(())
        });
        fs::remove_file(&path)?;
        result
    });
}

#[test]
fn names_are_made_listed_and_removed() {
    on_both_drivers(|runtime| {
        let path = std::env::temp_dir().join(format!("annulus-names-{}", std::process::id()));
        runtime.block_on(async {
            annulus::fs::create_dir_all(path.join("inside")).await?;
            let folder = Dir::open(&path).await?;
            let file = folder.temp_file("inside").await?;
            file.write_all_at("whole", 0).await?;
            file.persist("inside/file").await?;
            file.persist("inside/file").await?;
            folder.rename("inside/file", "renamed").await?;
            folder.remove_dir("inside").await?;
            let copied = annulus::fs::copy(path.join("renamed"), path.join("copy")).await?;
            assert_eq!(copied, 5);
            assert_eq!(folder.read("copy").await?, b"whole");
            let mut entries = folder.read_dir(".").await?;
            let mut names = Vec::new();
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                assert!(entry.file_type()?.is_file());
                names.push(entry.file_name().to_owned());
            }
            names.sort();
            assert_eq!(names, ["copy", "renamed"]);
            annulus::fs::remove_dir_all(&path).await
        })
    });
}

#[test]
fn timers_fire_and_not_early() {
    on_both_drivers(|runtime| {
        runtime.block_on(async {
            let start = Instant::now();
            let tasks: Vec<_> = [30, 0, 10, 20, 10]
                .map(Duration::from_millis)
                .into_iter()
                .map(|delay| {
                    spawn(async move {
                        time::sleep(delay).await;
                        assert!(start.elapsed() >= delay, "{delay:?} was too short");
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("the task does not panic");
            }
            let never = time::timeout(Duration::from_millis(5), std::future::pending::<()>());
            assert!(never.await.is_err());
            Ok(())
        })
    });
}

#[test]
fn a_sleeping_thread_is_woken_by_another() {
    on_both_drivers(|runtime| {
        runtime.block_on(async {
            for _ in 0..50 {
                let done = Arc::new(AtomicBool::new(false));
                let waker = Arc::new(Mutex::new(None::<Waker>));
                let thread = thread::spawn({
                    let (done, waker) = (Arc::clone(&done), Arc::clone(&waker));
                    move || {
                        done.store(true, Ordering::SeqCst);
                        if let Some(waker) = waker.lock().unwrap().take() {
                            waker.wake();
                        }
                    }
                });
                poll_fn(|context| {
                    *waker.lock().unwrap() = Some(context.waker().clone());
                    if done.load(Ordering::SeqCst) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                thread.join().expect("the thread does not panic");
            }
            Ok(())
        })
    });
}

#[test]
fn blocking_work_runs_elsewhere_and_brings_its_result() {
    on_both_drivers(|runtime| {
        runtime.block_on(async {
            let here = thread::current().id();
            let (elsewhere, sum) =
                blocking::run(|| (thread::current().id(), (1..=100).sum::<u32>())).await;
            assert_ne!(here, elsewhere);
            assert_eq!(sum, 5050);
            Ok(())
        })
    });
}

#[test]
fn a_runtime_dropped_with_receives_in_flight_comes_to_its_end() {
    on_both_drivers(|runtime| {
        let streams = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let mut streams = Vec::new();
            for _ in 0..20 {
                let stream = Rc::new(TcpStream::connect(listener.local_addr()?).await?);
                streams.push(Rc::clone(&stream));
                spawn(async move { stream.read(Vec::with_capacity(4096)).await.map(drop) });
            }
            task::yield_now().await;
            io::Result::Ok(streams)
        })?;
        let start = Instant::now();
        drop(runtime);
        // By default the drain gives up after five seconds.
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "the drain waited in vain"
        );
        drop(streams);
        Ok(())
    });
}
