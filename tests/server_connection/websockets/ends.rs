//! How WebSockets end, and the times that end them.

use std::{
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use annulus::{
    http::{
        self, Error as HttpError, Request, Response, StatusCode,
        websocket::{CloseCode, Error, FrameError, Message, Options, WebSocket},
    },
    sync::{Notify, oneshot},
    task, time,
};

use super::{
    echo, echoes,
    peer::{BINARY, CONTINUATION, FIRST_TEXT, PING, PONG, Peer, TEXT, close, frame},
    poll_once, telling,
};
use crate::support::{pair, run_each};

type End = Result<Option<Message>, Error>;
/// The messages of a connection, and its end.
type Told = oneshot::Receiver<(Vec<Message>, End)>;

/// A handler that receives to the end and tells that, and the receiver of it.
fn until_the_end(options: Options) -> (impl AsyncFn(Request) -> Response + 'static, Told) {
    let (tell, told) = telling();
    let handler = async move |request: Request| {
        let tell = tell();
        request.websocket_with(&options, async move |mut socket: WebSocket| {
            let mut messages = Vec::new();
            let end = loop {
                match socket.recv().await {
                    Ok(Some(message)) => messages.push(message),
                    end => break end,
                }
            };
            // It stays the end.
            assert_eq!(socket.recv().await, end);
            assert!(socket.send("late").await.is_err());
            drop(tell.send((messages, end.clone())));
            Ok(end.map(drop)?)
        })
    };
    (handler, told)
}

#[test]
fn a_close_frame_of_the_peer_is_answered_and_ends_the_messages() {
    run_each(async || {
        for (frame_of_peer, code) in [
            (close(1000, ""), Some(1000)),
            (close(1001, "the page is left"), Some(1001)),
            (close(4999, ""), Some(4999)),
            (frame(0x88, ""), None),
        ] {
            let (handler, told) = until_the_end(Options::new());
            let mut peer = Peer::open(handler).await;
            peer.send([frame(TEXT, "last"), frame_of_peer, frame(TEXT, "ignored")].concat())
                .await;
            let (messages, end) = told.await.unwrap();
            assert_eq!((messages, end), (vec!["last".into()], Ok(None)));
            match code {
                Some(code) => assert_eq!(peer.expect_close(code).await, ""),
                None => peer.expect(0x88, "").await,
            }
            peer.expect_end().await;
        }
    });
}

#[test]
fn a_rule_that_is_broken_is_answered_with_its_code() {
    use FrameError as E;
    let mut unmasked = frame(TEXT, "hello");
    unmasked[1] &= 0x7f;
    let announced = [&[BINARY, 0xff][..], &2000_u64.to_be_bytes(), b"keys"].concat();
    let fragments =
        [FIRST_TEXT, CONTINUATION, CONTINUATION, CONTINUATION].map(|first| frame(first, "f"));
    let cases = [
        (unmasked, E::Unmasked, 1002),
        (frame(0xC1, "rsv1"), E::ReservedBits, 1002),
        (frame(0x83, ""), E::OpcodeReserved, 1002),
        (frame(PING & 0x7f, ""), E::ControlFragmented, 1002),
        (frame(CONTINUATION, "none"), E::ContinuationUnexpected, 1002),
        (close(1005, ""), E::CloseCodeInvalid, 1002),
        (frame(0x88, "1"), E::CloseTooShort, 1002),
        (frame(TEXT, b"caf\xff"), E::TextNotUtf8, 1007),
        (announced, E::LengthNotMinimal, 1002),
        (frame(BINARY, vec![0; 1001]), E::MessageTooLarge, 1009),
        (fragments.concat(), E::TooManyFragments, 1008),
    ];
    run_each(async || {
        for (bytes, error, code) in &cases {
            let options = Options::new().message_bytes_max(1000).fragments_max(3);
            let (handler, told) = until_the_end(options);
            let mut peer = Peer::open(handler).await;
            peer.send([&frame(TEXT, "fine")[..], bytes].concat()).await;
            peer.send(frame(TEXT, "not looked at")).await;
            let (messages, end) = told.await.unwrap();
            assert_eq!(messages, ["fine".into()], "{error}");
            assert_eq!(end, Err(Error::Protocol(*error)));
            assert_eq!(error.close_code().get(), *code);
            assert_eq!(peer.expect_close(*code).await, error.message());
            peer.expect_end().await;
        }
    });
}

#[test]
fn a_connection_that_ends_without_a_close_frame_is_lost() {
    run_each(async || {
        let (handler, told) = until_the_end(Options::new());
        let mut peer = Peer::open(handler).await;
        peer.send([frame(TEXT, "whole"), frame(FIRST_TEXT, "part")].concat())
            .await;
        peer.leave().await;
        let (messages, end) = told.await.unwrap();
        assert_eq!(messages, ["whole".into()]);
        assert_eq!(end, Err(Error::Lost(io::ErrorKind::UnexpectedEof)));
    });
}

#[test]
fn a_connection_that_is_reset_is_lost() {
    run_each(async || {
        let (handler, told) = until_the_end(Options::new());
        let (near, far) = pair().await;
        near.set_linger(Some(Duration::ZERO)).unwrap();
        let mut peer = Peer::start(Box::new(near), far, "", b"", handler).await;
        peer.send(frame(FIRST_TEXT, "part")).await;
        drop(peer);
        let (messages, end) = told.await.unwrap();
        assert_eq!(messages, []);
        assert_eq!(end, Err(Error::Lost(io::ErrorKind::ConnectionReset)));
    });
}

#[test]
fn the_function_closes_the_connection_and_has_the_answer() {
    run_each(async || {
        let (tell, told) = telling();
        let handler = async move |request: Request| {
            let tell = tell();
            request.websocket(async move |mut socket: WebSocket| {
                socket.send("before").await?;
                // The close frame leaves although the first wait for the answer is dropped.
                assert!(
                    poll_once(socket.close(CloseCode::POLICY_VIOLATION, "no"))
                        .await
                        .is_none()
                );
                assert_eq!(socket.send("after").await, Err(Error::Closed));
                let info = socket
                    .close(CloseCode::NORMAL, "a second one is not sent")
                    .await;
                drop(tell.send(info));
                Ok(())
            })
        };
        let mut peer = Peer::open(handler).await;
        peer.expect(TEXT, "before").await;
        assert_eq!(peer.expect_close(1008).await, "no");
        peer.send(
            [
                frame(TEXT, "dropped"),
                frame(PING, "not answered"),
                close(1008, "ok"),
            ]
            .concat(),
        )
        .await;
        let info = told.await.unwrap().unwrap();
        assert_eq!(info.code(), Some(CloseCode::POLICY_VIOLATION));
        assert!(info.is_answer() && info.reason() == "ok", "{info}");
        peer.expect_end().await;
    });
}

#[test]
fn messages_after_the_start_of_a_close_are_received() {
    run_each(async || {
        let (tell, told) = telling();
        let handler = async move |request: Request| {
            let tell = tell();
            request.websocket(async move |mut socket: WebSocket| {
                socket.start_close(CloseCode::NORMAL, "");
                let mut texts = Vec::new();
                while let Some(message) = socket.recv().await? {
                    texts.push(message);
                }
                drop(tell.send(texts));
                Ok(())
            })
        };
        let mut peer = Peer::open(handler).await;
        peer.expect_close(1000).await;
        peer.send([frame(TEXT, "a"), frame(TEXT, "b"), close(1000, "")].concat())
            .await;
        assert_eq!(told.await.unwrap(), ["a".into(), Message::from("b")]);
        peer.expect_end().await;
    });
}

#[test]
fn the_result_of_the_function_chooses_the_code() {
    run_each(async || {
        for (result, code) in [(Ok(()), 1000), (Err(StatusCode::IM_A_TEAPOT), 1011)] {
            let handler = async move |request: Request| {
                request.websocket(async move |_: WebSocket| result.map_err(HttpError::from))
            };
            let mut peer = Peer::open(handler).await;
            peer.send(frame(TEXT, "not received")).await;
            peer.expect_close(code).await;
            peer.send(close(code, "")).await;
            peer.expect_end().await;
        }
    });
}

#[test]
fn an_end_without_an_answer_is_waited_for_as_long_as_the_options_say() {
    annulus::run(async {
        time::pause();
        let (tell, told) = telling();
        let handler = async move |request: Request| {
            let tell = tell();
            let options = Options::new().close_timeout(Duration::from_secs(3));
            request.websocket_with(&options, async move |mut socket: WebSocket| {
                let begin = time::now();
                let end = socket.close(CloseCode::NORMAL, "").await;
                drop(tell.send((end, time::now() - begin)));
                Ok(())
            })
        };
        let mut peer = Peer::in_memory(handler).await;
        let (end, waited) = told.await.unwrap();
        assert_eq!(end, Err(Error::CloseTimeout));
        assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(4));
        peer.expect_close(1000).await;
        peer.expect_end().await;

        // The same after the function, by default.
        let begin = time::now();
        let handler = async |request: Request| request.websocket(async |_: WebSocket| Ok(()));
        let mut peer = Peer::in_memory(handler).await;
        peer.expect_close(1000).await;
        peer.expect_end().await;
        let waited = time::now() - begin;
        assert!(
            waited >= Duration::from_secs(5) && waited < Duration::from_secs(8),
            "{waited:?}"
        );
    });
}

