//! WebSockets at the server, as a client sees them on the wire.

mod clients;
#[cfg(feature = "compress")]
mod compressed;
mod endpoints;
mod ends;
mod handshakes;
mod kept;
mod peer;
mod refusals;
mod topics;
#[cfg(feature = "compress")]
mod torture;

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use annulus::{
    http::{
        self, Request, Response,
        websocket::{Error, Message, Options, TrySendError, WebSocket},
    },
    spawn,
    sync::{Notify, oneshot},
    task,
};

use crate::support::{pair, run_each};
use peer::{BINARY, CONTINUATION, FIRST_TEXT, PING, PONG, Peer, TEXT, close, frame};

async fn echo(mut socket: WebSocket) -> http::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn echoes(request: Request) -> Response {
    request.websocket(echo)
}

/// A sender for the handler of a test, which takes it by a call for its one request, and the
/// receiver.
fn telling<T>() -> (impl Fn() -> oneshot::Sender<T>, oneshot::Receiver<T>) {
    let (tell, told) = oneshot::channel();
    let tell = Cell::new(Some(tell));
    let take = move || tell.take().expect("there is one request");
    (take, told)
}

/// Polls a future once, and drops it.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn messages_come_back_and_those_sent_with_the_request_too() {
    run_each(async || {
        let (near, far) = pair().await;
        let ahead = frame(TEXT, "ahead");
        let mut peer = Peer::start(Box::new(near), far, "", &ahead, echoes).await;
        assert!(peer.head.starts_with("HTTP/1.1 101 "), "{}", peer.head);
        assert!(peer.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        peer.expect(TEXT, "ahead").await;
        peer.send(frame(BINARY, [0, 255])).await;
        peer.expect(BINARY, [0, 255]).await;
        peer.send(frame(TEXT, "")).await;
        peer.expect(TEXT, "").await;
        for len in [125, 126, 4096, 4097, 65_535, 65_536, 300_000] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            peer.send(frame(BINARY, &bytes)).await;
            assert!(peer.next().await == (BINARY, bytes), "{len}");
        }
        peer.send(close(1000, "done")).await;
        peer.expect_close(1000).await;
        peer.expect_end().await;
    });
}

#[test]
fn fragments_are_joined_and_control_frames_between_them_are_answered() {
    run_each(async || {
        let mut peer = Peer::open(echoes).await;
        let bytes = [
            frame(FIRST_TEXT, "sp"),
            frame(PING, "are you there"),
            frame(
                CONTINUATION,
                "lit \u{e9}".as_bytes().split_last().unwrap().1,
            ),
            frame(PONG, "unasked"),
            frame(0x80, [0xa9]),
        ]
        .concat();
        for byte in bytes {
            peer.send([byte]).await;
        }
        peer.expect(PONG, "are you there").await;
        peer.expect(TEXT, "split \u{e9}").await;
    });
}

#[test]
fn the_answers_to_the_messages_of_one_receive_leave_in_one_send() {
    annulus::run(async {
        let mut peer = Peer::in_memory(echoes).await;
        let bytes: Vec<u8> = (0..20_u8).flat_map(|byte| frame(BINARY, [byte])).collect();
        peer.send(&bytes).await;
        for byte in 0..20 {
            peer.expect(BINARY, [byte]).await;
        }
        assert_eq!(peer.piece_count, 1);
    });
}

