//! Peers that vanish in the middle.

use std::{io, rc::Rc, time::Duration};

use annulus::{DriverKind, Runtime, io::Reader, net::TcpStream, spawn, stats, task::JoinSet, time};

use crate::{
    child::{child, descriptors, everything_works},
    support::{pair, recv_at_least},
};

const BIG: usize = 16 << 20;

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Resets the connection, whatever is under way.
fn reset(stream: TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Runs a world with resets on both drivers, and looks at what it leaves.
fn leaves_nothing<F: Future<Output = ()>>(name: &str, world: fn() -> F) {
    child(name, &[], move || {
        for driver in [DriverKind::Auto, DriverKind::Poll] {
            annulus::run(everything_works());
            let before = descriptors();
            let runtime = Runtime::builder().driver(driver).build().unwrap();
            runtime.block_on(async {
                time::timeout(Duration::from_secs(60), world())
                    .await
                    .unwrap();
                // What was given up in flight has ended.
                while stats().driver.in_flight > 2 {
                    time::sleep(Duration::from_millis(1)).await;
                }
                let start = stats().driver;
                time::sleep(Duration::from_millis(30)).await;
                let enters = stats().driver.enters - start.enters;
                assert!(enters <= 5, "nothing spins afterwards: {enters} enters");
                everything_works().await;
            });
            drop(runtime);
            assert_eq!(descriptors(), before);
        }
    });
}

#[test]
fn a_reset_in_the_middle_of_a_write_is_an_error_of_that_write() {
    let name = "peers::a_reset_in_the_middle_of_a_write_is_an_error_of_that_write";
    leaves_nothing(name, || async {
        let mut writers = JoinSet::new();
        for number in 0..12 {
            let (near, far) = pair().await;
            writers.spawn(async move {
                let write = spawn(async move {
                    let result = match number % 3 {
                        0 => near.write_all(vec![7; BIG]).await.map_err(io::Error::from),
                        1 => {
                            let parts = vec![vec![7; BIG / 4]; 4];
                            let written = near.write_all_vectored(parts).await;
                            written.map(|mut parts| parts.remove(0)).map_err(Into::into)
                        }
                        _ => loop {
                            // `write` until it fails.
                            if let Err(error) = near.write(vec![7; BIG]).await {
                                assert_eq!(error.buf.len(), BIG, "the buffer comes back");
                                break Err(error.error);
                            }
                        },
                    };
                    assert!(is_gone(&result.unwrap_err()));
                    // From now on there is nothing but the end.
                    assert!(is_gone(&near.write_all("more").await.unwrap_err().error));
                    let _ = near.recv().await;
                    assert!(near.recv().await.unwrap().is_empty());
                });
                recv_at_least(&far, 1 << 20).await;
                reset(far);
                write.await.unwrap();
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
    });
}

#[test]
fn a_reset_in_the_middle_of_a_read_comes_once_behind_the_bytes() {
    let name = "peers::a_reset_in_the_middle_of_a_read_comes_once_behind_the_bytes";
    leaves_nothing(name, || async {
        let mut readers = JoinSet::new();
        for number in 0..12 {
            let (near, far) = pair().await;
            readers.spawn(async move {
                let near = Rc::new(near);
                far.write_all("some").await.unwrap();
                assert_eq!(recv_at_least(&near, 4).await, b"some");
                let reader = spawn({
                    let near = Rc::clone(&near);
                    async move {
                        match number % 3 {
                            0 => near.recv().await.map(drop),
                            1 => near.read(vec![0; 100]).await.map(drop).map_err(Into::into),
                            _ => {
                                let mut reader = Reader::new(Rc::clone(&near));
                                reader.read_exact(100).await.map(drop)
                            }
                        }
                    }
                });
                annulus::task::yield_now().await;
                reset(far);
                assert!(is_gone(&reader.await.unwrap().unwrap_err()));
                for _ in 0..3 {
                    assert!(near.recv().await.unwrap().is_empty());
                }
                near.closed().await.unwrap();
            });
        }
        while let Some(done) = readers.join_next().await {
            done.unwrap();
        }
    });
}

#[test]
fn the_end_in_the_middle_of_a_read_keeps_what_came_before() {
    let name = "peers::the_end_in_the_middle_of_a_read_keeps_what_came_before";
    leaves_nothing(name, || async {
        for _ in 0..20 {
            let (near, far) = pair().await;
            let reader = spawn(async move {
                let mut reader = Reader::new(&near);
                let error = reader.read_exact(100).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                assert_eq!(reader.read_exact(4).await.unwrap(), b"half");
            });
            far.write_all("half").await.unwrap();
            annulus::task::yield_now().await;
            drop(far);
            reader.await.unwrap();
        }
    });
}

#[test]
fn connections_that_are_reset_before_the_accept_do_not_stop_a_server() {
    let name = "peers::connections_that_are_reset_before_the_accept_do_not_stop_a_server";
    leaves_nothing(name, || async {
        let listener = annulus::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        for round in 0..10 {
            for _ in 0..20 {
                reset(TcpStream::connect(addr).await.unwrap());
            }
            let near = TcpStream::connect(addr).await.unwrap();
            near.write_all(vec![round; 3]).await.unwrap();
            let addr = near.local_addr().unwrap();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                if peer == addr {
                    assert_eq!(recv_at_least(&stream, 3).await, [round; 3]);
                    break;
                }
            }
        }
    });
}

#[test]
fn a_write_to_a_peer_that_is_gone_does_not_kill_the_process() {
    let name = "peers::a_write_to_a_peer_that_is_gone_does_not_kill_the_process";
    leaves_nothing(name, || async {
        // Rust's start-up ignores the signal; a program that is embedded elsewhere may not.
        // SAFETY: the call takes no address but that of the default action.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        for number in 0..20 {
            let (near, far) = pair().await;
            if number % 2 == 0 {
                reset(far);
                near.closed().await.unwrap();
            } else {
                near.shutdown(std::net::Shutdown::Write).await.unwrap();
            }
            for _ in 0..2 {
                assert!(near.write_all("small").await.is_err());
                assert!(near.write_all(vec![1; BIG]).await.is_err());
                assert!(near.write_vectored(vec!["a", "b"]).await.is_err());
                assert!(
                    near.write_all_vectored(vec![vec![1; BIG]; 2])
                        .await
                        .is_err()
                );
            }
            // Dropped in flight, too.
            let (near, far) = pair().await;
            let near = Rc::new(near);
            let write = spawn({
                let near = Rc::clone(&near);
                async move { near.write_all(vec![1; BIG]).await.map(drop) }
            });
            recv_at_least(&far, 100_000).await;
            write.abort();
            annulus::task::yield_now().await;
            reset(far);
            assert!(near.flush().await.is_err() || near.write_all("x").await.is_err());
        }
    });
}
