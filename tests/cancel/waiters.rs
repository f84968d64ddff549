//! Several waiters for one thing, of whom some are dropped.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    future::{Future, poll_fn},
    io::{Read as _, Write as _},
    net::TcpStream as StdStream,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use annulus::{net::TcpListener, spawn, time::timeout};

use super::{
    census::{Census, alone, runtime, soon, std_pair},
    moment::{poll_once, turns},
};
use crate::support::{pair, random::Random, repetitions};

/// Polls two futures; when the first one's event has happened and woke it, it is dropped without a
/// poll. Returns the output of the second.
async fn drop_the_first<F: Future>(
    first: F,
    second: F,
    event: impl AsyncFnOnce(),
    wait_turns: usize,
) -> F::Output {
    let mut second = pin!(second);
    {
        let mut first = pin!(first);
        assert!(poll_once(first.as_mut()).await.is_pending());
        assert!(poll_once(second.as_mut()).await.is_pending());
        turns(2).await;
        event().await;
        // The event wakes the first one, which is not polled.
        turns(wait_turns).await;
    }
    soon("the second waiter has nothing", second).await
}

#[test]
fn a_woken_receiver_that_is_dropped_leaves_the_bytes_to_the_next() {
    alone(|| {
        runtime(4).block_on(async {
            for wait_turns in [0, 1, 2, 5] {
                let census = Census::take();
                let (ours, mut std) = std_pair();
                let event = async || std.write_all(b"bytes").unwrap();
                let bytes = drop_the_first(ours.recv(), ours.recv(), event, wait_turns).await;
                assert_eq!(&*bytes.unwrap(), b"bytes");
                let event = async || std.write_all(b"more").unwrap();
                let read = || ours.read(Vec::with_capacity(100));
                let (count, bytes) = drop_the_first(read(), read(), event, wait_turns)
                    .await
                    .unwrap();
                assert_eq!((count, bytes), (4, b"more".to_vec()));
                drop((ours, std));
                census.settled("two receivers").await;
            }
        });
    });
}

#[test]
fn a_woken_receiving_task_that_is_aborted_leaves_the_bytes_to_the_next() {
    alone(|| {
        runtime(4).block_on(async {
            let (ours, mut std) = std_pair();
            let ours = Rc::new(ours);
            let waiters: Vec<_> = (0..10)
                .map(|_| {
                    let ours = Rc::clone(&ours);
                    spawn(async move { ours.recv().await.unwrap().to_vec() })
                })
                .collect();
            turns(2).await;
            std.write_all(b"bytes").unwrap();
            // Each abort gives the turn to the next, which is aborted in its turn.
            waiters[..9].iter().for_each(|waiter| waiter.abort());
            for (index, waiter) in waiters.into_iter().enumerate() {
                let output = soon("a waiter", waiter).await;
                assert_eq!(output.ok(), (index == 9).then(|| b"bytes".to_vec()));
            }
        });
    });
}

#[test]
fn a_woken_acceptor_that_is_dropped_leaves_the_connection_to_the_next() {
    alone(|| {
        runtime(4).block_on(async {
            for wait_turns in [0, 1, 2, 5] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addr = listener.local_addr().unwrap();
                let client = Cell::new(None);
                let event = async || client.set(Some(StdStream::connect(addr).unwrap()));
                let accept = || listener.accept();
                let (_, peer) = drop_the_first(accept(), accept(), event, wait_turns)
                    .await
                    .unwrap();
                assert_eq!(peer, client.take().unwrap().local_addr().unwrap());
            }
        });
    });
}

#[test]
fn a_writer_that_waits_and_is_dropped_lets_the_next_one_go() {
    alone(|| {
        runtime(4).block_on(async {
            let (ours, theirs) = pair().await;
            let (ours, theirs) = (&ours, &theirs);
            let mut first = pin!(ours.write_all(vec![1; 8 << 20]));
            assert!(poll_once(first.as_mut()).await.is_pending());
            let mut third = pin!(ours.write_all("third"));
            {
                let mut second = pin!(ours.write_all("second"));
                assert!(poll_once(second.as_mut()).await.is_pending());
                assert!(poll_once(third.as_mut()).await.is_pending());
            }
            let reader = async {
                let bytes = super::census::receive(theirs, (8 << 20) + 5).await;
                assert_eq!(&bytes[8 << 20..], b"third");
            };
            let both = annulus::future::join(reader, async {
                first.await.unwrap();
                third.await.unwrap();
            });
            soon("the third write", both).await;
        });
    });
}

/// Accepts under a short time limit again and again, while clients come in batches.
#[test]
fn accept_under_a_timeout_loses_no_connection() {
    const BATCH: usize = 100;
    let connections = repetitions(10_000);
    alone(move || {
        runtime(16).block_on(async {
            let census = Census::take();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let clients = spawn(annulus::blocking::run(move || {
                for batch in 0..connections / BATCH {
                    let mut streams: Vec<_> = (0..BATCH)
                        .map(|index| {
                            let mut stream = StdStream::connect(addr).unwrap();
                            let number = (batch * BATCH + index) as u32;
                            stream.write_all(&number.to_be_bytes()).unwrap();
                            stream
                        })
                        .collect();
                    // The server's answer says that it has each of them.
                    for stream in &mut streams {
                        stream.read_exact(&mut [0]).unwrap();
                    }
                }
            }));
            let numbers = RefCell::new(BTreeSet::new());
            let mut random = Random::new(4);
            let mut dropped = 0;
            let all = async {
                while numbers.borrow().len() < connections {
                    let limit = Duration::from_micros(random.len(300) as u64 - 1);
                    let Ok(accepted) = timeout(limit, listener.accept()).await else {
                        dropped += 1;
                        continue;
                    };
                    let (stream, _) = accepted.unwrap();
                    let number = super::census::receive(&stream, 4).await;
                    let number = u32::from_be_bytes(number.try_into().unwrap());
                    assert!(numbers.borrow_mut().insert(number));
                    stream.write_all("!").await.unwrap();
                }
            };
            if timeout(Duration::from_secs(100), all).await.is_err() {
                let found = numbers.borrow().len();
                panic!("{found} of {connections} connections came");
            }
            assert!(dropped > 0, "no accept was dropped");
            clients.await.unwrap();
            drop(listener);
            census.settled("thousands of connections").await;
        });
    });
}

/// Two acceptors and a third that comes and goes.
#[test]
fn accepts_that_come_and_go_lose_no_connection() {
    alone(|| {
        runtime(16).block_on(async {
            let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
            let addr = listener.local_addr().unwrap();
            let accepted = Rc::new(Cell::new(0));
            let acceptors: Vec<_> = (0..3)
                .map(|number| {
                    let (listener, accepted) = (Rc::clone(&listener), Rc::clone(&accepted));
                    let mut random = Random::new(number);
                    spawn(async move {
                        loop {
                            let limit = Duration::from_micros(random.len(200) as u64);
                            if let Ok(result) = timeout(limit, listener.accept()).await {
                                result.unwrap();
                                accepted.set(accepted.get() + 1);
                            }
                        }
                    })
                })
                .collect();
            for count in 1..=500 {
                let _client = StdStream::connect(addr).unwrap();
                let come = poll_fn(|context| {
                    if accepted.get() == count {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                });
                soon("a connection is lost", come).await;
            }
            acceptors.iter().for_each(|acceptor| acceptor.abort());
        });
    });
}