#[test]
fn a_silent_peer_is_sent_a_ping_and_one_that_does_not_answer_is_lost() {
    annulus::run(async {
        time::pause();
        let options = Options::new()
            .ping_interval(Duration::from_secs(20))
            .ping_timeout(Duration::from_secs(4));
        let (handler, told) = until_the_end(options);
        let mut peer = Peer::in_memory(handler).await;
        let mut begin = time::now();
        let waited = |begin: &mut Instant| {
            let waited = time::now() - *begin;
            *begin += waited;
            waited.as_secs_f64().round()
        };
        // Each answer begins the time anew, and so does any other byte.
        for answer in [frame(PONG, ""), frame(FIRST_TEXT, "begun"), vec![0x89]] {
            peer.expect(PING, "").await;
            assert_eq!(waited(&mut begin), 20.0);
            peer.send(&answer).await;
        }
        peer.expect(PING, "").await;
        assert_eq!(waited(&mut begin), 20.0);
        assert_eq!(told.await.unwrap(), (vec![], Err(Error::PingTimeout)));
        assert_eq!(waited(&mut begin), 4.0);
        peer.expect_end().await;
    });
}

/// Messages that the function does not take stand before the answer to the ping.
#[test]
fn a_function_that_does_not_receive_is_no_reason_to_lose_its_peer() {
    annulus::run(async {
        time::pause();
        let goes_on = Rc::new(Notify::new());
        let gate = Rc::clone(&goes_on);
        let handler = async move |request: Request| {
            let gate = Rc::clone(&gate);
            request.websocket(async move |socket: WebSocket| {
                gate.notified().await;
                echo(socket).await
            })
        };
        let mut peer = Peer::in_memory(handler).await;
        peer.send([frame(TEXT, "one"), frame(TEXT, "two")].concat())
            .await;
        time::sleep(Duration::from_secs(300)).await;
        goes_on.notify_one();
        loop {
            match peer.next().await {
                (PING, _) => peer.send(frame(PONG, "")).await,
                found => break assert_eq!(found, (TEXT, b"one".to_vec())),
            }
        }
    });
}

