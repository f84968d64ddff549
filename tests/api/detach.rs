//! Handing a connection to another thread's runtime, or to std.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    thread,
    time::Duration,
};

use annulus::{
    net::{Detached, UnixStream},
    spawn, time,
};

use crate::support::{
    is_pattern, pair, pattern, poll_once, recv_exact, recv_to_end, run, settle, std_pair, to_end,
};

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn parked_bytes_go_along_to_another_threads_runtime() {
    run(async {
        let (near, far) = pair().await;
        // A receive that was dropped, so that the kernel goes on receiving.
        assert!(time::timeout(Duration::ZERO, near.recv()).await.is_err());
        far.write_all("parked, ").await.unwrap();
        settle().await;
        let (count, _) = near.read(vec![0; 1].into_boxed_slice()).await.unwrap();
        assert_eq!(count, 1);
        far.write_all("unread, ").await.unwrap();
        settle().await;
        let detached: Detached = is_send(near.detach().await.unwrap());
        far.write_all("later").await.unwrap();
        let other = thread::spawn(move || {
            run(async {
                let stream = detached.attach().unwrap();
                let bytes = recv_exact(&stream, 20).await;
                stream.write_all("answer").await.unwrap();
                bytes
            })
        });
        let answer = recv_to_end(&far).await;
        assert_eq!(answer, b"answer");
        assert_eq!(other.join().unwrap(), b"arked, unread, later");
    });
}

#[test]
fn parked_bytes_go_along_to_std() {
    run(async {
        let (near, far) = pair().await;
        assert!(time::timeout(Duration::ZERO, near.recv()).await.is_err());
        far.write_all("parked").await.unwrap();
        settle().await;
        near.peek(Vec::with_capacity(10)).await.unwrap();
        let (mut stream, parked) = near.detach().await.unwrap().into_std().unwrap();
        assert_eq!(parked, b"parked");
        far.write_all("then").await.unwrap();
        far.shutdown(Shutdown::Write).await.unwrap();
        // std's calls block, so they have a thread of their own.
        let rest = thread::spawn(move || {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            stream.write_all(b"std").unwrap();
            rest
        });
        assert_eq!(recv_to_end(&far).await, b"std");
        assert_eq!(rest.join().unwrap(), b"then");
    });
}

#[test]
fn a_stream_without_a_receive_is_detached_with_no_bytes() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("in the kernel").await.unwrap();
        let (stream, parked) = near.detach().await.unwrap().into_std().unwrap();
        assert!(parked.is_empty());
        let near = annulus::net::TcpStream::from_std(stream).unwrap();
        assert_eq!(recv_exact(&near, 13).await, b"in the kernel");
    });
}

#[test]
fn detaching_waits_for_the_writes_before_it() {
    run(async {
        let (near, far) = pair().await;
        {
            let mut dropped = Box::pin(near.write_all(pattern(20 << 20)));
            assert!(poll_once(&mut dropped).await.is_pending());
            settle().await;
        }
        let receiver = spawn(async move {
            let all = recv_to_end(&far).await;
            assert!(is_pattern(&all[..20 << 20], 0));
            all.len()
        });
        let detached = near.detach().await.unwrap();
        let near = detached.attach().unwrap();
        near.write_all("end").await.unwrap();
        drop(near);
        assert_eq!(receiver.await.unwrap(), (20 << 20) + 3);
    });
}

#[test]
fn a_dropped_detached_connection_is_closed() {
    run(async {
        let (near, far) = pair().await;
        drop(near.detach().await.unwrap());
        assert!(far.recv().await.unwrap().is_empty());
    });
}

#[test]
fn the_end_of_the_stream_goes_along() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("last").await.unwrap();
        drop(far);
        let (count, _) = near.peek(Vec::with_capacity(10)).await.unwrap();
        assert_eq!(count, 4);
        settle().await;
        let near = near.detach().await.unwrap().attach().unwrap();
        assert_eq!(recv_to_end(&near).await, b"last");
        let near = near.detach().await.unwrap().attach().unwrap();
        assert!(near.recv().await.unwrap().is_empty());
    });
}