/// Each receive is dropped after one poll, wherever the message is split.
#[test]
fn a_receive_that_is_dropped_loses_nothing() {
    run_each(async || {
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let handler = async move |request: Request| {
            let polls = Rc::clone(&counted);
            request.websocket(async move |mut socket: WebSocket| {
                loop {
                    polls.set(polls.get() + 1);
                    match poll_once(socket.recv()).await {
                        Some(Ok(Some(message))) => socket.send(message).await?,
                        Some(end) => return end.map(drop).map_err(Into::into),
                        None => task::yield_now().await,
                    }
                }
            })
        };
        let mut peer = Peer::open(handler).await;
        let bytes = [
            frame(FIRST_TEXT, "one "),
            frame(CONTINUATION, ""),
            frame(CONTINUATION, "mess"),
            frame(0x80, "age"),
            frame(BINARY, vec![7; 200]),
        ]
        .concat();
        for byte in bytes {
            let before = polls.get();
            peer.send([byte]).await;
            while polls.get() == before {
                task::yield_now().await;
            }
        }
        peer.expect(TEXT, "one message").await;
        peer.expect(BINARY, vec![7; 200]).await;
    });
}

#[test]
fn a_ping_is_answered_while_the_function_waits_for_something_else() {
    run_each(async || {
        let goes_on = Rc::new(Notify::new());
        let gate = Rc::clone(&goes_on);
        let handler = async move |request: Request| {
            let gate = Rc::clone(&gate);
            request.websocket(async move |socket: WebSocket| {
                gate.notified().await;
                echo(socket).await
            })
        };
        let mut peer = Peer::open(handler).await;
        for payload in ["", "1", "22"] {
            peer.send(frame(PING, payload)).await;
            peer.expect(PONG, payload).await;
        }
        // One message is received ahead, and those after it wait.
        peer.send([frame(TEXT, "a"), frame(TEXT, "b"), frame(PING, "c")].concat())
            .await;
        goes_on.notify_one();
        peer.expect(TEXT, "a").await;
        peer.expect(TEXT, "b").await;
        peer.expect(PONG, "c").await;
    });
}

#[test]
fn a_peer_that_does_not_read_makes_senders_wait_and_loses_nothing() {
    run_each(async || {
        const COUNT: u32 = 3000;
        let (tell, told) = telling();
        let handler = async move |request: Request| {
            let tell = tell();
            let options = Options::new().buffered_bytes_max(10_000);
            request.websocket_with(&options, async move |socket: WebSocket| {
                let mut number = 0_u32;
                let full = loop {
                    let message = [&number.to_be_bytes()[..], &[0; 5000]].concat();
                    match socket.try_send(message) {
                        Ok(()) => number += 1,
                        Err(TrySendError::Full(message)) => break message,
                        Err(error) => panic!("{error}"),
                    }
                    task::yield_now().await;
                };
                assert!(socket.buffered() > 10_000 && socket.buffered() < 20_000);
                assert_eq!(full.as_bytes()[..4], number.to_be_bytes());
                // This one is dropped while it waits, so it is not sent.
                let waits = poll_once(socket.send("never")).await.is_none();
                assert!(waits, "there is no room for it");
                tell.send(()).unwrap();
                for number in number..COUNT {
                    let message = [&number.to_be_bytes()[..], &[0; 5000]].concat();
                    socket.send(message).await?;
                    assert!(socket.buffered() < 20_000);
                }
                socket.flush().await?;
                assert_eq!(socket.buffered(), 0);
                Ok(())
            })
        };
        let mut peer = Peer::open(handler).await;
        told.await.unwrap();
        for number in 0..COUNT {
            let (first, payload) = peer.next().await;
            assert_eq!((first, &payload[..4]), (BINARY, &number.to_be_bytes()[..]));
        }
        peer.expect_close(1000).await;
    });
}

/// Messages are far larger than what waits at a time, and each is sent from its own memory.
#[test]
fn large_messages_and_small_ones_keep_their_order() {
    run_each(async || {
        let handler = async |request: Request| {
            request.websocket(async |socket: WebSocket| {
                for len in [1_usize, 200_000, 2, 5000, 3, 700_000, 4] {
                    socket.send(vec![len as u8; len]).await?;
                }
                Ok(())
            })
        };
        let mut peer = Peer::open(handler).await;
        for len in [1_usize, 200_000, 2, 5000, 3, 700_000, 4] {
            let (_, payload) = peer.next().await;
            assert!(payload == vec![len as u8; len], "{len}");
        }
        peer.expect_close(1000).await;
    });
}

