//! Receiving: `recv`, `read`, `read_append`, `peek` and `try_recv`.

use std::{
    cell::RefCell,
    io::{self, Write as _},
    net::Shutdown,
    rc::Rc,
    time::Duration,
};

use annulus::{
    ManagedBuf,
    buf::{BufResult, IoBufMut as _},
    net::{TcpStream, UnixStream},
    spawn,
    task::JoinSet,
    time,
};
use bytes::BytesMut;

use crate::support::{pair, poll_once, recv_exact, run, settle, std_pair, until};

#[test]
fn the_end_of_the_stream_is_empty_and_stays_so() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("last").await.unwrap();
        drop(far);
        assert_eq!(recv_exact(&near, 4).await, b"last");
        for _ in 0..5 {
            assert!(near.recv().await.unwrap().is_empty());
            let (count, _) = near.read(Vec::with_capacity(10)).await.unwrap();
            assert_eq!(count, 0);
            let (count, _) = near.peek(Vec::with_capacity(10)).await.unwrap();
            assert_eq!(count, 0);
            assert!(near.try_recv().unwrap().is_empty());
        }
    });
}

#[test]
fn read_overwrites_and_sets_the_length() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("abc").await.unwrap();
        let (count, buf) = near.read(vec![b'x'; 10]).await.unwrap();
        assert_eq!((count, &buf[..]), (3, &b"abc"[..]));
        far.write_all("de").await.unwrap();
        let (count, buf) = near.read(buf).await.unwrap();
        assert_eq!((count, &buf[..]), (2, &b"de"[..]));
        // Only the room counts, not the length.
        far.write_all("fgh").await.unwrap();
        let (count, buf) = near.read(Vec::with_capacity(8)).await.unwrap();
        assert_eq!((count, &buf[..]), (3, &b"fgh"[..]));
    });
}

#[test]
fn read_append_keeps_what_the_buffer_holds() {
    run(async {
        let (near, far) = pair().await;
        let mut buf = Vec::with_capacity(16);
        buf.extend_from_slice(b"head ");
        far.write_all("tail").await.unwrap();
        let (count, buf) = near.read_append(buf).await.unwrap();
        assert_eq!((count, &buf[..]), (4, &b"head tail"[..]));
        far.write_all("!").await.unwrap();
        let (count, buf) = near.read_append(buf).await.unwrap();
        assert_eq!((count, &buf[..]), (1, &b"head tail!"[..]));
    });
}

/// Expects the error of a read without room, and returns the buffer.
fn no_room<B: std::fmt::Debug>(result: BufResult<usize, B>) -> B {
    let error = result.unwrap_err();
    assert_eq!(error.error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("room"), "{error}");
    error.buf
}

#[test]
fn a_buffer_without_room_is_an_error_and_loses_nothing() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("abc").await.unwrap();
        for _ in 0..2 {
            no_room(near.read(Vec::new()).await);
            let full = vec![b'x'; 4].into_boxed_slice().into_vec();
            assert_eq!(full.capacity(), 4);
            assert_eq!(no_room(near.read_append(full).await), b"xxxx");
            no_room(near.peek(Vec::new()).await);
            no_room(near.read(vec![b'x'; 4].slice_mut(4)).await);
        }
        assert_eq!(recv_exact(&near, 3).await, b"abc");
        // Nor does it look like an end that is there.
        drop(far);
        no_room(near.read(Vec::new()).await);
        assert!(near.recv().await.unwrap().is_empty());
        no_room(near.read(Vec::new()).await);
        let (receiver, _sender) = near.into_split();
        no_room(receiver.read(Vec::new()).await);
        let (near, _far) = UnixStream::pair().unwrap();
        no_room(near.read(Box::<[u8]>::default()).await);
    });
}

#[test]
fn what_a_small_buffer_leaves_is_read_next() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("0123456789").await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 6 {
            let (count, buf) = near.read(vec![0; 2].into_boxed_slice()).await.unwrap();
            assert!(count >= 1);
            seen.extend_from_slice(&buf[..count]);
        }
        seen.extend_from_slice(&near.recv().await.unwrap());
        while seen.len() < 10 {
            seen.extend_from_slice(&near.recv().await.unwrap());
        }
        assert_eq!(seen, b"0123456789");
    });
}

