//! Sockets and futures that meet another runtime than their own, or none.

use std::{
    cell::RefCell,
    future::Future,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream as StdStream},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use annulus::{
    Runtime,
    fs::File,
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::{
    census::{
        alone, descriptors, descriptors_settle_at, receive, runtime, sees_the_end, soon, std_pair,
    },
    moment::{impatient, poll_once, turns},
};
use crate::support::pair;

type Operation<T = ()> = Pin<Box<dyn Future<Output = T>>>;

fn poll<T>(operation: &mut Operation<T>) -> Poll<T> {
    let mut context = Context::from_waker(Waker::noop());
    operation.as_mut().poll(&mut context)
}

/// Expects the error that tells about runtimes, in words.
#[track_caller]
fn is_explained<T>(result: Result<T, impl Into<io::Error>>) {
    let Err(error) = result else {
        panic!("expected an error");
    };
    let text = error.into().to_string();
    assert!(text.contains("runtime") && text.contains(' '), "{text}");
}

#[test]
fn a_stream_under_another_runtime_answers_with_an_error_that_says_so() {
    alone(|| {
        let before = descriptors();
        {
            let first = runtime(2);
            let second = runtime(2);
            let (ours, mut std) = first.block_on(async { std_pair() });
            let listener = first.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let file = first.block_on(File::open("/proc/self/exe")).unwrap();
            std.write_all(b"bytes").unwrap();
            second.block_on(async {
                let buf = || Vec::<u8>::with_capacity(10);
                is_explained(ours.recv().await);
                is_explained(ours.try_recv());
                is_explained(ours.read(buf()).await);
                is_explained(ours.read_append(buf()).await);
                is_explained(ours.peek(buf()).await);
                is_explained(ours.closed().await);
                is_explained(ours.write("text").await);
                is_explained(ours.write_all("text").await);
                is_explained(ours.write_vectored(vec!["text"]).await);
                is_explained(ours.write_all_vectored(vec!["text"]).await);
                is_explained(ours.flush().await);
                is_explained(ours.shutdown(Shutdown::Both).await);
                is_explained(listener.accept().await);
                is_explained(file.read_at(buf(), 0).await);
                is_explained(file.write_at("text", 0).await);
                is_explained(file.append("text").await);
                is_explained(file.sync_all().await);
            });
            // Nothing of that has changed anything.
            first.block_on(async {
                assert_eq!(&*ours.recv().await.unwrap(), b"bytes");
                ours.write_all("answer").await.unwrap();
            });
            let mut answer = [0; 6];
            std.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"answer");
            second.block_on(async { is_explained(ours.detach().await) });
            second.block_on(async { is_explained(file.close().await) });
        }
        descriptors_settle_at(before);
    });
}

#[test]
fn a_stream_outside_any_runtime_answers_with_an_error_that_says_so() {
    alone(|| {
        let runtime = runtime(2);
        let (ours, _std) = runtime.block_on(async { std_pair() });
        is_explained(ours.try_recv());
        let mut recv: Operation<_> = Box::pin(async move { ours.recv().await.map(drop) });
        let Poll::Ready(result) = poll(&mut recv) else {
            panic!("it waits for nothing");
        };
        is_explained(result);
        let mut connect: Operation<_> = Box::pin(TcpStream::connect("127.0.0.1:1"));
        let Poll::Ready(result) = poll(&mut connect) else {
            panic!("it waits for nothing");
        };
        is_explained(result);
    });
}

#[test]
fn a_stream_of_a_runtime_that_is_gone_answers_with_an_error_that_says_so() {
    alone(|| {
        let (ours, _std) = runtime(2).block_on(async { std_pair() });
        is_explained(ours.try_recv());
        runtime(2).block_on(async {
            is_explained(ours.recv().await);
            is_explained(ours.write_all("text").await);
        });
    });
}