#[test]
fn several_tasks_send_while_another_receives() {
    run_each(async || {
        let handler = async |request: Request| {
            request.websocket(async |socket: WebSocket| {
                let (sender, mut receiver) = socket.split();
                for name in ["a", "b"] {
                    let sender = sender.clone();
                    spawn(async move {
                        for number in 0..3 {
                            sender.send(format!("{name}{number}")).await.unwrap();
                            task::yield_now().await;
                        }
                    });
                }
                // The receiver moves to a task of its own.
                let receive = spawn(async move {
                    let mut messages = Vec::new();
                    while let Some(message) = receiver.recv().await.unwrap() {
                        messages.push(message);
                    }
                    (messages, receiver.close_info().cloned())
                });
                let (messages, info) = receive.await.unwrap();
                assert_eq!(messages, [Message::from("x"), Message::from("y")]);
                assert_eq!(info.unwrap().reason(), "enough");
                assert_eq!(sender.send("late").await, Err(Error::Closed));
                assert!(matches!(
                    sender.try_send("late"),
                    Err(TrySendError::Closed(_))
                ));
                Ok(())
            })
        };
        let mut peer = Peer::open(handler).await;
        let mut seen = [0, 0];
        for _ in 0..6 {
            let (_, payload) = peer.next().await;
            let of = &mut seen[usize::from(payload[0] - b'a')];
            assert_eq!(payload[1] - b'0', *of, "each sender's order is kept");
            *of += 1;
        }
        for text in ["x", "y"] {
            peer.send(frame(TEXT, text)).await;
        }
        peer.send(close(4000, "enough")).await;
        peer.expect_close(4000).await;
        peer.expect_end().await;
    });
}

/// Random pieces, with receives and sends that are dropped after each poll.
#[test]
fn random_pieces_and_dropped_futures_lose_nothing() {
    run_each(async || {
        let expected = Rc::new(RefCell::new(Vec::new()));
        let handler = async |request: Request| {
            let options = Options::new().buffered_bytes_max(500);
            request.websocket_with(&options, async |mut socket: WebSocket| {
                let mut rounds = 0_u32;
                loop {
                    let received = match poll_once(socket.recv()).await {
                        Some(received) => received?,
                        None => {
                            task::yield_now().await;
                            continue;
                        }
                    };
                    let Some(message) = received else {
                        return Ok(());
                    };
                    // A send that has to wait is dropped, and made again.
                    while poll_once(socket.send(message.clone())).await.is_none() {
                        rounds += 1;
                        task::yield_now().await;
                    }
                    if rounds > 1_000_000 {
                        panic!("the peer reads nothing");
                    }
                }
            })
        };
        let mut peer = Peer::open(handler).await;
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = |max: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % max as u64) as usize
        };
        for _ in 0..100 {
            let text: String = (0..random(300))
                .map(|_| ['a', '\u{e4}', '\u{1f600}'][random(3)])
                .collect();
            let mut bytes = Vec::new();
            let mut rest = text.as_bytes();
            let mut first = FIRST_TEXT;
            while random(3) > 0 {
                let (fragment, more) = rest.split_at(random(rest.len() + 1));
                bytes.extend(frame(first, fragment));
                (first, rest) = (CONTINUATION, more);
            }
            bytes.extend(frame(first | 0x80, rest));
            let mut pieces = &*bytes;
            while !pieces.is_empty() {
                let (piece, more) = pieces.split_at(1 + random(pieces.len()));
                peer.send(piece).await;
                pieces = more;
            }
            expected.borrow_mut().push(text);
            if random(4) == 0 {
                for text in expected.take() {
                    peer.expect(TEXT, text).await;
                }
            }
        }
        for text in expected.take() {
            peer.expect(TEXT, text).await;
        }
    });
}
