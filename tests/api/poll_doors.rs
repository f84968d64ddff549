//! Receiving and sending by polls: `poll_recv`, `poll_write`, `poll_flush`, `poll_shutdown`.

use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, Read as _, Write as _},
    rc::Rc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use annulus::{
    net::{TcpStream, UnixStream},
    spawn,
    task::yield_now,
};

use crate::support::{
    counted::Counted,
    is_pattern,
    nosy::{at_clone, is_set, nosy},
    pair, pattern, poll_once, recv_exact, recv_to_end, run, run_each, settle, settle_by, std_pair,
    until,
};

/// More than a socket and its peer keep.
const MUCH: usize = 24 << 20;

/// Polls with `counted` until the poll waits, and returns how often it was ready.
fn until_pending<T>(
    counted: &Counted,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> usize {
    let mut count = 0;
    while let Poll::Ready(result) = poll(&mut counted.context()) {
        result.unwrap();
        count += 1;
        assert!(count < 100_000, "it has to wait some time");
    }
    count
}

/// A task's polls are put off when it has done much; these tests poll without a task of their own.
async fn write_until_pending(stream: &TcpStream, counted: &Counted) {
    let piece = pattern(64 << 10);
    loop {
        let before = counted.count();
        until_pending(counted, |cx| stream.poll_write(cx, &piece));
        if counted.count() == before {
            return;
        }
        yield_now().await;
    }
}

#[test]
fn the_last_waker_is_woken_and_stays_when_its_poll_is_over() {
    run(async {
        let (near, far) = pair().await;
        let (first, last) = (Counted::new(), Counted::new());
        for round in 0..3 {
            assert!(near.poll_recv(&mut first.context()).is_pending());
            assert!(near.poll_recv(&mut last.context()).is_pending());
            settle().await;
            assert_eq!(last.count(), round, "nothing has come");
            far.write_all("hello").await.unwrap();
            until(|| last.count() > round).await;
            assert_eq!((first.count(), last.count()), (0, round + 1));
            let Poll::Ready(piece) = near.poll_recv(&mut first.context()) else {
                panic!("what was told is there");
            };
            assert_eq!(&*piece.unwrap(), b"hello");
        }
    });
}

#[test]
fn a_look_by_try_recv_leaves_the_waker_of_a_poll() {
    run(async {
        let (near, far) = pair().await;
        let counted = Counted::new();
        for round in 0..3 {
            assert!(near.poll_recv(&mut counted.context()).is_pending());
            let error = near.try_recv().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            far.write_all("hello").await.unwrap();
            until(|| counted.count() > round).await;
            assert_eq!(recv_exact(&near, 5).await, b"hello");
        }
    });
}

#[test]
fn a_poll_waits_for_the_receive_of_another_task() {
    run(async {
        let (near, far) = pair().await;
        let counted = Counted::new();
        let mut recv = Box::pin(near.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        assert!(near.poll_recv(&mut counted.context()).is_pending());
        far.write_all("first").await.unwrap();
        assert_eq!(&*recv.await.unwrap(), b"first");
        assert_eq!(counted.count(), 1, "the other one was served");
        assert!(near.poll_recv(&mut counted.context()).is_pending());
        far.write_all("second").await.unwrap();
        until(|| counted.count() == 2).await;
        assert_eq!(recv_exact(&near, 6).await, b"second");

        // One that is dropped makes room, too.
        let mut recv = Box::pin(near.recv());
        assert!(poll_once(&mut recv).await.is_pending());
        assert!(near.poll_recv(&mut counted.context()).is_pending());
        drop(recv);
        assert_eq!(counted.count(), 3);
    });
}

#[test]
fn reading_and_writing_wake_for_themselves() {
    run(async {
        let (near, far) = pair().await;
        let (reads, writes) = (Counted::new(), Counted::new());
        assert!(near.poll_recv(&mut reads.context()).is_pending());
        write_until_pending(&near, &writes).await;
        assert_eq!(reads.count(), 0);
        far.write_all("hello").await.unwrap();
        until(|| reads.count() > 0).await;
        let told = reads.count();
        assert_eq!(recv_exact(&near, 5).await, b"hello");
        assert!(near.poll_recv(&mut reads.context()).is_pending());
        // The kernel may have found more room meanwhile, although the peer has read nothing.
        write_until_pending(&near, &writes).await;
        let before = writes.count();
        while writes.count() == before {
            drop(far.recv().await.unwrap());
        }
        assert_eq!(reads.count(), told, "the peer has sent nothing");
    });
}

#[test]
fn bytes_come_once_and_in_order_however_they_are_received() {
    run(async {
        let (near, mut far) = std_pair().await;
        let peer = thread::spawn(move || {
            let bytes = pattern(MUCH / 251 * 251);
            for piece in bytes.chunks(70_001) {
                far.write_all(piece).unwrap();
            }
        });
        let (mut len, mut round) = (0, 0_usize);
        loop {
            round += 1;
            // Each way is also given up after one poll now and then.
            if round % 5 == 0 {
                let mut read = Box::pin(near.read(Vec::with_capacity(200_000)));
                if let Poll::Ready(result) = poll_once(&mut read).await {
                    let (count, buf) = result.unwrap();
                    assert!(is_pattern(&buf[..count], len));
                    len += count;
                    continue;
                }
            }
            let piece = match round % 3 {
                0 => near.recv().await.unwrap().into_vec(),
                1 => near.read(Vec::with_capacity(100_000)).await.unwrap().1,
                _ => poll_fn(|cx| near.poll_recv(cx)).await.unwrap().into_vec(),
            };
            if piece.is_empty() {
                break;
            }
            assert!(is_pattern(&piece, len), "after {len} bytes");
            len += piece.len();
        }
        assert_eq!(len, MUCH / 251 * 251);
        peer.join().unwrap();
    });
}

#[test]
fn bytes_go_once_and_in_order_however_they_are_sent() {
    run(async {
        let (near, mut far) = std_pair().await;
        let peer = thread::spawn(move || {
            let mut bytes = Vec::new();
            far.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let (mut sent, mut round) = (0, 0_usize);
        let all = pattern(MUCH);
        while sent < MUCH {
            round += 1;
            let end = MUCH.min(sent + 1 + round % 300_000);
            let piece = &all[sent..end];
            match round % 3 {
                0 => {
                    near.write_all(piece.to_vec()).await.unwrap();
                    sent = end;
                }
                1 => match near.try_write(piece) {
                    Ok(count) => sent += count,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                },
                _ => {
                    let write = poll_fn(|cx| near.poll_write(cx, &all[sent..]));
                    sent += write.await.unwrap();
                }
            }
        }
        poll_fn(|cx| near.poll_flush(cx)).await.unwrap();
        poll_fn(|cx| near.poll_shutdown(cx)).await.unwrap();
        while !peer.is_finished() {
            yield_now().await;
        }
        let received = peer.join().unwrap();
        assert!(received.len() == MUCH && is_pattern(&received, 0));
    });
}

#[test]
fn a_flood_is_received_in_large_pieces() {
    run(async {
        let (near, mut far) = std_pair().await;
        let peer = thread::spawn(move || far.write_all(&pattern(MUCH)).unwrap());
        let (mut len, mut largest) = (0, 0);
        while len < MUCH {
            let piece = poll_fn(|cx| near.poll_recv(cx)).await.unwrap();
            assert!(is_pattern(&piece, len));
            len += piece.len();
            largest = largest.max(piece.len());
        }
        assert!(largest >= 32 << 10, "the largest piece has {largest} bytes");
        peer.join().unwrap();
    });
}

#[test]
fn the_end_is_told_again_and_an_error_once() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("last").await.unwrap();
        drop(far);
        let recv = async || poll_fn(|cx| near.poll_recv(cx)).await;
        assert_eq!(&*recv().await.unwrap(), b"last");
        for _ in 0..3 {
            assert!(recv().await.unwrap().is_empty());
        }

        let (near, far) = pair().await;
        let counted = Counted::new();
        assert!(near.poll_recv(&mut counted.context()).is_pending());
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        until(|| counted.count() > 0).await;
        let recv = async || poll_fn(|cx| near.poll_recv(cx)).await;
        let error = recv().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(recv().await.unwrap().is_empty());
        let error = poll_fn(|cx| near.poll_write(cx, b"more")).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn either_direction_ends_and_the_other_goes_on() {
    run(async {
        let (near, far) = pair().await;
        poll_fn(|cx| near.poll_write(cx, b"question"))
            .await
            .unwrap();
        poll_fn(|cx| near.poll_shutdown(cx)).await.unwrap();
        assert_eq!(recv_to_end(&far).await, b"question");
        far.write_all("answer").await.unwrap();
        assert_eq!(recv_exact(&near, 6).await, b"answer");
        let error = poll_fn(|cx| near.poll_write(cx, b"more")).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_was_taken_under_back_pressure_arrives_before_the_end() {
    run(async {
        let (near, far) = pair().await;
        let counted = Counted::new();
        let piece = pattern(251 * 300);
        let mut taken = 0;
        while let Poll::Ready(count) =
            near.poll_write(&mut counted.context(), &piece[taken % 251..])
        {
            taken += count.unwrap();
            if taken % (4 << 20) < piece.len() {
                yield_now().await;
            }
        }
        // The stream itself is gone as well: the send in the background keeps it.
        let reader = spawn(async move { recv_to_end(&far).await });
        poll_fn(|cx| near.poll_flush(cx)).await.unwrap();
        poll_fn(|cx| near.poll_shutdown(cx)).await.unwrap();
        drop(near);
        let received = reader.await.unwrap();
        assert!(received.len() == taken && is_pattern(&received, 0));
    });
}

#[test]
fn the_error_of_bytes_in_the_background_is_told_by_the_next_poll() {
    run(async {
        for flush in [true, false] {
            let (near, far) = pair().await;
            let writes = Counted::new();
            write_until_pending(&near, &writes).await;
            let before = writes.count();
            // With bytes unread, that is a reset.
            drop(far);
            until(|| writes.count() > before).await;
            let result = if flush {
                poll_fn(|cx| near.poll_flush(cx)).await
            } else {
                poll_fn(|cx| near.poll_write(cx, b"more")).await.map(drop)
            };
            let kind = result.unwrap_err().kind();
            let is_gone = matches!(
                kind,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            );
            assert!(is_gone, "{kind:?}");
        }
    });
}

#[test]
fn the_same_holds_for_unix_sockets_and_for_halves() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let (read, write) = near.into_split();
        let (reads, writes) = (Counted::new(), Counted::new());
        assert!(read.poll_recv(&mut reads.context()).is_pending());
        let piece = pattern(10_000);
        until_pending(&writes, |cx| write.poll_write(cx, &piece));
        let before = writes.count();
        far.write_all("hello").await.unwrap();
        until(|| reads.count() > 0).await;
        assert_eq!(&*read.recv().await.unwrap(), b"hello");
        while writes.count() == before {
            drop(far.recv().await.unwrap());
        }
        let reader = spawn(async move { while !far.recv().await.unwrap().is_empty() {} });
        poll_fn(|cx| write.poll_flush(cx)).await.unwrap();
        poll_fn(|cx| write.poll_shutdown(cx)).await.unwrap();
        reader.await.unwrap();
    });
}

#[test]
fn a_task_that_polls_a_flood_leaves_the_others_their_turn() {
    run(async {
        let (near, far) = pair().await;
        let flood = spawn(async move {
            let piece = pattern(1000);
            loop {
                if poll_fn(|cx| far.poll_write(cx, &piece)).await.is_err() {
                    return;
                }
            }
        });
        let reader = spawn(async move {
            loop {
                drop(poll_fn(|cx| near.poll_recv(cx)).await.unwrap());
            }
        });
        for _ in 0..100 {
            yield_now().await;
        }
        reader.abort();
        drop(reader.await);
        flood.await.unwrap();
    });
}

#[test]
fn a_waker_that_polls_as_it_is_cloned_loses_no_byte() {
    run_each(async || {
        let (near, far) = pair().await;
        let beside = pair().await;
        let near = Rc::new(near);
        for round in 0..5 {
            let inner = Rc::clone(&near);
            at_clone(move || {
                let polled = inner.poll_recv(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
            });
            let waker = nosy();
            let polled = near.poll_recv(&mut Context::from_waker(&waker));
            assert!(polled.is_pending() && !is_set());
            for piece in pattern(round + 5000).split_off(round).chunks(50) {
                far.write_all(piece.to_vec()).await.unwrap();
                settle_by(&beside.0, &beside.1).await;
            }
            assert!(is_pattern(&recv_exact(&near, 5000).await, round));
        }
    });
}

#[test]
fn a_waker_that_writes_as_it_is_cloned_loses_no_byte() {
    run_each(async || {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let taken = Rc::new(Cell::new(0));
        let write = move |stream: &TcpStream, taken: &Cell<usize>, waker: &Waker| {
            let polled = stream.poll_write(&mut Context::from_waker(waker), &[b'x'; 10_000]);
            if let Poll::Ready(result) = &polled {
                taken.set(taken.get() + result.as_ref().unwrap());
                assert!(taken.get() < MUCH, "it has to wait some time");
            }
            polled.is_pending()
        };
        while !write(&near, &taken, Waker::noop()) {}
        let inner = (Rc::clone(&near), Rc::clone(&taken));
        at_clone(move || {
            write(&inner.0, &inner.1, Waker::noop());
        });
        let waker = nosy();
        // A poll is put off after many in one task.
        while is_set() {
            write(&near, &taken, &waker);
            yield_now().await;
        }
        let reader = spawn(async move { recv_to_end(&far).await });
        poll_fn(|cx| near.poll_flush(cx)).await.unwrap();
        poll_fn(|cx| near.poll_shutdown(cx)).await.unwrap();
        let all = reader.await.unwrap();
        assert_eq!(all.len(), taken.get());
    });
}