#[test]
fn what_is_dropped_after_its_runtime_is_closed() {
    alone(|| {
        let before = descriptors();
        let kept = runtime(2).block_on(async {
            let (ours, std) = std_pair();
            // Each in a state of its own: never used, receiving, with bytes that no task took.
            let (receiving, receiving_peer) = std_pair();
            assert!(impatient(receiving.recv(), 1).await.is_none());
            let (parked, mut parked_peer) = std_pair();
            assert!(impatient(parked.recv(), 1).await.is_none());
            turns(2).await;
            parked_peer.write_all(&[1; 10_000]).unwrap();
            turns(5).await;
            let (halves, halves_peer) = std_pair();
            let halves = halves.into_split();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            assert!(impatient(listener.accept(), 1).await.is_none());
            turns(2).await;
            let client = StdStream::connect(addr).unwrap();
            turns(2).await;
            let file = File::open("/proc/self/exe").await.unwrap();
            let buffer = {
                let (ours, mut std) = std_pair();
                std.write_all(b"kept").unwrap();
                ours.recv().await.unwrap()
            };
            let peers = [std, receiving_peer, parked_peer, halves_peer, client];
            (
                ours, receiving, parked, halves, listener, file, buffer, peers,
            )
        });
        let (ours, receiving, parked, halves, listener, file, buffer, peers) = kept;
        assert!(descriptors() > before);
        assert_eq!(&*buffer, b"kept");
        drop((ours, receiving, parked, halves, listener, file, buffer));
        for mut peer in peers {
            sees_the_end(&mut peer);
        }
        descriptors_settle_at(before);
    });
}