#[test]
fn pings_can_be_left_out() {
    annulus::run(async {
        time::pause();
        let handler = async |request: Request| {
            let options = Options::new().ping_interval(Duration::MAX);
            request.websocket_with(&options, echo)
        };
        let mut peer = Peer::in_memory(handler).await;
        time::sleep(Duration::from_secs(100_000)).await;
        peer.send(frame(TEXT, "here")).await;
        peer.expect(TEXT, "here").await;
    });
}

/// A peer that sends pings and reads nothing makes no memory grow.
#[test]
fn the_answers_to_pings_are_limited() {
    run_each(async || {
        let (tell, told) = telling::<usize>();
        let handler = async move |request: Request| -> Response {
            let tell = tell();
            let options = Options::new().buffered_bytes_max(1000);
            request.websocket_with(&options, async move |mut socket: WebSocket| {
                while socket.try_send(vec![0; 5000]).is_ok() {
                    task::yield_now().await;
                }
                let message = socket.recv().await?;
                assert_eq!(message, Some("marker".into()));
                tell.send(socket.buffered()).unwrap();
                http::Result::Ok(())
            })
        };
        let mut peer = Peer::open(handler).await;
        let mut bytes: Vec<u8> = (0..2000_u32)
            .flat_map(|n| frame(PING, n.to_be_bytes()))
            .collect();
        bytes.extend(frame(TEXT, "marker"));
        peer.send(bytes).await;
        let buffered = told.await.unwrap();
        assert!(buffered < 10_000, "{buffered}");
    });
}

