//! Writes of several slices: one system call each where the stream is a socket.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    task::{Context, Poll},
};

use annulus::{
    ManagedBuf,
    compat::{Compat, FromTokio},
    io::{ByteRead, ByteStream, ByteWrite, Duplex, duplex},
    net::UnixStream,
    stats,
};

use crate::{
    Family, Futures, Hyper, Tokio,
    support::{counted::Counted, pair, pattern, run_each},
};

/// Writes slices by one poll, and returns how many bytes it took, and by how many system calls.
fn write_once<F: Family<Compat<S>>, S: 'static>(
    near: &mut Compat<S>,
    slices: &[&[u8]],
) -> (usize, u64) {
    let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let before = stats().driver.attempts;
    match F::poll_write_vectored(near, &mut Counted::new().context(), &slices) {
        Poll::Ready(count) => (count.unwrap(), stats().driver.attempts - before),
        Poll::Pending => panic!("{}: the peer has room", F::NAME),
    }
}

/// Each family of traits sends a head and a body by one call.
async fn sends_at_once<S: ByteStream + 'static>(near: S, mut far: impl ByteRead) {
    let slices: &[&[u8]] = &[b"", b"head: 1", b"", b"\n", b"body"];
    let mut near = Compat::new(near);
    let sent = [
        write_once::<Tokio, _>(&mut near, slices),
        write_once::<Futures, _>(&mut near, slices),
        write_once::<Hyper, _>(&mut near, slices),
    ];
    assert_eq!(sent, [(12, 1); 3]);
    let mut received = Vec::new();
    while received.len() < 36 {
        received.extend_from_slice(&far.recv().await.unwrap());
    }
    assert_eq!(received, b"head: 1\nbody".repeat(3));
}

#[test]
fn slices_to_a_socket_are_one_system_call() {
    run_each(async || {
        let (near, far) = pair().await;
        sends_at_once(near, far).await;
        let (near, far) = UnixStream::pair().unwrap();
        sends_at_once(near, far).await;
        let (near, far) = pair().await;
        let (_read, write) = near.into_split();
        let mut write = Compat::new(write);
        let (count, calls) = {
            let slices = [IoSlice::new(b"a"), IoSlice::new(b"b")];
            let before = stats().driver.attempts;
            let count = poll_fn(|context| {
                let write = std::pin::Pin::new(&mut write);
                tokio::io::AsyncWrite::poll_write_vectored(write, context, &slices)
            });
            (count.await.unwrap(), stats().driver.attempts - before)
        };
        assert_eq!((count, calls), (2, 1));
        drop(far);
    });
}

#[test]
fn a_stream_tells_whether_it_takes_several_slices() {
    fn tells<S: ByteStream + 'static>(stream: S) -> bool {
        let ours = stream.is_write_vectored();
        let stream = Compat::new(stream);
        let tokio = tokio::io::AsyncWrite::is_write_vectored(&stream);
        assert_eq!(tokio, hyper::rt::Write::is_write_vectored(&stream));
        assert_eq!(ours, tokio);
        // The way back says the same.
        assert_eq!(ours, FromTokio::new(stream).is_write_vectored());
        ours
    }
    run_each(async || {
        let (near, _far) = pair().await;
        assert!(tells(near));
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(tells(Box::new(near) as Box<dyn ByteStream>));
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(tells(std::rc::Rc::new(near)));
        let (near, _far) = duplex(10);
        assert!(tells(near));
        let (near, _far) = duplex(10);
        assert!(!tells(OneSlice(near)));
    });
}

#[test]
fn a_stream_in_memory_takes_slices_while_there_is_room() {
    run_each(async || {
        let (near, mut far) = duplex(15);
        let mut near = Compat::new(near);
        for (sent, count) in [
            (write_once::<Tokio, _>(&mut near, &[b"", b"one", b"two"]), 6),
            (
                write_once::<Futures, _>(&mut near, &[b"one", b"", b"two"]),
                6,
            ),
            (write_once::<Hyper, _>(&mut near, &[b"one", b"two"]), 3),
        ] {
            assert_eq!(sent, (count, 0));
        }
        let received = ByteRead::recv(&mut far).await.unwrap();
        assert_eq!(&*received, b"onetwoonetwoone");
    });
}

/// A stream without a method of its own for several slices.
struct OneSlice(Duplex);

impl ByteRead for OneSlice {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.0.poll_recv(context)
    }
}

impl ByteWrite for OneSlice {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, bytes)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(context)
    }
}

#[test]
fn a_stream_without_a_method_for_slices_takes_the_first_that_has_bytes() {
    run_each(async || {
        let (near, mut far) = duplex(100);
        let mut near = Compat::new(OneSlice(near));
        for sent in [
            write_once::<Tokio, _>(&mut near, &[b"", b"first", b"second"]),
            write_once::<Futures, _>(&mut near, &[b"", b"first", b"second"]),
            write_once::<Hyper, _>(&mut near, &[b"", b"first", b"second"]),
        ] {
            assert_eq!(sent, (5, 0));
        }
        assert_eq!(
            &*ByteRead::recv(&mut far).await.unwrap(),
            b"firstfirstfirst"
        );
    });
}

#[test]
fn more_slices_than_one_call_takes_are_taken_in_part() {
    run_each(async || {
        let (near, far) = pair().await;
        let mut near = Compat::new(near);
        // Empty ones in front have no place among the 1,024 of a call.
        let mut slices = vec![&b""[..]; 2_000];
        assert_eq!(write_once::<Tokio, _>(&mut near, &slices), (0, 0));
        slices.extend([&b"xy"[..]; 2_000]);
        assert_eq!(write_once::<Tokio, _>(&mut near, &slices), (2_048, 1));
        // So few bytes that they go together.
        let slices = [&b"x"[..]; 2_000];
        assert_eq!(write_once::<Tokio, _>(&mut near, &slices), (2_000, 1));
        let mut received = 0;
        while received < 4_048 {
            received += far.recv().await.unwrap().len();
        }
    });
}

#[test]
fn few_bytes_and_many_arrive_in_their_order() {
    run_each(async || {
        let (near, far) = pair().await;
        let mut near = Compat::new(near);
        let sent = pattern(5_000);
        // 2,048 are copied together, and more are not.
        for len in [1, 2_047, 2_048, 2_049, 5_000] {
            let (first, second) = sent[..len].split_at(len / 3);
            let written = write_once::<Hyper, _>(&mut near, &[first, second]);
            assert_eq!(written, (len, 1));
            let mut received = Vec::new();
            while received.len() < len {
                received.extend_from_slice(&far.recv().await.unwrap());
            }
            assert!(received == sent[..len], "{len}");
        }
    });
}

#[test]
fn a_vectored_write_to_a_peer_that_is_gone_is_an_error() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let mut near = Compat::new(near);
        let slices = [IoSlice::new(b"a"), IoSlice::new(b"b")];
        let error = poll_fn(|context| Hyper::poll_write_vectored(&mut near, context, &slices));
        assert_eq!(error.await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}