#[test]
fn a_flood_survives_many_hops_between_threads() {
    const LEN: usize = 24 << 20;
    run(async {
        let (near, far) = std_pair().await;
        let mut writer = far;
        let flood = thread::spawn(move || writer.write_all(&pattern(LEN)).unwrap());
        let mut detached = near.detach().await.unwrap();
        let mut total = 0;
        let mut hop = 0;
        while total < LEN {
            hop += 1;
            // A new thread and a new runtime each time, and every way of receiving in turn.
            let (count, next) = thread::spawn(move || {
                run(async {
                    let stream = detached.attach().unwrap();
                    let mut count = 0;
                    for step in 0..7 {
                        let start = total + count;
                        match (hop + step) % 4 {
                            0 => {
                                let (len, buf) =
                                    stream.read(Vec::with_capacity(1 << 16)).await.unwrap();
                                assert!(is_pattern(&buf[..len], start));
                                count += len;
                            }
                            1 => {
                                let dropped = stream.read(Vec::with_capacity(1 << 16));
                                let _ = time::timeout(Duration::ZERO, async {
                                    annulus::task::yield_now().await;
                                    std::future::pending::<()>().await;
                                })
                                .await;
                                drop(dropped);
                            }
                            _ => {
                                let bytes = stream.recv().await.unwrap();
                                assert!(is_pattern(&bytes, start));
                                count += bytes.len();
                            }
                        }
                    }
                    // The last receive is dropped while the kernel is at it.
                    let mut read = Box::pin(stream.read(Vec::with_capacity(1 << 16)));
                    if let std::task::Poll::Ready(read) = poll_once(&mut read).await {
                        let (len, buf) = read.unwrap();
                        assert!(is_pattern(&buf[..len], total + count));
                        count += len;
                    }
                    drop(read);
                    (count, stream.detach().await.unwrap())
                })
            })
            .join()
            .unwrap();
            total += count;
            detached = next;
            if hop > 200 {
                break;
            }
        }
        let near = detached.attach().unwrap();
        while total < LEN {
            let bytes = near.recv().await.unwrap();
            assert!(!bytes.is_empty(), "the stream ended after {total}");
            assert!(is_pattern(&bytes, total), "wrong bytes after {total}");
            total += bytes.len();
        }
        assert_eq!(total, LEN);
        flood.join().unwrap();
    });
}

#[test]
fn an_error_behind_parked_bytes_goes_along() {
    run(async {
        for sent in ["", "parked"] {
            let (near, far) = pair().await;
            assert!(time::timeout(Duration::ZERO, near.recv()).await.is_err());
            if !sent.is_empty() {
                far.write_all(sent).await.unwrap();
                settle().await;
            }
            far.set_linger(Some(Duration::ZERO)).unwrap();
            drop(far);
            near.closed().await.unwrap();
            settle().await;
            // Without bytes the error may be told at once, or stay in the socket.
            let error = match near.detach().await {
                Ok(detached) => {
                    let near = detached.attach().unwrap();
                    assert_eq!(recv_exact(&near, sent.len()).await, sent.as_bytes());
                    let error = near.recv().await.unwrap_err();
                    assert!(near.recv().await.unwrap().is_empty());
                    error
                }
                Err(error) => {
                    assert!(sent.is_empty(), "bytes were lost");
                    error
                }
            };
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_unix_stream_takes_its_parked_bytes_along() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        assert!(time::timeout(Duration::ZERO, near.recv()).await.is_err());
        far.write_all("parked, ").await.unwrap();
        settle().await;
        let (count, _) = near.read(vec![0; 1].into_boxed_slice()).await.unwrap();
        assert_eq!(count, 1);
        far.write_all("unread, ").await.unwrap();
        let detached: Detached<UnixStream> = is_send(near.detach().await.unwrap());
        assert!(b"arked, unread, ".starts_with(detached.received()));
        far.write_all("later").await.unwrap();
        far.shutdown(Shutdown::Write).await.unwrap();
        let other = thread::spawn(move || {
            run(async {
                let stream = detached.attach().unwrap();
                let bytes = to_end(async || stream.recv().await).await;
                stream.write_all("answer").await.unwrap();
                bytes
            })
        });
        assert_eq!(to_end(async || far.recv().await).await, b"answer");
        assert_eq!(other.join().unwrap(), b"arked, unread, later");
    });
}

#[test]
fn a_unix_stream_goes_to_std_with_its_parked_bytes() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        far.write_all("parked").await.unwrap();
        near.peek(Vec::with_capacity(10)).await.unwrap();
        let (mut stream, parked) = near.detach().await.unwrap().into_std().unwrap();
        assert_eq!(parked, b"parked");
        let writing = thread::spawn(move || stream.write_all(b"std").unwrap());
        assert_eq!(to_end(async || far.recv().await).await, b"std");
        writing.join().unwrap();
    });
}

#[test]
fn the_error_of_a_dropped_write_is_the_error_of_detaching() {
    run(async {
        let (near, far) = pair().await;
        {
            let mut dropped = Box::pin(near.write_all(pattern(20 << 20)));
            assert!(poll_once(&mut dropped).await.is_pending());
        }
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        assert!(near.detach().await.is_err());
    });
}

#[test]
fn a_connection_that_is_attached_outside_of_a_runtime_is_closed() {
    run(async {
        let (near, far) = pair().await;
        let detached = near.detach().await.unwrap();
        let attached = thread::spawn(move || detached.attach().map(drop));
        assert!(attached.join().unwrap().is_err());
        assert!(far.recv().await.unwrap().is_empty());
    });
}
