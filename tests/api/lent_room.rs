//! Receiving into memory that is lent for one poll: `poll_recv_into`.

use std::{
    future::poll_fn,
    io::{self, Write as _},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use annulus::{ManagedBuf, buf::Room, net::TcpStream, spawn, task::yield_now};

use crate::support::{
    PERIOD, counted::Counted, is_pattern, pair, pattern, recv_to_end, run, settle, std_pair, until,
};

const ROOM_BYTES: usize = 100_000;

/// The result of one poll.
enum Received {
    /// So many bytes at the start of the room.
    Lent(usize),
    Piece(ManagedBuf),
}

impl Received {
    /// The bytes, in the order of `memory` or in their own.
    fn bytes<'a>(&'a self, memory: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Lent(count) => &memory[..*count],
            Self::Piece(piece) => piece,
        }
    }
}

fn poll_into(
    stream: &TcpStream,
    context: &mut Context<'_>,
    memory: &mut [u8],
) -> Poll<io::Result<Received>> {
    let (received, filled) = Room::lend(memory, |room| stream.poll_recv_into(context, room));
    received.map_ok(|received| match received {
        Some(piece) => {
            assert_eq!(filled, 0, "the bytes come in one way");
            Received::Piece(piece)
        }
        None => {
            assert!(filled > 0, "there are bytes");
            Received::Lent(filled)
        }
    })
}

async fn recv_into(stream: &TcpStream, memory: &mut [u8]) -> io::Result<Received> {
    poll_fn(|context| poll_into(stream, context, memory)).await
}

/// The pattern from `start` on.
fn pattern_from(start: usize, len: usize) -> Vec<u8> {
    pattern(start % PERIOD + len).split_off(start % PERIOD)
}

/// A socket whose next bytes go straight into lent memory, when there are enough; its peer, which
/// has sent `len` bytes, all of which were received.
async fn flooded() -> (TcpStream, TcpStream, usize) {
    let (near, far) = pair().await;
    let mut memory = vec![0; ROOM_BYTES];
    let (mut len, mut is_lent) = (0, false);
    while !is_lent {
        far.write_all(pattern_from(len, 64 << 10)).await.unwrap();
        let end = len + (64 << 10);
        while len < end {
            let received = recv_into(&near, &mut memory).await.unwrap();
            is_lent = matches!(received, Received::Lent(_));
            let bytes = received.bytes(&memory);
            assert!(is_pattern(bytes, len), "after {len} bytes");
            len += bytes.len();
        }
        assert_eq!(len, end);
    }
    (near, far, len)
}

#[test]
fn a_flood_goes_straight_into_lent_memory() {
    const LEN: usize = 24 << 20;
    run(async {
        let (near, mut far) = std_pair().await;
        let peer = thread::spawn(move || far.write_all(&pattern(LEN)).unwrap());
        let mut memory = vec![0; ROOM_BYTES];
        let (mut len, mut lent) = (0, 0);
        loop {
            let received = recv_into(&near, &mut memory).await.unwrap();
            if let Received::Lent(count) = received {
                lent += count;
            }
            let bytes = received.bytes(&memory);
            if bytes.is_empty() {
                break;
            }
            assert!(is_pattern(bytes, len), "after {len} bytes");
            len += bytes.len();
        }
        assert_eq!(len, LEN);
        assert!(lent > 0, "some of it came without a copy");
        peer.join().unwrap();
    });
}

#[test]
fn nothing_comes_into_lent_memory_after_its_poll() {
    run(async {
        let (near, far, len) = flooded().await;
        let mut memory = vec![0xee; ROOM_BYTES];
        let polled = Counted::new();
        assert!(poll_into(&near, &mut polled.context(), &mut memory).is_pending());
        far.write_all(pattern_from(len, 50_000)).await.unwrap();
        until(|| polled.count() > 0).await;
        settle().await;
        assert!(memory.iter().all(|byte| *byte == 0xee));
        // Another way of receiving finds them, and the wait that was begun costs nothing.
        let mut end = len;
        while end < len + 50_000 {
            let piece = near.recv().await.unwrap();
            assert!(is_pattern(&piece, end));
            end += piece.len();
        }
        assert!(poll_into(&near, &mut polled.context(), &mut memory).is_pending());
    });
}