/// A peer that takes bytes owes no answer to a frame that has not come to it.
#[test]
fn a_peer_that_reads_slowly_is_given_the_time_that_it_needs() {
    annulus::run(async {
        time::pause();
        let (tell, told) = telling();
        let handler = async move |request: Request| {
            let tell = tell();
            request.websocket(async move |socket: WebSocket| {
                // Some minutes of it are before the first ping, and as many before the close frame.
                for _ in 0..2 {
                    socket.send(vec![7; 200_000]).await?;
                    socket.flush().await?;
                }
                socket.send(vec![7; 200_000]).await?;
                tell.send(()).unwrap();
                Ok(())
            })
        };
        let (near, far) = annulus::io::duplex(1000);
        drop(annulus::spawn(
            annulus::http::Connection::new().serve(far, handler),
        ));
        near.write_all(super::peer::HANDSHAKE.as_bytes())
            .await
            .unwrap();
        near.write_all(b"\r\n").await.unwrap();
        let (mut received, mut answered) = (Vec::new(), 0);
        while received.len() < 600_000 {
            // Never as long as one of the times.
            time::sleep(Duration::from_secs(4)).await;
            let piece = near.recv().await.unwrap();
            assert!(!piece.is_empty(), "it ended after {}", received.len());
            received.extend_from_slice(&piece);
            // Pings come after minutes, and are answered at once.
            if let Some(at) = received[answered..]
                .windows(2)
                .position(|pair| pair == [PING, 0])
            {
                answered += at + 2;
                near.write_all(&frame(PONG, "")).await.unwrap();
            }
        }
        assert!(answered > 200_000, "there was a ping");
        told.await.unwrap();
        while !received.ends_with(b"\x88\x02\x03\xe8") {
            let piece = near.recv().await.unwrap();
            assert!(!piece.is_empty(), "it ended without a close frame");
            received.extend_from_slice(&piece);
        }
        near.write_all(&close(1000, "")).await.unwrap();
        while !near.recv().await.unwrap().is_empty() {}
    });
}

/// Its kernel may acknowledge bytes for ever: here the channel is full.
#[test]
fn a_peer_that_reads_nothing_is_lost() {
    annulus::run(async {
        time::pause();
        let (tell, told) = telling();
        let handler = async move |request: Request| {
            let tell = tell();
            request.websocket(async move |socket: WebSocket| {
                let begin = time::now();
                let mut end = Ok(());
                while end.is_ok() {
                    end = socket.send(vec![7; 10_000]).await;
                }
                drop(tell.send((end, socket.closed().await, time::now() - begin)));
                Ok(end?)
            })
        };
        let _peer = Peer::in_memory(handler).await;
        let (end, closed, waited) = told.await.unwrap();
        assert_eq!(end, Err(Error::PingTimeout));
        assert_eq!(closed, Err(Error::PingTimeout));
        assert!(waited >= Duration::from_secs(40) && waited < Duration::from_secs(45));
    });
}

#[test]
fn a_plain_echo_ends_with_its_peer() {
    run_each(async || {
        let mut peer = Peer::open(echoes).await;
        peer.send(close(3000, "")).await;
        peer.expect_close(3000).await;
        peer.expect_end().await;
    });
}
