//! Receiving straight into the caller's memory, which a flood leads to.

use std::{io::Write as _, net, task::Poll, thread, time::Duration};

use annulus::{net::TcpStream, task::yield_now, time};

use crate::support::{is_pattern, pattern, poll_once, recv_exact, run, settle, std_pair};

const LEN: usize = 48 << 20;

/// Sends the pattern as fast as it goes, and closes.
fn flood(mut far: net::TcpStream, len: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || far.write_all(&pattern(len)).unwrap())
}

/// Brings a stream into bulk mode, and to the end of what there is.
async fn into_bulk_mode(near: &TcpStream, far: &mut net::TcpStream) {
    const SENT: usize = 1 << 20;
    far.write_all(&pattern(SENT)).unwrap();
    let mut total = 0;
    while total < SENT {
        let (count, buf) = near.read(Vec::with_capacity(64 << 10)).await.unwrap();
        assert!(is_pattern(&buf[..count], total));
        total += count;
    }
}

#[test]
fn a_flood_is_read_into_large_buffers() {
    run(async {
        let (near, far) = std_pair().await;
        let writer = flood(far, LEN);
        let mut buf = Vec::with_capacity(64 << 10);
        let mut total = 0;
        let mut count_max = 0;
        loop {
            let (count, read) = near.read(buf).await.unwrap();
            buf = read;
            if count == 0 {
                break;
            }
            assert_eq!(count, buf.len());
            assert!(is_pattern(&buf, total), "wrong bytes after {total}");
            total += count;
            count_max = count_max.max(count);
        }
        assert_eq!(total, LEN);
        assert!(
            count_max > 4096,
            "no read brought more than a receive buffer: {count_max}"
        );
        assert_eq!(near.read(buf).await.unwrap().0, 0, "the end stays");
        assert!(near.recv().await.unwrap().is_empty());
        writer.join().unwrap();
    });
}

#[test]
fn every_way_of_receiving_can_be_mixed_in_a_flood() {
    run(async {
        let (near, far) = std_pair().await;
        let writer = flood(far, LEN);
        let mut total = 0;
        let mut step = 0_usize;
        loop {
            step += 1;
            let seen = match step % 16 {
                0 => {
                    let bytes = near.recv().await.unwrap();
                    assert!(is_pattern(&bytes, total), "wrong bytes after {total}");
                    bytes.len()
                }
                1 => match near.try_recv() {
                    Ok(bytes) => {
                        assert!(is_pattern(&bytes, total), "wrong bytes after {total}");
                        bytes.len()
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                        continue;
                    }
                },
                2 => {
                    let (count, buf) = near.peek(Vec::with_capacity(100)).await.unwrap();
                    assert!(
                        is_pattern(&buf[..count], total),
                        "wrong bytes after {total}"
                    );
                    if count > 0 {
                        continue;
                    }
                    0
                }
                3 => {
                    let (count, buf) = near.read(vec![0; 10]).await.unwrap();
                    assert!(
                        is_pattern(&buf[..count], total),
                        "wrong bytes after {total}"
                    );
                    count
                }
                4 => {
                    // Dropped at once, or after the kernel was asked, or done.
                    let mut read = Box::pin(near.read(Vec::with_capacity(64 << 10)));
                    match poll_once(&mut read).await {
                        Poll::Ready(result) => {
                            let (count, buf) = result.unwrap();
                            assert!(is_pattern(&buf[..count], total));
                            count
                        }
                        Poll::Pending => {
                            if step % 3 == 0 {
                                yield_now().await;
                            }
                            continue;
                        }
                    }
                }
                5 => {
                    let mut buf = Vec::with_capacity(64 << 10);
                    buf.extend_from_slice(b"kept");
                    let (count, buf) = near.read_append(buf).await.unwrap();
                    assert_eq!(&buf[..4], b"kept");
                    assert_eq!(buf.len(), count + 4);
                    assert!(is_pattern(&buf[4..], total), "wrong bytes after {total}");
                    count
                }
                _ => {
                    let (count, buf) = near.read(Vec::with_capacity(64 << 10)).await.unwrap();
                    assert!(
                        is_pattern(&buf[..count], total),
                        "wrong bytes after {total}"
                    );
                    count
                }
            };
            if seen == 0 {
                break;
            }
            total += seen;
        }
        assert_eq!(total, LEN);
        writer.join().unwrap();
    });
}

#[test]
fn a_large_read_that_was_dropped_keeps_the_order() {
    run(async {
        let (near, mut far) = std_pair().await;
        into_bulk_mode(&near, &mut far).await;
        for round in 0..20_u8 {
            // Several reads wait, and all are dropped, the one that has its turn first.
            {
                let first = Box::pin(near.read(Vec::with_capacity(64 << 10)));
                let second = Box::pin(near.read(Vec::with_capacity(64 << 10)));
                let mut reads = [first, second];
                for read in &mut reads {
                    assert!(poll_once(read).await.is_pending());
                }
                yield_now().await;
            }
            far.write_all(&[round; 5000]).unwrap();
            assert_eq!(recv_exact(&near, 5000).await, [round; 5000]);
            let late = time::timeout(Duration::ZERO, near.read(Vec::with_capacity(64 << 10)));
            assert!(late.await.is_err());
        }
    });
}

#[test]
fn an_error_in_a_flood_comes_once() {
    run(async {
        let (near, mut far) = std_pair().await;
        into_bulk_mode(&near, &mut far).await;
        // Unread bytes at the other end make its close a reset.
        near.write_all("unread").await.unwrap();
        let read = near.read(Vec::with_capacity(64 << 10));
        drop(far);
        let error = read.await.unwrap_err();
        assert_eq!(error.error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(error.buf.capacity(), 64 << 10);
        for _ in 0..3 {
            assert_eq!(near.read(Vec::with_capacity(64 << 10)).await.unwrap().0, 0);
        }
    });
}

#[test]
fn a_large_read_that_was_dropped_with_its_result_parks_that_and_no_more() {
    run(async {
        let (near, mut far) = std_pair().await;
        into_bulk_mode(&near, &mut far).await;
        for round in 1..20_u8 {
            // A slice has no length of its own: only the count says what came.
            let mut read = Box::pin(near.read(vec![0xEE; 64 << 10].into_boxed_slice()));
            assert!(poll_once(&mut read).await.is_pending());
            settle().await;
            far.write_all(&[round; 100]).unwrap();
            settle().await;
            drop(read);
            settle().await;
            far.write_all(&[round; 23]).unwrap();
            let mut bytes = Vec::new();
            while bytes.len() < 123 {
                bytes.extend_from_slice(&near.recv().await.unwrap());
            }
            assert!(bytes == [round; 123], "{} bytes", bytes.len());
            // Back into bulk mode.
            let blocks = 8 * 4096;
            far.write_all(&vec![round; blocks]).unwrap();
            settle().await;
            let mut left = blocks;
            while left > 0 {
                let (count, _) = near.read(vec![0; 4096.min(left)]).await.unwrap();
                left -= count;
            }
        }
    });
}