#[test]
fn bytes_come_once_and_in_order_however_they_are_received_beside_it() {
    const LEN: usize = 24 << 20;
    run(async {
        let (near, mut far) = std_pair().await;
        let peer = thread::spawn(move || {
            for piece in pattern(LEN).chunks(70_001) {
                far.write_all(piece).unwrap();
            }
        });
        let mut memory = vec![0; ROOM_BYTES];
        let others = Counted::new();
        let (mut len, mut round) = (0, 0_usize);
        loop {
            round += 1;
            let piece = match round % 11 {
                0 => near.recv().await.unwrap().into_vec(),
                1 => near.read(Vec::with_capacity(60_000)).await.unwrap().1,
                2 => poll_fn(|cx| near.poll_recv(cx)).await.unwrap().into_vec(),
                3 => match near.try_recv() {
                    Ok(piece) => piece.into_vec(),
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        continue;
                    }
                },
                // One poll, of which no task is woken.
                4 => match poll_into(&near, &mut others.context(), &mut memory) {
                    Poll::Ready(received) => received.unwrap().bytes(&memory).to_vec(),
                    Poll::Pending => {
                        yield_now().await;
                        continue;
                    }
                },
                5 => {
                    let received = recv_into(&near, &mut memory[..10]).await.unwrap();
                    received.bytes(&memory).to_vec()
                }
                _ => {
                    let received = recv_into(&near, &mut memory).await.unwrap();
                    received.bytes(&memory).to_vec()
                }
            };
            if piece.is_empty() {
                break;
            }
            assert!(is_pattern(&piece, len), "after {len} bytes");
            len += piece.len();
        }
        assert_eq!(len, LEN);
        peer.join().unwrap();
    });
}

#[test]
fn the_end_comes_after_the_bytes_and_is_told_again() {
    run(async {
        let (near, far, len) = flooded().await;
        let mut memory = vec![0; ROOM_BYTES];
        far.write_all(pattern_from(len, 20_000)).await.unwrap();
        drop(far);
        let mut end = len;
        loop {
            let received = recv_into(&near, &mut memory).await.unwrap();
            let bytes = received.bytes(&memory);
            if bytes.is_empty() {
                break;
            }
            assert!(is_pattern(bytes, end));
            end += bytes.len();
        }
        assert_eq!(end, len + 20_000);
        for _ in 0..3 {
            let received = recv_into(&near, &mut memory).await.unwrap();
            assert!(received.bytes(&memory).is_empty());
        }
        assert!(recv_to_end(&near).await.is_empty());
    });
}

#[test]
fn an_error_is_told_once_and_then_the_end() {
    run(async {
        let (near, far, _) = flooded().await;
        let mut memory = vec![0; ROOM_BYTES];
        let polled = Counted::new();
        assert!(poll_into(&near, &mut polled.context(), &mut memory).is_pending());
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        until(|| polled.count() > 0).await;
        let error = recv_into(&near, &mut memory).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let received = recv_into(&near, &mut memory).await.unwrap();
        assert!(received.bytes(&memory).is_empty());
    });
}

#[test]
fn without_room_the_bytes_come_in_memory_of_their_own() {
    run(async {
        let (near, far, len) = flooded().await;
        for start in [len, len + 3] {
            far.write_all(pattern_from(start, 3)).await.unwrap();
            let received = recv_into(&near, &mut []).await.unwrap();
            let Received::Piece(piece) = received else {
                panic!("expected a piece");
            };
            assert!(piece.len() == 3 && is_pattern(&piece, start));
        }
    });
}

#[test]
fn a_poll_waits_for_the_receive_of_another_task() {
    run(async {
        let (near, far, _) = flooded().await;
        let near = std::rc::Rc::new(near);
        let other = std::rc::Rc::clone(&near);
        let reader = spawn(async move { other.recv().await.unwrap().into_vec() });
        settle().await;
        let mut memory = vec![0; ROOM_BYTES];
        let polled = Counted::new();
        assert!(poll_into(&near, &mut polled.context(), &mut memory).is_pending());
        far.write_all("a").await.unwrap();
        assert_eq!(reader.await.unwrap(), b"a");
        until(|| polled.count() > 0).await;
        assert!(poll_into(&near, &mut polled.context(), &mut memory).is_pending());
        far.write_all("b").await.unwrap();
        let received = recv_into(&near, &mut memory).await.unwrap();
        assert_eq!(received.bytes(&memory), b"b");
    });
}

#[test]
fn a_task_that_receives_a_flood_leaves_the_others_their_turn() {
    run(async {
        let (near, mut far) = std_pair().await;
        let peer = thread::spawn(move || while far.write_all(&[0; 200_000]).is_ok() {});
        let reader = spawn(async move {
            let mut memory = vec![0; ROOM_BYTES];
            loop {
                let received = recv_into(&near, &mut memory).await.unwrap();
                assert!(!received.bytes(&memory).is_empty());
            }
        });
        for _ in 0..100 {
            yield_now().await;
        }
        reader.abort();
        drop(reader.await);
        while !peer.is_finished() {
            yield_now().await;
        }
        peer.join().unwrap();
    });
}

#[test]
fn outside_of_its_runtime_it_says_so() {
    let near = run(async { flooded().await.0 });
    let mut memory = vec![0; ROOM_BYTES];
    let polled = Counted::new();
    let Poll::Ready(Err(error)) = poll_into(&near, &mut polled.context(), &mut memory) else {
        panic!("expected an error");
    };
    assert_ne!(error.kind(), io::ErrorKind::WouldBlock);
}
