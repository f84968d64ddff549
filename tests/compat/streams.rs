//! Each stream of the crate in each family of traits.

use std::{cell::Cell, future::poll_fn, io, pin::Pin, rc::Rc, task::Poll};

use annulus::{
    compat::Compat,
    http::{Connection, HeaderValue, Request, Response, Upgraded},
    io::{ByteStream, Reader, duplex},
    net::UnixStream,
    spawn,
    sync::oneshot,
};

use crate::{
    Family, Futures, Hyper, Tokio,
    support::{counted::Counted, is_pattern, pair, pattern, run_each, settle, until},
};

/// Echoes short and long messages over `near`, ends it, and reads the peer's end.
async fn echo<F: Family<Compat<S>>, S: ByteStream + 'static>(
    near: S,
    far: impl ByteStream + 'static,
) {
    const BYTES: usize = 300_000;
    let mut near = Compat::new(near);
    let peer = spawn(async move {
        let mut far = far;
        loop {
            let piece = far.recv().await.unwrap();
            if piece.is_empty() {
                far.write_all(b"bye").await.unwrap();
                far.shutdown().await.unwrap();
                return;
            }
            far.write_all(&piece).await.unwrap();
        }
    });
    for len in [1, 10, 5_000] {
        F::write_all(&mut near, &pattern(len)).await;
        let mut echoed = vec![0; len];
        F::read_exact(&mut near, &mut echoed).await;
        assert!(is_pattern(&echoed, 0), "{}: {len} bytes", F::NAME);
    }
    // More than the peer takes before this side reads.
    let sent = pattern(BYTES);
    let (mut written, mut read) = (0, Vec::new());
    poll_fn(|context| {
        while written < BYTES {
            match F::poll_write(&mut near, context, &sent[written..]) {
                Poll::Ready(count) => written += count.unwrap(),
                Poll::Pending => break,
            }
        }
        let mut buf = [0; 777];
        while read.len() < BYTES {
            match F::poll_read(&mut near, context, &mut buf) {
                Poll::Ready(count) => read.extend_from_slice(&buf[..count.unwrap()]),
                Poll::Pending => return Poll::Pending,
            }
        }
        assert_eq!(written, BYTES);
        Poll::Ready(())
    })
    .await;
    assert!(is_pattern(&read, 0), "{}", F::NAME);
    poll_fn(|context| F::poll_end(&mut near, context))
        .await
        .unwrap();
    assert_eq!(F::read_to_end(&mut near).await, b"bye");
    peer.await.unwrap();
}

/// As `echo`, by each family of traits over a stream of its own.
macro_rules! by_each {
    ($ends:expr) => {{
        let (near, far) = $ends;
        echo::<Tokio, _>(near, far).await;
        let (near, far) = $ends;
        echo::<Futures, _>(near, far).await;
        let (near, far) = $ends;
        echo::<Hyper, _>(near, far).await;
    }};
}

#[test]
fn every_stream_echoes_by_every_family_of_traits() {
    run_each(async || {
        by_each!(pair().await);
        by_each!(UnixStream::pair().unwrap());
        by_each!(duplex(10_000));
        by_each!({
            let (near, far) = UnixStream::pair().unwrap();
            (Box::new(near) as Box<dyn ByteStream>, far)
        });
        by_each!({
            let (near, far) = pair().await;
            (Rc::new(near), far)
        });
        by_each!(upgraded().await);
    });
}

/// A connection that has left HTTP, and its peer.
async fn upgraded() -> (Upgraded, annulus::net::TcpStream) {
    let (near, far) = pair().await;
    let (tell, told) = oneshot::channel();
    let tell = Cell::new(Some(tell));
    let handler = async move |_: Request| {
        let tell = tell.take().expect("there is one request");
        let protocol = HeaderValue::from_static("chat");
        Response::upgrade(protocol, async move |peer: Upgraded| {
            drop(tell.send(peer));
            std::future::pending().await
        })
    };
    drop(spawn(Connection::new().serve(near, handler)));
    let question = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n";
    far.write_all(question).await.unwrap();
    let near = told.await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(&far.recv().await.unwrap());
    }
    (near, far)
}

#[test]
fn halves_read_and_write_apart() {
    use tokio::io::{AsyncRead, AsyncWrite};
    run_each(async || {
        let (near, far) = pair().await;
        let (read, write) = near.into_split();
        let (mut read, mut write) = (Compat::new(read), Compat::new(write));
        let count = poll_fn(|context| Pin::new(&mut write).poll_write(context, b"hello")).await;
        assert_eq!(count.unwrap(), 5);
        assert_eq!(&*far.recv().await.unwrap(), b"hello");
        far.write_all("world").await.unwrap();
        let mut byte = [0; 8];
        let mut buf = tokio::io::ReadBuf::new(&mut byte);
        poll_fn(|context| Pin::new(&mut read).poll_read(context, &mut buf))
            .await
            .unwrap();
        assert_eq!(buf.filled(), b"world");
        poll_fn(|context| Pin::new(&mut write).poll_shutdown(context))
            .await
            .unwrap();
        assert!(far.recv().await.unwrap().is_empty());
    });
}

