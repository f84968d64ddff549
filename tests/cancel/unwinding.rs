//! A runtime that ends with hundreds of operations in flight.

use std::{
    io::Write as _,
    net::TcpStream as StdStream,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use annulus::{
    fs::File,
    net::{TcpListener, TcpStream},
    spawn,
    time::{sleep, timeout},
};

use super::{
    census::{alone, descriptors, descriptors_settle_at, runtime, std_pair},
    moment::{impatient, turns},
};

/// Begins hundreds of operations in tasks, and keeps nothing but the peers.
async fn begin_hundreds(submitted: bool) -> Vec<StdStream> {
    let mut peers = Vec::new();
    let mut stream = || -> TcpStream {
        let (ours, std) = std_pair();
        peers.push(std);
        ours
    };
    for _ in 0..50 {
        let ours = stream();
        spawn(async move { drop(ours.recv().await) });
        let ours = stream();
        spawn(async move { drop(ours.read(Vec::with_capacity(10_000)).await) });
        let ours = stream();
        spawn(async move { drop(ours.closed().await) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        spawn(async move { drop(listener.accept().await) });
        spawn(async move { drop(TcpStream::connect(addr).await) });
        spawn(async move {
            let file = File::open("/proc/self/exe").await.unwrap();
            let _ = file.read_at(Vec::with_capacity(100_000), 0).await;
            let _ = file.sync_all().await;
        });
        spawn(sleep(Duration::from_secs(1000)));
        spawn(timeout(
            Duration::from_secs(1000),
            std::future::pending::<()>(),
        ));
    }
    for number in 0..10 {
        let ours = stream();
        spawn(async move {
            if number % 2 == 0 {
                drop(ours.write_all(vec![1; 8 << 20]).await);
            } else {
                drop(ours.write_all_vectored(vec![vec![1; 4 << 20]; 2]).await);
            }
        });
        // One that was dropped in flight, to a peer that does not read.
        let ours = stream();
        spawn(async move {
            let write = ours.write_all(vec![1; 8 << 20]);
            assert!(impatient(write, 1).await.is_none());
            std::future::pending::<()>().await;
        });
        // Buffers that are held, and bytes that wait for a receive.
        let ours = stream();
        spawn(async move {
            let _held = ours.recv().await;
            std::future::pending::<()>().await;
        });
        let ours = stream();
        assert!(impatient(ours.recv(), 1).await.is_none());
        spawn(async move {
            std::future::pending::<()>().await;
            drop(ours);
        });
    }
    if submitted {
        turns(3).await;
        for peer in &mut peers {
            peer.set_nonblocking(true).unwrap();
            let _ = peer.write(&[1; 100]);
        }
        turns(1).await;
    }
    peers
}

#[test]
fn a_runtime_that_ends_with_hundreds_in_flight_leaves_no_descriptor() {
    alone(|| {
        let before = descriptors();
        for submitted in [false, true] {
            let peers = runtime(16).block_on(begin_hundreds(submitted));
            drop(peers);
            descriptors_settle_at(before);
        }
    });
}

#[test]
fn a_runtime_that_ends_by_a_panic_with_hundreds_in_flight_leaves_no_descriptor() {
    alone(|| {
        let before = descriptors();
        for submitted in [false, true] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                runtime(16).block_on(async {
                    let _peers = begin_hundreds(submitted).await;
                    resume_unwind(Box::new("on purpose"));
                });
            }));
            assert!(result.is_err());
            descriptors_settle_at(before);
        }
    });
}

#[test]
fn runtimes_that_come_and_go_leave_no_descriptor() {
    alone(|| {
        let before = descriptors();
        for _ in 0..50 {
            runtime(16).block_on(async {
                let (ours, mut std) = std_pair();
                std.write_all(b"bytes").unwrap();
                assert_eq!(&*ours.recv().await.unwrap(), b"bytes");
                let _ = impatient(ours.recv(), 1).await;
                turns(1).await;
            });
        }
        descriptors_settle_at(before);
    });
}
