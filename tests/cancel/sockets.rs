//! Every operation of a socket, dropped at every moment of its life.

use std::{
    cell::Cell,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream as StdStream},
    pin::pin,
    time::Duration,
};

use annulus::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use futures_util::StreamExt as _;

use super::{
    census::{Census, alone, has_all_buffers, receive, runtime, sees_the_end, soon, std_pair},
    live_memory::{Growth, rounds},
    moment::{Moment, drop_at, impatient, poll_once, turns},
};
use crate::support::{pair, random::Random};

/// More than the kernel's buffers of both ends hold.
const LARGE: usize = 8 << 20;

const BUFFERS: u16 = 4;

/// Does `scenario` at every moment, and expects that nothing is left of it, not once and not after
/// many times.
pub(super) fn at_every_moment(scenario: impl AsyncFn(Moment)) {
    at_every_moment_with(BUFFERS, scenario);
}

fn at_every_moment_with(buffers: u16, scenario: impl AsyncFn(Moment)) {
    alone(|| {
        let runtime = runtime(buffers);
        runtime.block_on(async {
            let mut growth = Growth::default();
            for round in 0..rounds() {
                for moment in Moment::ALL {
                    let census = Census::take();
                    scenario(moment).await;
                    census.settled(&format!("{moment:?}")).await;
                }
                growth.note(round);
            }
            growth.check();
            has_all_buffers(usize::from(buffers)).await;
        });
    });
}

/// Drops a receive of some kind, to which the peer sends bytes, and expects them all.
fn received_bytes_are_kept<T>(
    receive_once: impl AsyncFn(&TcpStream) -> std::io::Result<T>,
    taken: impl Fn(T) -> Vec<u8>,
) {
    at_every_moment(async |moment| {
        let (ours, mut std) = std_pair();
        let mut all = Vec::new();
        for message in ["first ", "second ", "third"] {
            let event = async || std.write_all(message.as_bytes()).unwrap();
            if let Some(result) = drop_at(moment, receive_once(&ours), event).await {
                all.extend(taken(result.unwrap()));
            }
        }
        let rest = "first second third".len() - all.len();
        all.extend(receive(&ours, rest).await);
        assert_eq!(all, b"first second third", "{moment:?}");
    });
}

#[test]
fn a_dropped_recv_loses_no_byte() {
    received_bytes_are_kept(async |stream| stream.recv().await, |bytes| bytes.to_vec());
}

#[test]
fn a_dropped_read_loses_no_byte() {
    received_bytes_are_kept(
        async |stream| Ok(stream.read(Vec::with_capacity(3)).await?.1),
        |bytes| bytes,
    );
}

#[test]
fn a_dropped_read_append_loses_no_byte() {
    received_bytes_are_kept(
        async |stream| {
            let mut buf = b"before".to_vec();
            buf.reserve(100);
            Ok(stream.read_append(buf).await?.1)
        },
        |bytes| {
            assert!(bytes.starts_with(b"before"));
            bytes[6..].to_vec()
        },
    );
}

#[test]
fn a_peek_loses_no_byte_dropped_or_not() {
    received_bytes_are_kept(
        async |stream| Ok(stream.peek(Vec::with_capacity(4)).await?.1),
        |_| Vec::new(),
    );
}

#[test]
fn a_dropped_bulk_read_loses_no_byte() {
    dropped_bulk_reads(BUFFERS);
}

#[test]
fn a_dropped_bulk_read_loses_no_byte_with_many_buffers() {
    dropped_bulk_reads(64);
}

