//! Bytes that no task reads stay with the peer, and running out of buffers is no error.

use std::{
    io::{self, Write as _},
    net,
    time::Duration,
};

use annulus::{ManagedBuf, Runtime, net::TcpStream, spawn, stats, task::JoinHandle, time};

use crate::support::{
    guarded, is_pattern, pair, pattern, poll_once, recv_exact, recv_to_end, repetitions,
    rings_since, run, settle, std_pair, until,
};

/// As much as the kernel may keep in the sockets' own buffers, generously.
const KERNEL_BYTES_MAX: usize = 40 << 20;

/// Sends the pattern until nothing more is taken, also after the receiver had time.
async fn stuff(far: &mut net::TcpStream) -> usize {
    far.set_nonblocking(true).unwrap();
    let mut total = 0;
    let mut refused = 0;
    while refused < 20 {
        let piece = pattern(total % 251 + 100_000).split_off(total % 251);
        match far.write(&piece) {
            Ok(count) => {
                total += count;
                refused = 0;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                refused += 1;
                settle().await;
            }
        }
        assert!(total < KERNEL_BYTES_MAX, "the receiver takes everything");
    }
    far.set_nonblocking(false).unwrap();
    total
}

#[test]
fn a_socket_without_a_reader_stops_the_peer_and_keeps_every_byte() {
    let (counts, stops_early) = (rings_since(6, 0), rings_since(6, 8));
    run(async {
        let (near, mut far) = std_pair().await;
        {
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
        }
        let before = stats();
        let total = stuff(&mut far).await;
        let after = stats();
        let stopped = after.driver.backpressure - before.driver.backpressure;
        assert!(stopped < 10, "a receive is stopped once: {stopped}");
        drop(far);
        let all = recv_to_end(&near).await;
        assert_eq!(all.len(), total);
        assert!(is_pattern(&all, 0));
        // Kernels before 6.8 go on within one receive until the last buffer is full, and end it.
        let exhausted = stats().buffers_exhausted - before.buffers_exhausted;
        if counts {
            assert!(stopped + exhausted > 0, "the receive was stopped");
        }
        if stops_early {
            assert!(stopped > 0, "the receive was stopped before that");
        }
    });
}

#[test]
fn it_stops_and_goes_on_many_times() {
    run(async {
        let (near, mut far) = std_pair().await;
        let mut sent = 0;
        let mut seen = 0;
        for _ in 0..repetitions(60) {
            // More pieces than are parked, then a few are taken, not all.
            for _ in 0..12 {
                let piece = pattern(sent + 500).split_off(sent);
                far.write_all(&piece).unwrap();
                sent += piece.len();
                settle().await;
            }
            while seen + 2000 < sent {
                let bytes = near.recv().await.unwrap();
                assert!(is_pattern(&bytes, seen), "wrong bytes after {seen}");
                seen += bytes.len();
            }
        }
        drop(far);
        let rest = recv_to_end(&near).await;
        assert!(is_pattern(&rest, seen));
        assert_eq!(seen + rest.len(), sent);
    });
}

#[test]
fn many_sockets_without_a_reader_do_not_stop_one_that_is_read() {
    let runtime = Runtime::builder()
        .receive_buffers(8)
        .receive_buffer_bytes(256)
        .build()
        .unwrap();
    runtime.block_on(guarded(async {
        let mut unread = Vec::new();
        for _ in 0..20 {
            let (near, far) = pair().await;
            {
                let mut recv = Box::pin(near.recv());
                assert!(poll_once(&mut recv).await.is_pending());
            }
            unread.push((near, far));
        }
        for (_, far) in &unread {
            far.write_all(pattern(3000)).await.unwrap();
        }
        settle().await;
        let (near, far) = pair().await;
        let echo = spawn(async move {
            while let Ok(bytes) = far.recv().await {
                if bytes.is_empty() {
                    break;
                }
                far.write_all(bytes).await.unwrap();
            }
        });
        for _ in 0..50 {
            near.write_all(pattern(700)).await.unwrap();
            assert_eq!(recv_exact(&near, 700).await, pattern(700));
        }
        drop(near);
        echo.await.unwrap();
        for (near, far) in unread {
            drop(far);
            assert_eq!(recv_to_end(&near).await, pattern(3000));
        }
    }));
}

