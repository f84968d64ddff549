//! The reading direction.

use std::{future::poll_fn, io, task::Poll};

use annulus::{
    io::{ByteRead as _, ByteWrite as _},
    spawn,
    task::yield_now,
};

use crate::{
    each, recv_exact, recv_into, recv_once,
    support::{counted::Counted, is_pattern, pattern, settle, until},
};

#[test]
fn a_dropped_poll_is_woken_and_the_bytes_wait_for_the_next() {
    each(async |_, mut near, mut far| {
        let polled = Counted::new();
        for _ in 0..3 {
            assert!(recv_once(&mut near, &mut polled.context()).is_pending());
            let before = polled.count();
            settle().await;
            assert_eq!(polled.count(), before, "nothing has come");
            far.stream.write_all(b"hello").await.unwrap();
            until(|| polled.count() > before).await;
            assert_eq!(recv_exact(&mut near, 5).await, b"hello");
        }
    });
}

#[test]
fn the_last_waker_takes_the_place_of_those_before() {
    each(async |_, mut near, mut far| {
        let (first, last) = (Counted::new(), Counted::new());
        for _ in 0..3 {
            assert!(near.poll_recv(&mut first.context()).is_pending());
            assert!(near.poll_recv(&mut last.context()).is_pending());
            let before = last.count();
            far.stream.write_all(b"hello").await.unwrap();
            until(|| last.count() > before).await;
            assert_eq!(recv_exact(&mut near, 5).await, b"hello");
        }
        assert_eq!(first.count(), 0);
    });
}

#[test]
fn the_end_wakes_a_dropped_poll_and_is_told_again() {
    each(async |_, mut near, mut far| {
        let polled = Counted::new();
        assert!(recv_once(&mut near, &mut polled.context()).is_pending());
        far.stream.write_all(b"last").await.unwrap();
        assert_eq!(recv_exact(&mut near, 4).await, b"last");
        assert!(recv_once(&mut near, &mut polled.context()).is_pending());
        let before = polled.count();
        far.stream.shutdown().await.unwrap();
        until(|| polled.count() > before).await;
        for _ in 0..3 {
            let piece = poll_fn(|context| near.poll_recv(context)).await;
            assert!(piece.unwrap().is_empty());
        }
        // The other direction is still there.
        near.write_all(b"more").await.unwrap();
        assert_eq!(recv_exact(&mut far.stream, 4).await, b"more");
    });
}

#[test]
fn a_peer_that_breaks_off_wakes_a_dropped_poll_and_its_bytes_are_lost_with_an_error() {
    each(async |kind, mut near, far| {
        let polled = Counted::new();
        assert!(recv_once(&mut near, &mut polled.context()).is_pending());
        // A Unix socket is reset when it is closed with bytes that were not received.
        near.write_all(b"never received").await.unwrap();
        settle().await;
        let before = polled.count();
        far.break_off();
        until(|| polled.count() > before).await;
        let received = near.recv().await;
        match kind.broken {
            Some(expected) => assert_eq!(received.unwrap_err().kind(), expected),
            None => assert!(received.unwrap().is_empty()),
        }
        // The first write may still go to the kernel.
        let error = loop {
            match near.write_all(b"more").await {
                Ok(()) => yield_now().await,
                Err(error) => break error.kind(),
            }
        };
        let expected = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(expected.contains(&error), "{error:?}");
    });
}

#[test]
fn bytes_come_once_and_in_order_however_they_are_polled() {
    const LEN: usize = 1 << 20;
    each(async |_, mut near, mut far| {
        let peer = spawn(async move {
            let bytes = pattern(LEN);
            let (mut sent, mut round) = (0, 0);
            while sent < LEN {
                round += 1;
                let end = LEN.min(sent + 1 + round * 7919 % 50_000);
                far.stream.write_all(&bytes[sent..end]).await.unwrap();
                sent = end;
                if round % 3 == 0 {
                    yield_now().await;
                }
            }
            far.stream.shutdown().await.unwrap();
        });
        let others = Counted::new();
        let (mut len, mut round) = (0, 0);
        loop {
            round += 1;
            let piece = match round % 4 {
                // By a waker whose wakes are ignored, and in a future that is dropped.
                0 => match recv_once(&mut near, &mut others.context()) {
                    Poll::Ready(piece) => piece,
                    Poll::Pending => {
                        yield_now().await;
                        continue;
                    }
                },
                1 => poll_fn(|cx| near.poll_recv(cx)).await.unwrap().into_vec(),
                2 => recv_into(&mut near, 20_000).await.unwrap(),
                _ => near.recv().await.unwrap().into_vec(),
            };
            if piece.is_empty() {
                break;
            }
            assert!(is_pattern(&piece, len), "after {len} bytes");
            len += piece.len();
        }
        assert_eq!(len, LEN);
        peer.await.unwrap();
    });
}