/// Futures of every kind that are under way, and the peers that they need.
async fn operations() -> (Vec<Operation>, Vec<StdStream>) {
    let mut operations: Vec<Operation> = Vec::new();
    let mut peers = Vec::new();
    let mut stream = || {
        let (ours, std) = std_pair();
        peers.push(std);
        ours
    };
    let ours = stream();
    operations.push(Box::pin(async move { drop(ours.recv().await) }));
    let ours = stream();
    operations.push(Box::pin(async move {
        drop(ours.read(Vec::with_capacity(10)).await);
    }));
    let ours = stream();
    operations.push(Box::pin(async move { drop(ours.closed().await) }));
    let ours = stream();
    operations.push(Box::pin(async move {
        drop(ours.write_all(vec![1; 8 << 20]).await);
    }));
    let ours = stream();
    operations.push(Box::pin(async move {
        drop(ours.write_all_vectored(vec![vec![1; 8 << 20]]).await);
    }));
    let ours = stream();
    operations.push(Box::pin(async move { drop(ours.detach().await) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    operations.push(Box::pin(async move { drop(listener.accept().await) }));
    // No disk is behind it: a busy one may take longer than the end of a runtime waits.
    let file = File::open("/proc/self/stat").await.unwrap();
    operations.push(Box::pin(async move { drop(file.sync_all().await) }));
    operations.push(Box::pin(annulus::task::yield_now()));
    operations.push(Box::pin(sleep(Duration::from_secs(1000))));
    (operations, peers)
}

/// Begins operations in a runtime, keeps them past its end, and hands them to `after`.
fn kept_past_the_end(after: impl Fn(&mut Vec<Operation>)) {
    alone(|| {
        let before = descriptors();
        for begun in 0..3 {
            let (mut kept, peers) = runtime(2).block_on(async {
                let (mut operations, peers) = operations().await;
                if begun > 0 {
                    operations.retain_mut(|operation| poll(operation).is_pending());
                    turns(begun).await;
                }
                (operations, peers)
            });
            after(&mut kept);
            drop(kept);
            drop(peers);
            descriptors_settle_at(before);
        }
    });
}

#[test]
fn a_future_may_be_dropped_after_its_runtime() {
    kept_past_the_end(|operations| operations.clear());
}

#[test]
fn a_future_may_be_polled_and_dropped_after_its_runtime() {
    kept_past_the_end(|operations| {
        // A sleep that has not begun needs a runtime, and says so by a panic.
        drop(operations.pop());
        for operation in operations.iter_mut() {
            for _ in 0..2 {
                if poll(operation).is_ready() {
                    break;
                }
            }
        }
    });
}

#[test]
fn a_future_may_be_polled_and_dropped_in_another_runtime() {
    kept_past_the_end(|operations| {
        runtime(2).block_on(async {
            for mut operation in operations.drain(..) {
                for _ in 0..2 {
                    if poll_once(operation.as_mut()).await.is_ready() {
                        break;
                    }
                    turns(1).await;
                }
            }
        });
    });
}

/// Begins a write and a bulk read in one call of `block_on` and lets `drop_them` drop the futures.
fn futures_dropped_elsewhere(drop_them: impl Fn(&Runtime, Vec<Operation>)) {
    const LARGE: usize = 8 << 20;
    alone(|| {
        let runtime = runtime(64);
        let (ours, theirs, futures) = runtime.block_on(async {
            let (ours, theirs) = pair().await;
            let (ours, theirs) = (Rc::new(ours), Rc::new(theirs));
            // The reader gets used to full buffers.
            let flood = annulus::spawn({
                let theirs = Rc::clone(&theirs);
                async move { theirs.write_all(vec![7; 1 << 20]).await.unwrap() }
            });
            let mut count = 0;
            while count < 1 << 20 {
                count += ours.read(Vec::with_capacity(4096)).await.unwrap().0;
            }
            flood.await.unwrap();
            let stream = Rc::clone(&ours);
            let mut write: Operation = Box::pin(async move {
                drop(stream.write_all(vec![1; LARGE]).await);
            });
            let stream = Rc::clone(&ours);
            let mut read: Operation = Box::pin(async move {
                drop(stream.read(Vec::with_capacity(4096)).await);
            });
            assert!(poll(&mut write).is_pending());
            assert!(poll(&mut read).is_pending());
            turns(3).await;
            (ours, theirs, vec![write, read])
        });
        drop_them(&runtime, futures);
        runtime.block_on(async {
            let next = annulus::spawn({
                let ours = Rc::clone(&ours);
                async move { ours.write_all("next").await.unwrap() }
            });
            let bytes = receive(&theirs, LARGE + 4).await;
            assert!(bytes[..LARGE] == vec![1; LARGE]);
            assert_eq!(&bytes[LARGE..], b"next");
            soon("the next write", next).await.unwrap();
            theirs.write_all("bytes").await.unwrap();
            assert_eq!(receive(&ours, 5).await, b"bytes");
        });
    });
}

#[test]
fn futures_dropped_between_two_calls_of_block_on_lose_nothing() {
    futures_dropped_elsewhere(|_, futures| drop(futures));
}

#[test]
fn futures_dropped_inside_another_runtime_lose_nothing() {
    futures_dropped_elsewhere(|_, futures| {
        runtime(2).block_on(async {
            drop(futures);
            turns(3).await;
        });
    });
}

#[test]
fn the_end_of_a_runtime_does_not_wait_for_a_linger_that_is_over() {
    alone(|| {
        let runtime = Runtime::new().unwrap();
        let theirs = runtime.block_on(async {
            let (ours, theirs) = pair().await;
            assert!(
                impatient(ours.write_all(vec![1; 8 << 20]), 1)
                    .await
                    .is_none()
            );
            drop(ours);
            receive(&theirs, 8 << 20).await;
            assert!(theirs.recv().await.unwrap().is_empty());
            theirs
        });
        let begin = Instant::now();
        drop(runtime);
        // The linger's limit is five seconds.
        assert!(begin.elapsed() < Duration::from_secs(3));
        drop(theirs);
    });
}

/// A peer that does not read, and a write that was dropped: the stream closes all the same.
#[test]
fn a_stream_or_half_whose_peer_does_not_read_closes_after_a_while() {
    alone(|| {
        runtime(2).block_on(async {
            let before = descriptors();
            let peers = RefCell::new(Vec::new());
            {
                let stream = async || {
                    let (ours, std) = std_pair();
                    let write = ours.write_all(vec![1; 12 << 20]);
                    assert!(impatient(write, 1).await.is_none());
                    peers.borrow_mut().push(std);
                    ours
                };
                drop(stream().await);
                let (read_half, write_half) = stream().await.into_split();
                drop(write_half);
                drop(read_half);
                let (read_half, write_half) = stream().await.into_split();
                drop(read_half);
                drop(write_half);
            }
            let closed = async {
                while descriptors() > before + 3 {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            soon("a stream whose peer does not read", closed).await;
        });
    });
}

#[test]
fn a_runtime_may_be_dropped_inside_another() {
    alone(|| {
        let before = descriptors();
        {
            let outer = runtime(2);
            let inner = runtime(2);
            let kept = inner.block_on(async {
                let (ours, std) = std_pair();
                let task = annulus::spawn(async move { drop(ours.recv().await) });
                turns(2).await;
                (std, task)
            });
            outer.block_on(async {
                let (ours, mut std) = std_pair();
                drop(inner);
                drop(kept);
                std.write_all(b"bytes").unwrap();
                assert_eq!(&*ours.recv().await.unwrap(), b"bytes");
            });
        }
        descriptors_settle_at(before);
    });
}