#[test]
fn every_kind_of_buffer_is_read_into() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("boxed").await.unwrap();
        let (count, boxed) = near.read(vec![b'.'; 8].into_boxed_slice()).await.unwrap();
        assert_eq!(count, 5);
        assert_eq!(
            &boxed[..],
            b"boxed...",
            "a slice keeps its length and the rest"
        );
        far.write_all("bytes").await.unwrap();
        let (count, bytes) = near.read(BytesMut::with_capacity(64)).await.unwrap();
        assert_eq!((count, &bytes[..]), (5, &b"bytes"[..]));
        far.write_all("slice").await.unwrap();
        let mut vec = Vec::with_capacity(32);
        vec.extend_from_slice(b"ab");
        let (count, slice) = near.read(vec.slice_mut(1)).await.unwrap();
        assert_eq!(count, 5);
        assert_eq!(slice.into_inner(), b"aslice");
        far.write_all("managed").await.unwrap();
        let managed = near.recv().await.unwrap();
        assert_eq!(&managed[..], b"managed");
        far.write_all("again").await.unwrap();
        let (count, managed) = near.read(managed).await.unwrap();
        assert_eq!((count, &managed[..]), (5, &b"again"[..]));
    });
}

#[test]
fn peek_leaves_the_bytes() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("peeked").await.unwrap();
        for _ in 0..3 {
            let (count, buf) = near.peek(vec![0; 4].into_boxed_slice()).await.unwrap();
            assert_eq!((count, &buf[..]), (4, &b"peek"[..]));
        }
        let (count, buf) = near.peek(Vec::with_capacity(100)).await.unwrap();
        assert_eq!((count, &buf[..]), (6, &b"peeked"[..]));
        let (count, buf) = near.read(vec![0; 1]).await.unwrap();
        assert_eq!((count, &buf[..]), (1, &b"p"[..]));
        let (count, buf) = near.peek(Vec::with_capacity(100)).await.unwrap();
        assert_eq!((count, &buf[..]), (5, &b"eeked"[..]));
        assert_eq!(&near.try_recv().unwrap()[..], b"eeked");
    });
}

/// Calls `try_recv` until there is something.
async fn try_recv_soon(stream: &TcpStream) -> ManagedBuf {
    loop {
        match stream.try_recv() {
            Ok(bytes) => return bytes,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn try_recv_never_waits() {
    run(async {
        let (near, mut far) = std_pair().await;
        let error = near.try_recv().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        far.write_all(b"now").unwrap();
        assert_eq!(&try_recv_soon(&near).await[..], b"now");
        let error = near.try_recv().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(far);
        assert!(try_recv_soon(&near).await.is_empty());
    });
}

#[test]
fn try_recv_sees_what_comes_after_a_recv_was_dropped() {
    run(async {
        let (near, mut far) = std_pair().await;
        {
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
            let error = near.try_recv().unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::WouldBlock,
                "somebody waits for it"
            );
        }
        far.write_all(b"late").unwrap();
        assert_eq!(&try_recv_soon(&near).await[..], b"late");
        // The receive that was dropped and the one that is made now go together.
        far.write_all(b"later").unwrap();
        assert_eq!(recv_exact(&near, 5).await, b"later");
        {
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
        }
        drop(far);
        assert!(try_recv_soon(&near).await.is_empty());
        assert!(near.recv().await.unwrap().is_empty());
    });
}

#[test]
fn several_callers_are_served_in_the_order_of_asking() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let served = Rc::new(RefCell::new(Vec::new()));
        let mut callers = JoinSet::new();
        for number in 0..10_u8 {
            let (near, served) = (Rc::clone(&near), Rc::clone(&served));
            callers.spawn(async move {
                let byte = if number % 2 == 0 {
                    let (count, buf) = near.read(vec![0; 1]).await.unwrap();
                    assert_eq!(count, 1);
                    buf[0]
                } else {
                    let bytes = near.recv().await.unwrap();
                    assert_eq!(bytes.len(), 1);
                    bytes[0]
                };
                served.borrow_mut().push((number, byte));
            });
        }
        settle().await;
        for number in 0..10_u8 {
            far.write_all(vec![number]).await.unwrap();
            until(|| served.borrow().len() > usize::from(number)).await;
        }
        while let Some(done) = callers.join_next().await {
            done.unwrap();
        }
        let expected: Vec<_> = (0..10).map(|number| (number, number)).collect();
        assert_eq!(*served.borrow(), expected);
    });
}

