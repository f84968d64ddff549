//! Sending.

use std::{
    io::{self, Read as _},
    net::Shutdown,
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use annulus::{
    buf::IoBuf as _,
    net::TcpStream,
    spawn,
    task::{JoinHandle, JoinSet},
};
use bytes::{Bytes, BytesMut};

use crate::support::{
    is_pattern, pair, pattern, poll_once, recv_exact, recv_to_end, run, settle, std_pair,
};

const MEGABYTE: usize = 1 << 20;

#[test]
fn every_kind_of_buffer_is_sent_and_comes_back() {
    run(async {
        let (near, far) = pair().await;
        assert_eq!(near.write_all("str").await.unwrap(), "str");
        assert_eq!(near.write_all(b"array").await.unwrap(), b"array");
        let owned = near.write_all(String::from("string")).await.unwrap();
        assert_eq!(owned, "string");
        assert_eq!(near.write_all(vec![1, 2]).await.unwrap(), [1, 2]);
        let bytes = near.write_all(Bytes::from_static(b"bytes")).await.unwrap();
        assert_eq!(bytes, "bytes");
        near.write_all(BytesMut::from(&b"mut"[..])).await.unwrap();
        near.write_all(Rc::<[u8]>::from(&b"rc"[..])).await.unwrap();
        near.write_all(Arc::<[u8]>::from(&b"arc"[..]))
            .await
            .unwrap();
        near.write_all(vec![9; 2].into_boxed_slice()).await.unwrap();
        near.write_all("a slice".slice(2..)).await.unwrap();
        drop(near);
        let expected = b"strarraystring\x01\x02bytesmutrcarc\x09\x09slice";
        assert_eq!(recv_to_end(&far).await, expected);
    });
}

#[test]
fn received_memory_is_sent_as_it_is() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("echo!").await.unwrap();
        let mut bytes = near.recv().await.unwrap();
        bytes.truncate(4);
        near.write_all(bytes).await.unwrap();
        assert_eq!(recv_exact(&far, 4).await, b"echo");
    });
}

#[test]
fn nothing_to_send_is_no_error() {
    run(async {
        let (near, far) = pair().await;
        assert_eq!(near.write("").await.unwrap().0, 0);
        near.write_all(Vec::new()).await.unwrap();
        assert_eq!(
            near.write_vectored(Vec::<Vec<u8>>::new()).await.unwrap().0,
            0
        );
        near.write_all_vectored(vec!["", ""]).await.unwrap();
        near.flush().await.unwrap();
        drop(near);
        assert!(recv_to_end(&far).await.is_empty());
    });
}

#[test]
fn write_tells_how_much_was_sent() {
    run(async {
        let (near, far) = pair().await;
        let (count, buf) = near.write(pattern(100)).await.unwrap();
        assert_eq!((count, buf.len()), (100, 100));
        assert_eq!(recv_exact(&far, 100).await, pattern(100));
        // More than fits: some of it is sent, and it is the start.
        let big = pattern(40 * MEGABYTE);
        let (count, big) = near.write(big).await.unwrap();
        assert!(count > 0 && count <= big.len());
        drop(near);
        assert_eq!(recv_to_end(&far).await, big[..count]);
    });
}

#[test]
fn vectored_writes_send_the_parts_in_order() {
    run(async {
        let (near, far) = pair().await;
        let (count, _) = near.write_vectored(("head ", "body")).await.unwrap();
        assert_eq!(count, 9);
        near.write_all_vectored((" one", vec![b' ', b'2'], Bytes::from_static(b" three")))
            .await
            .unwrap();
        near.write_all_vectored(vec!["", " a", "", "b", ""])
            .await
            .unwrap();
        drop(near);
        assert_eq!(recv_to_end(&far).await, b"head body one 2 three ab");
    });
}

