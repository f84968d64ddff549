//! The two halves of a stream.

use std::{net::Shutdown, time::Duration};

use annulus::{net::TcpStream, spawn, time};

use crate::support::{pair, pattern, poll_once, recv_exact, recv_to_end, run, settle};

#[test]
fn the_halves_work_in_two_tasks() {
    run(async {
        let (near, far) = pair().await;
        let (reader, writer) = near.into_split();
        let received = spawn(async move {
            let first = reader.recv().await.unwrap().to_vec();
            let (count, second) = reader.read(Vec::with_capacity(8)).await.unwrap();
            assert_eq!(count, second.len());
            (first, second)
        });
        writer.write_all("one ").await.unwrap();
        assert_eq!(writer.write("two ").await.unwrap().0, 4);
        writer.write_all_vectored(("three", " four")).await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!(recv_exact(&far, 18).await, b"one two three four");
        far.write_all("first").await.unwrap();
        settle().await;
        far.write_all("second").await.unwrap();
        let (first, second) = received.await.unwrap();
        assert_eq!((&first[..], &second[..]), (&b"first"[..], &b"second"[..]));
        assert_eq!(
            writer.stream().local_addr().unwrap(),
            far.peer_addr().unwrap()
        );
    });
}

#[test]
fn dropping_the_writing_half_ends_that_direction_only() {
    run(async {
        let (near, far) = pair().await;
        let (reader, writer) = near.into_split();
        writer.write_all("bye").await.unwrap();
        drop(writer);
        assert_eq!(recv_to_end(&far).await, b"bye");
        far.write_all("still").await.unwrap();
        assert_eq!(&reader.recv().await.unwrap()[..], b"still");
        assert_eq!(
            reader.stream().peer_addr().unwrap(),
            far.local_addr().unwrap()
        );
        drop(far);
        assert!(reader.recv().await.unwrap().is_empty());
    });
}

#[test]
fn dropping_the_reading_half_leaves_the_writing_one() {
    run(async {
        let (near, far) = pair().await;
        let (reader, writer) = near.into_split();
        drop(reader);
        writer.write_all("alone").await.unwrap();
        assert_eq!(recv_exact(&far, 5).await, b"alone");
        drop(writer);
        assert!(recv_to_end(&far).await.is_empty());
    });
}

#[test]
fn the_end_comes_behind_a_write_that_was_dropped_in_flight() {
    run(async {
        let (near, far) = pair().await;
        let (reader, writer) = near.into_split();
        {
            let mut dropped = Box::pin(writer.write_all(pattern(20 << 20)));
            assert!(poll_once(&mut dropped).await.is_pending());
            settle().await;
        }
        drop(writer);
        let all = recv_to_end(&far).await;
        assert_eq!(all.len(), 20 << 20);
        far.write_all("still").await.unwrap();
        far.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(&reader.recv().await.unwrap()[..], b"still");
    });
}

/// Drops a stream or its halves with a write of 20 MiB that was dropped in the middle.
async fn drop_with_a_large_write(near: TcpStream, split: bool) {
    let dropped = pattern(20 << 20);
    if split {
        let (reader, writer) = near.into_split();
        let mut write = Box::pin(writer.write_all(dropped));
        assert!(poll_once(&mut write).await.is_pending());
        settle().await;
        drop(write);
        drop((reader, writer));
    } else {
        let mut write = Box::pin(near.write_all(dropped));
        assert!(poll_once(&mut write).await.is_pending());
        settle().await;
        drop(write);
        drop(near);
    }
}

#[test]
fn a_peer_that_does_not_read_holds_dropped_halves_no_longer_than_a_dropped_stream() {
    // Without a guard: this test moves the clock by itself.
    annulus::run(async {
        for split in [false, true] {
            let (near, far) = pair().await;
            drop_with_a_large_write(near, split).await;
            settle().await;
            time::pause();
            time::advance(Duration::from_secs(6)).await;
            time::resume();
            settle().await;
            // The connection was given up and is fed no more, so the bytes end before everything
            // was sent.
            let mut total = 0;
            let ended = time::timeout(Duration::from_secs(20), async {
                while let Ok(bytes) = far.recv().await {
                    if bytes.is_empty() {
                        break;
                    }
                    total += bytes.len();
                }
            });
            ended.await.expect("the connection ends");
            assert!(total < 20 << 20, "split: {split}, {total} bytes");
        }
    });
}

#[test]
fn a_stream_whose_last_write_is_done_leaves_nothing_running() {
    run(async {
        for split in [false, true] {
            let (near, far) = pair().await;
            drop_with_a_large_write(near, split).await;
            assert_eq!(recv_to_end(&far).await.len(), 20 << 20);
            settle().await;
            // The end of a runtime waits for tasks of its own, so none may linger for nothing.
            let tasks = annulus::stats().tasks;
            assert_eq!(tasks.spawned, tasks.completed, "split: {split}");
        }
    });
}