#[test]
fn a_recv_that_was_dropped_leaves_what_comes_to_the_next() {
    run(async {
        let (near, far) = pair().await;
        for round in 0..50_u8 {
            let late = time::timeout(Duration::ZERO, near.recv()).await;
            assert!(late.is_err());
            let late = time::timeout(Duration::ZERO, near.read(Vec::with_capacity(10))).await;
            assert!(late.is_err());
            far.write_all(vec![round; 3]).await.unwrap();
            assert_eq!(recv_exact(&near, 3).await, [round; 3]);
        }
    });
}

#[test]
fn an_error_comes_once_and_behind_the_bytes() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("last words").await.unwrap();
        let (count, _) = near.peek(Vec::with_capacity(20)).await.unwrap();
        assert_eq!(count, 10);
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        settle().await;
        assert_eq!(&near.recv().await.unwrap()[..], b"last words");
        let error = near.recv().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        for _ in 0..3 {
            assert!(near.recv().await.unwrap().is_empty());
            assert_eq!(near.read(vec![0; 4]).await.unwrap().0, 0);
            assert!(near.try_recv().unwrap().is_empty());
        }
    });
}

#[test]
fn a_buffer_comes_back_with_the_error() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let error = near.read(b"mine".to_vec()).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(error.buf, b"mine");
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let mut buf = Vec::with_capacity(10);
        buf.extend_from_slice(b"mine");
        let error = near.read_append(buf).await.unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(error.buf, b"mine");
    });
}

#[test]
fn try_recv_tells_the_error_once_too() {
    run(async {
        let (near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let mut seen = Vec::new();
        until(|| {
            match near.try_recv() {
                Ok(bytes) => seen.push(bytes.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                    assert!(seen.is_empty());
                    seen.push(usize::MAX);
                }
            }
            seen.len() == 3
        })
        .await;
        assert_eq!(seen, [usize::MAX, 0, 0]);
    });
}

#[test]
fn shutting_down_the_reading_direction_ends_a_recv_that_waits() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let waiter = spawn({
            let near = Rc::clone(&near);
            async move { near.recv().await.unwrap().len() }
        });
        settle().await;
        assert!(!waiter.is_finished());
        near.shutdown(Shutdown::Read).await.unwrap();
        assert_eq!(waiter.await.unwrap(), 0);
        // The other direction goes on.
        near.write_all("still").await.unwrap();
        assert_eq!(recv_exact(&far, 5).await, b"still");
        assert!(near.recv().await.unwrap().is_empty());
    });
}

#[test]
fn one_task_receives_while_another_sends() {
    run(async {
        let (near, far) = pair().await;
        let near = Rc::new(near);
        let receiver = spawn({
            let near = Rc::clone(&near);
            async move { recv_exact(&near, 5).await }
        });
        settle().await;
        near.write_all("there").await.unwrap();
        assert_eq!(recv_exact(&far, 5).await, b"there");
        assert!(!receiver.is_finished());
        far.write_all("again").await.unwrap();
        assert_eq!(receiver.await.unwrap(), b"again");
    });
}

#[test]
fn received_bytes_can_be_cut_changed_and_kept() {
    run(async {
        let (near, far) = pair().await;
        far.write_all("GET /path").await.unwrap();
        let mut bytes = near.recv().await.unwrap();
        bytes.advance(4);
        assert_eq!(&bytes[..], b"/path");
        bytes.truncate(100);
        bytes[1..].make_ascii_uppercase();
        assert_eq!(bytes.as_ref(), b"/PATH");
        bytes.truncate(3);
        assert_eq!(format!("{bytes:?}"), format!("{:?}", b"/PA"));
        assert_eq!(bytes.into_vec(), b"/PA");
        far.write_all("x").await.unwrap();
        let mut bytes = near.recv().await.unwrap();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bytes.advance(2)));
        assert!(panic.is_err(), "there is one byte only");
    });
}

#[test]
fn a_reset_that_comes_together_with_the_last_bytes_is_seen() {
    run(async {
        let (near, far) = pair().await;
        {
            let mut recv = Box::pin(near.recv());
            assert!(poll_once(&mut recv).await.is_pending());
        }
        settle().await;
        far.write_all("last").await.unwrap();
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        // The reset may overtake the bytes, which TCP allows.
        if let Ok(bytes) = near.recv().await {
            assert_eq!(&*bytes, b"last");
            assert!(near.recv().await.is_err());
        }
    });
}