#[test]
fn more_parts_than_one_call_takes_are_all_sent() {
    run(async {
        let (near, far) = pair().await;
        let parts: Vec<Vec<u8>> = (0..5000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let expected = parts.concat();
        let receiver = spawn(async move { recv_to_end(&far).await });
        let (count, parts) = near.write_vectored(parts).await.unwrap();
        assert!(count > 0 && count <= expected.len());
        drop(near);
        assert_eq!(receiver.await.unwrap(), expected[..count]);

        let (near, far) = pair().await;
        let receiver = spawn(async move { recv_to_end(&far).await });
        near.write_all_vectored(parts).await.unwrap();
        drop(near);
        assert_eq!(receiver.await.unwrap(), expected);
    });
}

/// Reads to the end in small pieces, and tells how many bytes of the pattern there were.
fn slow_reader(mut stream: std::net::TcpStream) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let mut total = 0;
        let mut piece = vec![0; 20_000];
        loop {
            let count = stream.read(&mut piece).unwrap();
            if count == 0 {
                return total;
            }
            assert!(
                is_pattern(&piece[..count], total),
                "wrong bytes after {total}"
            );
            total += count;
            if total % 7 == 0 {
                thread::yield_now();
            }
        }
    })
}

#[test]
fn fifty_megabytes_arrive_at_a_slow_reader() {
    run(async {
        let (near, far) = std_pair().await;
        let reader = slow_reader(far);
        let big = pattern(50 * MEGABYTE);
        let big = near.write_all(big).await.unwrap();
        assert_eq!(big.len(), 50 * MEGABYTE);
        drop(near);
        assert_eq!(reader.join().unwrap(), 50 * MEGABYTE);
    });
}

#[test]
fn fifty_megabytes_in_parts_arrive_at_a_slow_reader() {
    run(async {
        let (near, far) = std_pair().await;
        let reader = slow_reader(far);
        let big = Bytes::from(pattern(50 * MEGABYTE));
        let mut parts = Vec::new();
        let mut rest = big.clone();
        let mut len = 1;
        while !rest.is_empty() {
            len = (len * 3 + 1) % 1_000_003;
            parts.push(rest.split_to(len.min(rest.len())));
        }
        near.write_all_vectored(parts).await.unwrap();
        near.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(reader.join().unwrap(), 50 * MEGABYTE);
    });
}

#[test]
fn fifty_megabytes_are_echoed_by_a_runtime() {
    run(async {
        let (near, far) = pair().await;
        let echo = spawn(async move {
            loop {
                let bytes = far.recv().await.unwrap();
                if bytes.is_empty() {
                    return;
                }
                far.write_all(bytes).await.unwrap();
            }
        });
        let near = Rc::new(near);
        let writer = spawn({
            let near = Rc::clone(&near);
            async move {
                near.write_all(pattern(50 * MEGABYTE)).await.unwrap();
                near.shutdown(Shutdown::Write).await.unwrap();
            }
        });
        let mut total = 0;
        loop {
            let bytes = near.recv().await.unwrap();
            if bytes.is_empty() {
                break;
            }
            assert!(is_pattern(&bytes, total), "wrong bytes after {total}");
            total += bytes.len();
        }
        assert_eq!(total, 50 * MEGABYTE);
        writer.await.unwrap();
        echo.await.unwrap();
    });
}

#[test]
fn many_writers_are_sent_in_the_order_of_asking_and_never_mixed() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let mut writers = JoinSet::new();
        for number in 0..100_u8 {
            let near = Rc::clone(&near);
            writers.spawn(async move {
                let block = vec![number; 30_000];
                match number % 3 {
                    0 => drop(near.write_all(block).await.unwrap()),
                    1 => drop(near.write_all(Bytes::from(block)).await.unwrap()),
                    _ => {
                        let parts = (block[..10_000].to_vec(), block[10_000..].to_vec());
                        drop(near.write_all_vectored(parts).await.unwrap());
                    }
                }
            });
        }
        drop(near);
        let all = recv_to_end(&far).await;
        assert_eq!(all.len(), 100 * 30_000);
        for (number, block) in all.chunks(30_000).enumerate() {
            assert!(
                block.iter().all(|byte| usize::from(*byte) == number),
                "block {number} is mixed"
            );
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
    });
}

/// The two ends of a connection, and a task that has begun to write 20 MB to the first.
async fn with_a_large_write() -> (Rc<TcpStream>, TcpStream, JoinHandle<io::Result<()>>) {
    let (near, far) = pair().await;
    let near = Rc::new(near);
    let writer = spawn({
        let near = Rc::clone(&near);
        async move {
            let write = near.write_all(pattern(20 * MEGABYTE)).await;
            write.map(drop).map_err(io::Error::from)
        }
    });
    settle().await;
    assert!(!writer.is_finished(), "so much does not fit anywhere");
    (near, far, writer)
}