#[test]
fn what_was_not_taken_is_seen_peeked_at_and_given_back() {
    use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
    run_each(async || {
        let (near, far) = pair().await;
        let mut near = Compat::new(near);
        assert!(near.unread().is_empty());
        far.write_all("one two\nthree").await.unwrap();
        let mut word = [0; 4];
        let mut buf = ReadBuf::new(&mut word);
        poll_fn(|context| Pin::new(&mut near).poll_read(context, &mut buf))
            .await
            .unwrap();
        assert_eq!(buf.filled(), b"one ");
        assert_eq!(near.unread(), b"two\nthree");
        for _ in 0..2 {
            let peeked = poll_fn(|context| {
                Pin::new(&mut near)
                    .poll_fill_buf(context)
                    .map_ok(<[u8]>::to_vec)
            });
            assert_eq!(peeked.await.unwrap(), b"two\nthree");
        }
        Pin::new(&mut near).consume(2);
        assert_eq!(near.unread(), b"o\nthree");
        assert!(format!("{near:?}").ends_with("unread: 7 }"), "{near:?}");
        let (stream, unread) = near.into_parts();
        far.write_all(" and four\n").await.unwrap();
        let mut reader = Reader::from_parts(stream, unread);
        assert_eq!(reader.read_line(64).await.unwrap().as_deref(), Some("o"));
        let line = reader.read_line(64).await.unwrap();
        assert_eq!(line.as_deref(), Some("three and four"));
    });
}

#[test]
#[should_panic(expected = "expected bytes to take, found none")]
fn more_than_is_there_cannot_be_consumed() {
    annulus::run(async {
        let (near, _far) = duplex(10);
        tokio::io::AsyncBufRead::consume(Pin::new(&mut Compat::new(near)), 1);
    });
}

#[test]
fn a_read_without_room_takes_nothing() {
    run_each(async || {
        let (near, far) = pair().await;
        let mut near = Compat::new(near);
        let counted = Counted::new();
        let mut context = counted.context();
        // It does not wait either.
        assert!(matches!(
            Futures::poll_read(&mut near, &mut context, &mut []),
            Poll::Ready(Ok(0))
        ));
        far.write_all("x").await.unwrap();
        let mut byte = [0];
        Futures::read_exact(&mut near, &mut byte).await;
        assert_eq!(byte, *b"x");
    });
}

#[test]
fn the_end_of_a_connection_that_is_gone_is_no_error() {
    run_each(async || {
        let (near, far) = pair().await;
        far.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        let mut near = Compat::new(near);
        drop(far);
        let mut buf = [0; 10];
        let error = poll_fn(|context| Tokio::poll_read(&mut near, context, &mut buf)).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        for _ in 0..2 {
            poll_fn(|context| Tokio::poll_end(&mut near, context))
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_poll_that_is_dropped_leaves_its_waker_in_each_direction() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        let mut near = Compat::new(near);
        let (reads, writes) = (Counted::new(), Counted::new());
        let mut buf = [0; 100];
        assert!(Hyper::poll_read(&mut near, &mut reads.context(), &mut buf).is_pending());
        while Hyper::poll_write(&mut near, &mut writes.context(), &[b'x'; 65_536]).is_ready() {}
        settle().await;
        let before = (reads.count(), writes.count());
        while writes.count() == before.1 {
            assert!(!far.recv().await.unwrap().is_empty());
            settle().await;
        }
        far.write_all("hello").await.unwrap();
        until(|| reads.count() > before.0).await;
        Hyper::read_exact(&mut near, &mut buf[..5]).await;
        assert_eq!(&buf[..5], b"hello");
    });
}

#[test]
fn dropped_with_bytes_in_the_background_they_are_sent() {
    run_each(async || {
        let (near, far) = UnixStream::pair().unwrap();
        let mut near = Compat::new(near);
        let counted = Counted::new();
        let (sent, mut taken) = (pattern(10_000_000), 0);
        while let Poll::Ready(count) =
            Tokio::poll_write(&mut near, &mut counted.context(), &sent[taken..])
        {
            taken += count.unwrap();
        }
        drop(near);
        let mut received = Vec::new();
        loop {
            let piece = far.recv().await.unwrap();
            if piece.is_empty() {
                break;
            }
            received.extend_from_slice(&piece);
        }
        assert_eq!(received.len(), taken);
        assert!(is_pattern(&received, 0));
    });
}