fn dropped_bulk_reads(buffers: u16) {
    at_every_moment_with(buffers, async |moment| {
        let (ours, mut std) = std_pair();
        let sent = Random::new(2).bytes(200_000);
        let writer = std::thread::spawn({
            let sent = sent.clone();
            move || {
                std.write_all(&sent).unwrap();
                std
            }
        });
        let mut received = Vec::new();
        // So many full reads put the stream into bulk mode.
        while received.len() < sent.len() {
            let read = ours.read(Vec::with_capacity(8192));
            let (_, bytes) = soon("a bulk read", read).await.unwrap();
            received.extend(bytes);
        }
        assert_eq!(received, sent);
        let mut std = writer.join().unwrap();
        for message in ["first ", "second"] {
            let event = async || std.write_all(message.as_bytes()).unwrap();
            let read = ours.read(Vec::with_capacity(8192));
            if let Some(result) = drop_at(moment, read, event).await {
                received.extend(result.unwrap().1);
            }
        }
        let rest = sent.len() + "first second".len() - received.len();
        received.extend(receive(&ours, rest).await);
        assert_eq!(&received[sent.len()..], b"first second", "{moment:?}");
    });
}

#[test]
fn a_dropped_wait_for_the_peers_end_loses_nothing() {
    at_every_moment(async |moment| {
        let (ours, mut std) = std_pair();
        std.write_all(b"bytes").unwrap();
        let event = async || std.shutdown(Shutdown::Write).unwrap();
        drop_at(moment, ours.closed(), event).await;
        soon("the end is lost", ours.closed()).await.unwrap();
        assert_eq!(receive(&ours, 5).await, b"bytes");
        assert!(ours.recv().await.unwrap().is_empty());
        assert!(ours.recv().await.unwrap().is_empty());
    });
}

#[test]
fn closed_does_not_resolve_while_the_peer_is_there() {
    at_every_moment(async |_| {
        let (ours, mut std) = std_pair();
        assert!(impatient(ours.recv(), 1).await.is_none());
        turns(2).await;
        // Enough for the receive to stop, since no task takes the bytes.
        for _ in 0..8 {
            std.write_all(&[7; 4096]).unwrap();
            sleep(Duration::from_micros(300)).await;
        }
        let closed = timeout(Duration::from_millis(2), ours.closed()).await;
        assert!(closed.is_err(), "the peer has not closed: {closed:?}");
        receive(&ours, 8 * 4096).await;
    });
}

/// Drops a large write. It is sent whole, or not at all when its turn had not come, and before the
/// next one.
fn a_write_is_whole_or_nothing<T>(write: impl AsyncFn(&TcpStream, Vec<u8>) -> std::io::Result<T>) {
    at_every_moment(async |moment| {
        let (ours, theirs) = pair().await;
        let large = Random::new(3).bytes(8191).repeat(LARGE / 8191 + 1);
        let large = &large[..LARGE];
        let count = if moment == Moment::Unpolled { 0 } else { LARGE };
        let reader = Cell::new(None);
        let event = async || {
            reader.set(Some(annulus::spawn(async move {
                let received = receive(&theirs, count).await;
                (received, theirs)
            })));
        };
        let output = drop_at(moment, write(&ours, large.to_vec()), event).await;
        assert!(output.is_none(), "the kernel has not that much room");
        let (received, theirs) = reader.take().unwrap().await.unwrap();
        assert!(received == large[..count], "{moment:?}: other bytes arrive");
        soon("the next write", ours.write_all("next"))
            .await
            .unwrap();
        assert_eq!(receive(&theirs, 4).await, b"next");
    });
}

#[test]
fn a_dropped_write_is_whole_or_nothing() {
    // It waits behind another, as a `write` that is in flight itself may resolve by a short count.
    at_every_moment(async |moment| {
        let (ours, theirs) = pair().await;
        let first = vec![1; LARGE];
        assert!(impatient(ours.write_all(first), 1).await.is_none());
        let event = async || {
            receive(&theirs, LARGE).await;
        };
        let output = drop_at(moment, ours.write(vec![2; 3]), event).await;
        assert!(output.is_none(), "it waits its turn");
        ours.write_all("next").await.unwrap();
        assert_eq!(receive(&theirs, 4).await, b"next", "it has sent nothing");
    });
}

#[test]
fn a_dropped_write_all_is_whole_or_nothing() {
    a_write_is_whole_or_nothing(async |stream, bytes| Ok(stream.write_all(bytes).await?));
}