#[test]
fn shutdown_and_flush_wait_for_the_writes_before_them() {
    run(async {
        let (near, far, writer) = with_a_large_write().await;
        let mut flush = Box::pin(near.flush());
        assert!(poll_once(&mut flush).await.is_pending());
        let mut shutdown = Box::pin(near.shutdown(Shutdown::Write));
        assert!(poll_once(&mut shutdown).await.is_pending());
        let receiver = spawn(async move {
            let all = recv_to_end(&far).await;
            assert!(is_pattern(&all, 0));
            all.len()
        });
        flush.await.unwrap();
        shutdown.await.unwrap();
        assert_eq!(receiver.await.unwrap(), 20 * MEGABYTE);
        writer.await.unwrap().unwrap();
    });
}

#[test]
fn a_dropped_shutdown_has_ended_nothing() {
    run(async {
        let (near, far, writer) = with_a_large_write().await;
        {
            let mut shutdown = Box::pin(near.shutdown(Shutdown::Both));
            assert!(poll_once(&mut shutdown).await.is_pending());
        }
        let receiver = spawn(async move { recv_to_end(&far).await.len() });
        writer.await.unwrap().unwrap();
        near.write_all("and more").await.unwrap();
        near.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(receiver.await.unwrap(), 20 * MEGABYTE + 8);
    });
}

#[test]
fn after_a_shutdown_writes_fail_and_reads_go_on() {
    run(async {
        let (near, far) = pair().await;
        near.write_all("done").await.unwrap();
        near.shutdown(Shutdown::Write).await.unwrap();
        let error = near.write_all(b"late".to_vec()).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(error.buf, b"late");
        let error = near.write_vectored(vec!["late"]).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(error.buf, ["late"]);
        assert_eq!(recv_to_end(&far).await, b"done");
        far.write_all("still").await.unwrap();
        assert_eq!(recv_exact(&near, 5).await, b"still");
    });
}

#[test]
fn shutting_down_both_directions_ends_both() {
    run(async {
        let (near, far) = pair().await;
        near.write_all("done").await.unwrap();
        near.shutdown(Shutdown::Both).await.unwrap();
        assert!(near.recv().await.unwrap().is_empty());
        assert!(near.write_all("late").await.is_err());
        assert_eq!(recv_to_end(&far).await, b"done");
    });
}

#[test]
fn shutting_down_a_connection_that_is_gone_is_not_connected() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        near.closed().await.unwrap();
        let error = near.shutdown(Shutdown::Write).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    });
}

#[test]
fn a_buffer_comes_back_when_the_peer_is_gone() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        near.closed().await.unwrap();
        let block = pattern(1000);
        let error = near.write_all(block).await.unwrap_err();
        let kind = error.error.kind();
        assert!(
            kind == io::ErrorKind::ConnectionReset || kind == io::ErrorKind::BrokenPipe,
            "{kind:?}"
        );
        assert_eq!(error.buf, pattern(1000));
        let error = near.write_all("more").await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_write_dropped_before_its_turn_has_sent_nothing() {
    run(async {
        let (near, far, writer) = with_a_large_write().await;
        {
            let mut dropped = Box::pin(near.write_all("never"));
            assert!(poll_once(&mut dropped).await.is_pending());
        }
        let receiver = spawn(async move { recv_to_end(&far).await });
        near.write_all("end").await.unwrap();
        near.shutdown(Shutdown::Write).await.unwrap();
        let all = receiver.await.unwrap();
        assert_eq!(all.len(), 20 * MEGABYTE + 3);
        assert_eq!(&all[20 * MEGABYTE..], b"end");
        writer.await.unwrap().unwrap();
    });
}

#[test]
fn a_write_dropped_in_flight_is_sent_whole() {
    run(async {
        let (near, far) = pair().await;
        {
            let mut dropped = Box::pin(near.write_all(pattern(20 * MEGABYTE)));
            assert!(poll_once(&mut dropped).await.is_pending());
            settle().await;
            assert!(poll_once(&mut dropped).await.is_pending());
        }
        let receiver = spawn(async move { recv_to_end(&far).await });
        near.write_all("end").await.unwrap();
        near.shutdown(Shutdown::Write).await.unwrap();
        let all = receiver.await.unwrap();
        assert_eq!(all.len(), 20 * MEGABYTE + 3);
        assert!(is_pattern(&all[..20 * MEGABYTE], 0));
    });
}
