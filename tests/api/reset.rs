//! A reset that arrives together with data: the bytes come first, then the error, on every path.
//!
//! On some kernels a multishot receive is not completed for such a reset. The peer of most tests is
//! a socket of std's on the same thread, so that both are in the socket before the ring looks
//! again. It closes while bytes for it are unread, which makes the kernel send a reset.

use std::{
    io::{ErrorKind, Write as _},
    net,
    time::Duration,
};

use annulus::{
    net::{TcpListener, TcpStream},
    spawn,
    task::JoinSet,
    time,
};

use crate::support::{poll_once, run, settle, std_pair};

/// Rounds of a test, since the kernel's fault is a race.
const ROUNDS: usize = 20;

/// A connection whose peer will reset it when it is dropped.
async fn resetting_pair() -> (TcpStream, net::TcpStream) {
    let (near, far) = std_pair().await;
    far.set_nodelay(true).unwrap();
    near.write_all("unread").await.unwrap();
    near.flush().await.unwrap();
    (near, far)
}

/// Sends `pieces` pieces of ten bytes and resets the connection.
fn send_and_reset(mut far: net::TcpStream, pieces: usize) {
    // The unread bytes have to be there for the close to be a reset.
    far.peek(&mut [0; 1]).unwrap();
    for _ in 0..pieces {
        far.write_all(&[7; 10]).unwrap();
    }
}

/// Counts the bytes that `recv` brings up to the end, which is a reset.
async fn recv_to_reset(near: &TcpStream) -> usize {
    let mut count = 0;
    loop {
        match near.recv().await {
            Ok(bytes) => {
                assert!(!bytes.is_empty(), "a reset is not the end of the stream");
                count += bytes.len();
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                return count;
            }
        }
    }
}

#[test]
fn recv_reports_it_behind_the_bytes() {
    run(async {
        for round in 0..ROUNDS {
            let (near, far) = resetting_pair().await;
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
            settle().await;
            let pieces = 1 + round % 7;
            send_and_reset(far, pieces);
            let first = recv.await.unwrap().len();
            assert_eq!(first + recv_to_reset(&near).await, 10 * pieces);
        }
    });
}

#[test]
fn read_reports_it_behind_the_bytes() {
    run(async {
        for _ in 0..ROUNDS {
            let (near, far) = resetting_pair().await;
            let mut read = Box::pin(near.read(Vec::with_capacity(4)));
            assert!(poll_once(&mut read).await.is_pending());
            settle().await;
            send_and_reset(far, 1);
            let (count, mut buf) = read.await.unwrap();
            assert_eq!(count, 4);
            for expected in [4, 2] {
                let (count, same) = near.read(buf).await.unwrap();
                assert_eq!(count, expected);
                buf = same;
            }
            let error = near.read(buf).await.unwrap_err();
            assert_eq!(error.error.kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn one_that_came_before_the_receive_began_is_reported() {
    run(async {
        for round in 0..ROUNDS {
            let (near, far) = resetting_pair().await;
            let pieces = 1 + round % 7;
            send_and_reset(far, pieces);
            assert_eq!(recv_to_reset(&near).await, 10 * pieces);
        }
    });
}

#[test]
fn it_is_reported_to_who_asks_only_after_it_came() {
    run(async {
        let (near, far) = resetting_pair().await;
        let mut recv = Box::pin(near.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        drop(recv);
        settle().await;
        send_and_reset(far, 3);
        settle().await;
        assert_eq!(recv_to_reset(&near).await, 30);
    });
}

#[test]
fn closed_resolves_while_the_bytes_wait() {
    run(async {
        for _ in 0..ROUNDS {
            let (near, far) = resetting_pair().await;
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
            drop(recv);
            settle().await;
            send_and_reset(far, 1);
            near.closed().await.unwrap();
            assert_eq!(recv_to_reset(&near).await, 10);
        }
    });
}

#[test]
fn many_connections_that_are_reset_at_once_all_learn_of_it() {
    run(async {
        let mut receivers = JoinSet::new();
        let mut peers = Vec::new();
        for _ in 0..200 {
            let (near, far) = resetting_pair().await;
            peers.push(far);
            receivers.spawn(async move { recv_to_reset(&near).await });
        }
        settle().await;
        for far in peers {
            send_and_reset(far, 2);
        }
        while let Some(count) = receivers.join_next().await {
            assert_eq!(count.unwrap(), 20);
        }
    });
}

/// The reset comes before the receive begins, while it begins, or after.
#[test]
fn connections_that_send_and_reset_at_once_all_end() {
    const CONNECTIONS: usize = 1000;
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            annulus::run(async move {
                for round in 0..CONNECTIONS {
                    let stream = TcpStream::connect(addr).await.unwrap();
                    for _ in 0..1 + round % 7 {
                        stream.write_all(&[7; 300]).await.unwrap();
                    }
                    stream.set_linger(Some(Duration::ZERO)).unwrap();
                }
            });
        });
        for round in 0..CONNECTIONS {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(recv_to_reset(&stream).await <= 300 * (1 + round % 7));
        }
        peer.join().unwrap();
    });
}

/// A busy connection beside it does not delay the report.
#[test]
fn it_is_reported_while_other_connections_stay_busy() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let busy = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (echo, _) = listener.accept().await.unwrap();
        let echo = spawn(async move {
            while let Ok(bytes) = echo.recv().await {
                if bytes.is_empty() || echo.write_all(bytes).await.is_err() {
                    return;
                }
            }
        });
        let (near, far) = resetting_pair().await;
        let waiting = spawn(async move { recv_to_reset(&near).await });
        settle().await;
        send_and_reset(far, 1);
        let mut rounds = 0_u64;
        while !waiting.is_finished() {
            busy.write_all("ping").await.unwrap();
            assert_eq!(busy.recv().await.unwrap().len(), 4);
            rounds += 1;
        }
        assert!(rounds > 0);
        assert_eq!(waiting.await.unwrap(), 10);
        drop(busy);
        echo.await.unwrap();
    });
}

/// Once the bytes are answered, the failing write is what reports it.
#[test]
fn a_write_that_fails_has_the_receive_report_the_end() {
    run(async {
        let (near, far) = resetting_pair().await;
        let mut recv = Box::pin(near.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        settle().await;
        send_and_reset(far, 1);
        assert_eq!(recv.await.unwrap().len(), 10);
        near.write_all("answer").await.unwrap_err();
        // The write has taken the error with it; the end stays.
        let rest = near.recv().await;
        assert!(rest.is_err() || rest.is_ok_and(|bytes| bytes.is_empty()));
    });
}

/// The looks at silent connections end with the connections' last look.
#[test]
fn a_connection_that_stays_silent_costs_no_further_visits() {
    run(async {
        let (near, mut far) = std_pair().await;
        let mut recv = Box::pin(near.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        far.write_all(b"data").unwrap();
        assert_eq!(recv.await.unwrap().len(), 4);
        let enters = || annulus::stats().driver.enters;
        // A second without looks is its own timer and little else; looks would be four of them.
        let mut visits = u64::MAX;
        while visits > 3 {
            let before = enters();
            time::sleep(Duration::from_secs(1)).await;
            visits = enters() - before;
        }
        drop(far);
        assert!(near.recv().await.unwrap().is_empty());
    });
}