#[test]
fn a_dropped_vectored_write_is_whole_or_nothing() {
    a_write_is_whole_or_nothing(async |stream, bytes| {
        let (left, right) = bytes.split_at(bytes.len() / 3);
        let bufs = vec![left.to_vec(), Vec::new(), right.to_vec()];
        Ok(stream.write_all_vectored(bufs).await?)
    });
}

#[test]
fn a_dropped_flush_and_a_dropped_shutdown_change_nothing() {
    at_every_moment(async |moment| {
        for shutdown in [false, true] {
            let (ours, theirs) = pair().await;
            let write = ours.write_all(vec![1; LARGE]);
            assert!(impatient(write, 1).await.is_none());
            let event = async || {
                receive(&theirs, LARGE).await;
            };
            let output = if shutdown {
                drop_at(moment, ours.shutdown(Shutdown::Write), event).await
            } else {
                drop_at(moment, ours.flush(), event).await
            };
            assert!(output.is_none(), "it waits behind the write");
            ours.write_all("next").await.unwrap();
            assert_eq!(receive(&theirs, 4).await, b"next");
            ours.shutdown(Shutdown::Write).await.unwrap();
            assert!(theirs.recv().await.unwrap().is_empty());
        }
    });
}

#[test]
fn a_stream_dropped_behind_a_dropped_write_still_sends_it() {
    at_every_moment(async |_| {
        let (ours, theirs) = pair().await;
        let write = ours.write_all(vec![1; LARGE]);
        assert!(impatient(write, 1).await.is_none());
        drop(ours);
        receive(&theirs, LARGE).await;
        assert!(theirs.recv().await.unwrap().is_empty());
    });
}

#[test]
fn a_half_dropped_behind_a_dropped_write_still_sends_it() {
    at_every_moment(async |_| {
        let (ours, theirs) = pair().await;
        let (read_half, write_half) = ours.into_split();
        let write = write_half.write_all(vec![1; LARGE]);
        assert!(impatient(write, 1).await.is_none());
        drop(write_half);
        receive(&theirs, LARGE).await;
        assert!(theirs.recv().await.unwrap().is_empty());
        theirs.write_all("answer").await.unwrap();
        assert_eq!(&*read_half.recv().await.unwrap(), b"answer");
    });
}

#[test]
fn a_dropped_accept_loses_no_connection() {
    at_every_moment(async |moment| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = Cell::new(Vec::new());
        let mut accepted = Vec::new();
        for _ in 0..3 {
            let event = async || {
                let mut list = clients.take();
                list.push(StdStream::connect(addr).unwrap());
                clients.set(list);
            };
            if let Some(result) = drop_at(moment, listener.accept(), event).await {
                accepted.push(result.unwrap().0);
            }
        }
        while accepted.len() < 3 {
            let (stream, _) = soon("a connection is lost", listener.accept())
                .await
                .unwrap();
            accepted.push(stream);
        }
        let peers: Vec<_> = accepted.iter().map(|s| s.peer_addr().unwrap()).collect();
        let clients = clients.take();
        let expected: Vec<_> = clients.iter().map(|s| s.local_addr().unwrap()).collect();
        assert_eq!(peers, expected, "{moment:?}");
    });
}

#[test]
fn a_dropped_incoming_loses_no_connection() {
    at_every_moment(async |moment| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = Cell::new(None);
        let event = async || client.set(Some(StdStream::connect(addr).unwrap()));
        let mut incoming = listener.incoming();
        drop_at(moment, incoming.next(), event).await;
        drop(incoming);
        let mut incoming = listener.incoming();
        let stream = soon("a connection is lost", incoming.next()).await;
        let peer = stream.unwrap().unwrap().peer_addr().unwrap();
        assert_eq!(peer, client.take().unwrap().local_addr().unwrap());
    });
}