#[test]
fn buffers_that_are_kept_are_replaced_by_memory_of_their_own() {
    let runtime = Runtime::builder()
        .receive_buffers(4)
        .receive_buffer_bytes(64)
        .build()
        .unwrap();
    runtime.block_on(guarded(async {
        let (near, far) = pair().await;
        let mut kept: Vec<ManagedBuf> = Vec::new();
        let mut len = 0;
        for number in 0..100_u8 {
            far.write_all(vec![number; 50]).await.unwrap();
            while len < 50 * (usize::from(number) + 1) {
                let bytes = near.recv().await.unwrap();
                len += bytes.len();
                kept.push(bytes);
            }
        }
        assert!(stats().buffers_exhausted > 0);
        let all: Vec<u8> = kept.iter().flat_map(|bytes| bytes.to_vec()).collect();
        let expected: Vec<u8> = (0..100).flat_map(|number| [number; 50]).collect();
        assert!(all == expected, "every buffer still holds its bytes");
        kept.clear();
        // Now there are some again, and nothing more runs out.
        far.write_all("again").await.unwrap();
        recv_exact(&near, 5).await;
        settle().await;
        let before = stats().buffers_exhausted;
        for _ in 0..20 {
            far.write_all("again").await.unwrap();
            assert_eq!(recv_exact(&near, 5).await, b"again");
        }
        assert_eq!(stats().buffers_exhausted, before);
    }));
}

#[test]
fn one_buffer_serves_many_connections() {
    let runtime = Runtime::builder().receive_buffers(1).build().unwrap();
    runtime.block_on(guarded(async {
        let mut pairs = Vec::new();
        for _ in 0..30 {
            pairs.push(pair().await);
        }
        let mut echoes = Vec::new();
        let mut nears: Vec<TcpStream> = Vec::new();
        for (near, far) in pairs {
            nears.push(near);
            echoes.push(spawn(async move {
                while let Ok(bytes) = far.recv().await {
                    if bytes.is_empty() {
                        break;
                    }
                    far.write_all(bytes).await.unwrap();
                }
            }));
        }
        for round in 0..10_u8 {
            for near in &nears {
                near.write_all(vec![round; 100]).await.unwrap();
            }
            for near in &nears {
                assert_eq!(recv_exact(near, 100).await, [round; 100]);
            }
        }
        drop(nears);
        for echo in echoes {
            echo.await.unwrap();
        }
    }));
}

#[test]
fn a_writer_waits_for_a_peer_that_does_not_read() {
    run(async {
        let (near, far) = pair().await;
        let writer =
            spawn(async move { near.write_all(pattern(KERNEL_BYTES_MAX)).await.map(drop) });
        for _ in 0..20 {
            settle().await;
        }
        assert!(!writer.is_finished());
        let in_flight = stats().driver.in_flight;
        assert!(in_flight < 10, "a write is one operation: {in_flight}");
        let mut total = 0;
        while total < KERNEL_BYTES_MAX {
            total += far.recv().await.unwrap().len();
        }
        until(|| writer.is_finished()).await;
        writer.await.unwrap().unwrap();
        let late = time::timeout(Duration::from_secs(10), far.recv()).await;
        assert!(late.unwrap().unwrap().is_empty());
    });
}

/// A wait for room that ends at once for another event would use up the processor.
#[test]
fn a_write_waits_for_a_peer_that_has_finished_sending_and_does_not_read() {
    type Write = fn(TcpStream) -> JoinHandle<io::Result<usize>>;
    let ways: [Write; 3] = [
        |near| spawn(async move { Ok(near.write(pattern(KERNEL_BYTES_MAX)).await?.0) }),
        |near| {
            spawn(async move {
                near.write_all(pattern(KERNEL_BYTES_MAX)).await?;
                Ok(KERNEL_BYTES_MAX)
            })
        },
        |near| {
            spawn(async move {
                let parts = vec![pattern(100), pattern(KERNEL_BYTES_MAX - 100)];
                near.write_all_vectored(parts).await?;
                Ok(KERNEL_BYTES_MAX)
            })
        },
    ];
    for (number, write) in ways.into_iter().enumerate() {
        for is_read in [false, true] {
            run(async move {
                let (near, far) = std_pair().await;
                far.shutdown(net::Shutdown::Write).unwrap();
                assert!(near.recv().await.unwrap().is_empty());
                let writer = write(near);
                for _ in 0..20 {
                    settle().await;
                }
                let before = stats().driver.completions;
                time::sleep(Duration::from_millis(20)).await;
                let completions = stats().driver.completions - before;
                assert!(completions < 50, "way {number}: {completions} completions");
                if !is_read {
                    // The wait ends with the write.
                    writer.abort();
                    settle().await;
                    return;
                }
                let far = TcpStream::from_std(far).unwrap();
                let (mut total, mut writer) = (0, Some(writer));
                let sent = loop {
                    if writer.as_ref().is_some_and(JoinHandle::is_finished) {
                        break writer.take().unwrap().await.unwrap().unwrap();
                    }
                    total += far.recv().await.unwrap().len();
                };
                while total < sent {
                    total += far.recv().await.unwrap().len();
                }
                assert_eq!(total, sent, "way {number}");
            });
        }
    }
}