#[test]
fn a_listener_dropped_with_connections_inside_closes_them() {
    at_every_moment(async |moment| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = Cell::new(Vec::new());
        let event = async || {
            clients.set(
                (0..20)
                    .map(|_| StdStream::connect(addr).unwrap())
                    .collect::<Vec<_>>(),
            );
        };
        drop_at(moment, listener.accept(), event).await;
        turns(3).await;
        drop(listener);
        // The driver closes them in its next turns, while a helper thread looks.
        let mut clients = clients.take();
        annulus::blocking::run(move || clients.iter_mut().for_each(sees_the_end)).await;
    });
}

#[test]
fn a_dropped_connect_closes_its_socket() {
    at_every_moment(async |moment| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let output = drop_at(moment, TcpStream::connect(addr), async || {}).await;
        if let Some(stream) = output {
            drop(stream.unwrap());
        }
    });
}

#[test]
fn a_connect_dropped_before_its_answer_closes_its_socket() {
    alone(|| {
        runtime(BUFFERS).block_on(async {
            let listener = TcpListener::options();
            let listener = listener.backlog(1).bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let _queue = [
                StdStream::connect(addr).unwrap(),
                StdStream::connect(addr).unwrap(),
            ];
            let census = Census::take();
            let connects: Vec<_> = (0..100)
                .map(|_| annulus::spawn(TcpStream::connect(addr)))
                .collect();
            turns(5).await;
            assert!(Census::take() != census);
            connects.iter().for_each(|connect| connect.abort());
            census.settled("a hundred connects").await;
        });
    });
}

#[test]
fn a_dropped_detach_closes_the_connection() {
    at_every_moment(async |moment| {
        let (ours, theirs) = pair().await;
        assert!(impatient(ours.recv(), 1).await.is_none());
        turns(2).await;
        let write = ours.write_all(vec![1; LARGE]);
        assert!(impatient(write, 1).await.is_none());
        let event = async || {
            // Dropped before it began to wait, the write goes on all the same.
            receive(&theirs, LARGE).await;
        };
        drop_at(moment, ours.detach(), event).await;
        assert!(theirs.recv().await.unwrap().is_empty());
    });
}

#[test]
fn detach_takes_parked_bytes_along() {
    at_every_moment(async |moment| {
        let (ours, mut std) = std_pair();
        drop_at(moment, ours.recv(), async || {
            std.write_all(b"parked ").unwrap();
        })
        .await;
        drop_at(
            Moment::InFlight,
            ours.peek(Vec::with_capacity(1)),
            async || {},
        )
        .await;
        let (mut theirs, mut received) = ours.detach().await.unwrap().into_std().unwrap();
        std.write_all(b"sent").unwrap();
        std.shutdown(Shutdown::Write).unwrap();
        theirs.read_to_end(&mut received).unwrap();
        let recv_took_them = received == b"sent" && moment != Moment::Completed;
        assert!(recv_took_them || received == b"parked sent", "{moment:?}");
    });
}

#[test]
fn try_recv_finds_what_came_after_a_dropped_recv() {
    at_every_moment(async |moment| {
        let (ours, mut std) = std_pair();
        let event = async || std.write_all(b"bytes").unwrap();
        let mut received = match drop_at(moment, ours.recv(), event).await {
            Some(bytes) => bytes.unwrap().to_vec(),
            None => Vec::new(),
        };
        let all = async {
            while received.len() < 5 {
                match ours.try_recv() {
                    Ok(bytes) => received.extend_from_slice(&bytes),
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
                sleep(Duration::from_micros(100)).await;
            }
        };
        soon("try_recv finds nothing", all).await;
        assert_eq!(received, b"bytes", "{moment:?}");
    });
}

#[test]
fn dropped_sleeps_and_timeouts_leave_nothing() {
    at_every_moment(async |moment| {
        let short = Duration::from_micros(100);
        drop_at(moment, sleep(short), async || {}).await;
        drop_at(
            moment,
            timeout(short, std::future::pending::<()>()),
            async || {},
        )
        .await;
        let (ours, _std) = std_pair();
        drop_at(moment, timeout(short, ours.recv()), async || {}).await;
        let mut long = pin!(sleep(Duration::from_secs(1000)));
        assert!(poll_once(long.as_mut()).await.is_pending());
    });
}
