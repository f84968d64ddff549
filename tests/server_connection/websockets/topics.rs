//! WebSockets that subscribe to topics.

use std::{cell::Cell, rc::Rc, thread, time::Duration};

use annulus::{
    http::{
        self, Request, Response, WebSocketEndpoint, WebSocketHandler,
        topics::{Options, Slow, Topics},
        websocket::{CloseCode, Message, Peer, WebSocket},
    },
    task, time,
};

use super::peer::{BINARY, PING, PONG, Peer as TestPeer, TEXT, close, frame};
use crate::support::run_each;

/// Subscribes to `room`, and publishes there what it receives.
fn chat(topics: &Topics) -> impl AsyncFn(Request) -> Response + 'static {
    let topics = topics.clone();
    async move |request: Request| {
        let topics = topics.clone();
        request.websocket(async move |mut socket: WebSocket| {
            socket.subscribe(&topics, "room");
            while let Some(message) = socket.recv().await? {
                topics.publish("room", message);
            }
            Ok(())
        })
    }
}

/// Subscribes to `room`, and does nothing else. Counts the turns of its function.
fn listen(topics: &Topics, turns: &Rc<Cell<u32>>) -> impl AsyncFn(Request) -> Response + 'static {
    let (topics, turns) = (topics.clone(), Rc::clone(turns));
    async move |request: Request| {
        let (topics, turns) = (topics.clone(), Rc::clone(&turns));
        request.websocket(async move |mut socket: WebSocket| {
            socket.subscribe(&topics, "room");
            std::future::poll_fn(|context| {
                turns.set(turns.get() + 1);
                let mut receive = std::pin::pin!(socket.recv());
                receive.as_mut().poll(context).map(drop)
            })
            .await;
            Ok(())
        })
    }
}

async fn until(topics: &Topics, count: usize) {
    while topics.subscribers("room") != count {
        task::yield_now().await;
    }
}

#[test]
fn a_chat_of_three_hears_everything_and_presence_follows() {
    run_each(async || {
        let topics = Topics::new();
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(TestPeer::open(chat(&topics)).await);
        }
        until(&topics, 3).await;
        peers[0].send(frame(TEXT, "hello")).await;
        peers[1].send(frame(BINARY, [0, 255])).await;
        for peer in &mut peers {
            let (first, second) = (peer.next().await, peer.next().await);
            let text = (TEXT, b"hello".to_vec());
            assert!(first == text || second == text);
            assert!(first.0 == BINARY || second.0 == BINARY);
        }
        // Another thread publishes while they are at rest.
        let publisher = topics.clone();
        let large = "x".repeat(100_000);
        let text = large.clone();
        let reached = thread::spawn(move || publisher.publish("room", text)).join();
        assert_eq!(reached.unwrap(), 3);
        for peer in &mut peers {
            peer.expect(TEXT, &large).await;
        }
        peers[2].send(close(1000, "")).await;
        peers[2].expect_close(1000).await;
        peers[1].leave().await;
        until(&topics, 1).await;
        topics.publish("room", "still here");
        peers[0].expect(TEXT, "still here").await;
        drop(peers);
        until(&topics, 0).await;
        assert_eq!(topics.total_counts().dropped, 0);
    });
}

#[test]
fn messages_of_one_turn_leave_by_one_send_and_no_turn_of_the_function() {
    annulus::run(async {
        let topics = Topics::new();
        let turns = Rc::default();
        let mut peer = TestPeer::in_memory(listen(&topics, &turns)).await;
        until(&topics, 1).await;
        for number in 0..20 {
            topics.publish("room", number.to_string());
        }
        for number in 0..20 {
            peer.expect(TEXT, number.to_string()).await;
        }
        assert_eq!(peer.piece_count, 1);
    });
    run_each(async || {
        let topics = Topics::new();
        let turns = Rc::default();
        let mut peer = TestPeer::open(listen(&topics, &turns)).await;
        until(&topics, 1).await;
        peer.send(frame(PING, "")).await;
        peer.expect(PONG, "").await;
        let before = turns.get();
        for _ in 0..5 {
            topics.publish("room", "hello");
            peer.expect(TEXT, "hello").await;
        }
        assert_eq!(turns.get(), before);
    });
}

#[test]
fn a_late_subscriber_has_the_history() {
    run_each(async || {
        let topics = Topics::with_options(Options::new().history(2));
        for text in ["one", "two", "three"] {
            topics.publish("room", text);
        }
        let mut peer = TestPeer::open(chat(&topics)).await;
        peer.expect(TEXT, "two").await;
        peer.expect(TEXT, "three").await;
        topics.publish("room", "four");
        peer.expect(TEXT, "four").await;
    });
}

#[test]
fn a_subscription_can_be_given_up() {
    run_each(async || {
        let topics = Topics::new();
        let rooms = topics.clone();
        let handler = async move |request: Request| {
            let topics = rooms.clone();
            request.websocket(async move |socket: WebSocket| {
                let (sender, mut receiver) = socket.split();
                let mut room = None;
                while let Some(message) = receiver.recv().await? {
                    match message.as_text() {
                        Some("join") => room = Some(sender.subscribe(&topics, "room")),
                        Some("leave") => room.take().unwrap().unsubscribe(),
                        _ => {}
                    }
                    sender.send("done").await?;
                }
                Ok(())
            })
        };
        let mut peer = TestPeer::open(handler).await;
        for _ in 0..3 {
            peer.send(frame(TEXT, "join")).await;
            peer.expect(TEXT, "done").await;
            assert_eq!(topics.publish("room", "in"), 1);
            peer.expect(TEXT, "in").await;
            peer.send(frame(TEXT, "leave")).await;
            peer.expect(TEXT, "done").await;
            assert_eq!(topics.publish("room", "out"), 0);
        }
    });
}

/// A chat whose connections have no function.
struct Chat(Topics);

impl WebSocketHandler for Chat {
    type Data = &'static str;

    async fn open(&self, peer: &Peer<&'static str>) -> http::Result<()> {
        peer.subscribe(&self.0, peer.data());
        Ok(())
    }

    async fn message(&self, peer: &Peer<&'static str>, message: Message) -> http::Result<()> {
        if message == Message::from("bye") {
            peer.start_close(CloseCode::NORMAL, "");
        }
        self.0.publish(peer.data(), message);
        Ok(())
    }
}

#[test]
fn connections_of_a_handler_object_subscribe() {
    run_each(async || {
        let topics = Topics::new();
        let endpoint = WebSocketEndpoint::new(Chat(topics.clone()));
        let handler = async move |request: Request| request.websocket_endpoint(&endpoint, "room");
        let mut one = TestPeer::open(handler.clone()).await;
        let mut two = TestPeer::open(handler).await;
        until(&topics, 2).await;
        one.send([frame(TEXT, "a"), frame(TEXT, "b")].concat())
            .await;
        for peer in [&mut one, &mut two] {
            peer.expect(TEXT, "a").await;
            peer.expect(TEXT, "b").await;
        }
        one.send(frame(TEXT, "bye")).await;
        one.expect_close(1000).await;
        two.expect(TEXT, "bye").await;
        drop(two);
        until(&topics, 0).await;
    });
}

/// A reader that stops, beside one that reads.
#[test]
fn a_reader_that_stops_is_served_by_the_rule_and_holds_up_no_other() {
    const COUNT: usize = 700;
    let check = |slow: Slow, expect: fn(Vec<usize>, u64)| {
        run_each(async || {
            let options = Options::new().slow(slow).pending_bytes_max(256 * 1024);
            let topics = Topics::with_options(options);
            let mut stopped = TestPeer::open(chat(&topics)).await;
            let mut reader = TestPeer::open(chat(&topics)).await;
            until(&topics, 2).await;
            let padding = "x".repeat(30_000);
            for number in 0..COUNT {
                topics.publish("room", format!("{number} {padding}"));
                if number % 50 == 49 {
                    for _ in 0..50 {
                        reader.next().await;
                    }
                }
            }
            let mut numbers = Vec::new();
            loop {
                let (first, payload) = stopped.next().await;
                if first != TEXT {
                    assert_eq!(payload[..2], 1013_u16.to_be_bytes());
                    break;
                }
                let text = String::from_utf8(payload).unwrap();
                numbers.push(text.split(' ').next().unwrap().parse().unwrap());
                let counts = topics.total_counts();
                let done = (numbers.len() + COUNT) as u64 == counts.delivered;
                if slow != Slow::Close && done && topics.counts("room").dropped > 0 {
                    let all = counts.delivered + counts.dropped;
                    if all == 2 * COUNT as u64 {
                        break;
                    }
                }
            }
            assert!(numbers.is_sorted());
            expect(numbers, topics.total_counts().closed);
        });
    };
    check(Slow::DropNew, |numbers, closed| {
        assert!(numbers.len() < COUNT);
        assert_eq!((numbers[0], closed), (0, 0));
        let is_whole = numbers.iter().enumerate().all(|(at, number)| at == *number);
        assert!(is_whole, "the first ones stay");
    });
    check(Slow::DropOldest, |numbers, closed| {
        assert!(numbers.len() < COUNT);
        assert_eq!((*numbers.last().unwrap(), closed), (COUNT - 1, 0));
    });
    check(Slow::LastValue, |numbers, closed| {
        assert!(numbers.len() < COUNT);
        assert_eq!((*numbers.last().unwrap(), closed), (COUNT - 1, 0));
    });
    check(Slow::Close, |numbers, closed| {
        assert!(numbers.len() < COUNT);
        assert_eq!(closed, 1);
    });
}

#[test]
fn subscribers_of_a_panicking_function_and_a_closed_connection_are_gone() {
    run_each(async || {
        let topics = Topics::new();
        let rooms = topics.clone();
        let handler = async move |request: Request| {
            let topics = rooms.clone();
            request.websocket(async move |mut socket: WebSocket| {
                socket.subscribe(&topics, "room");
                let message = socket.recv().await?.unwrap();
                if message == Message::from("panic") {
                    panic!("planned: a function");
                }
                socket.start_close(CloseCode::NORMAL, "");
                socket.subscribe(&topics, "room");
                assert_eq!(topics.subscribers("room"), 0);
                Ok(())
            })
        };
        for text in ["panic", "close"] {
            let mut peer = TestPeer::open(handler.clone()).await;
            until(&topics, 1).await;
            peer.send(frame(TEXT, text)).await;
            until(&topics, 0).await;
        }
    });
}

#[cfg(feature = "compress")]
#[test]
fn a_message_is_compressed_for_those_who_have_agreed_on_it() {
    const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    run_each(async || {
        let topics = Topics::new();
        let rooms = topics.clone();
        let handler = async move |request: Request| {
            let topics = rooms.clone();
            let options = http::websocket::Options::new().compression(true);
            request.websocket_with(&options, async move |mut socket: WebSocket| {
                socket.subscribe(&topics, "room");
                while socket.recv().await?.is_some() {}
                Ok(())
            })
        };
        let mut plain = TestPeer::open_with("", handler.clone()).await;
        let mut deflated = TestPeer::open_with(OFFER, handler.clone()).await;
        until(&topics, 2).await;
        let text = "again and ".repeat(100);
        topics.publish("room", text.clone());
        topics.publish("room", "short");
        plain.expect(TEXT, &text).await;
        plain.expect(TEXT, "short").await;
        let (first, payload) = deflated.next().await;
        assert!(first == 0xC1 && payload.len() < 50);
        deflated.expect(TEXT, "short").await;
    });
}

#[test]
fn a_client_may_subscribe_too_and_masks_what_it_sends() {
    run_each(async || {
        let topics = Topics::new();
        let listener = annulus::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        let (told, mut hears) = annulus::sync::mpsc::unbounded();
        let _server = annulus::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let handler = async move |request: Request| {
                let told = told.clone();
                request.websocket(async move |mut socket: WebSocket| {
                    while let Some(message) = socket.recv().await? {
                        told.send(message).await.unwrap();
                    }
                    Ok(())
                })
            };
            annulus::http::Connection::new()
                .serve(stream, handler)
                .await;
        });
        let url = format!("ws://{addr}/");
        let opened = annulus::http::Client::new()
            .websocket(&url)
            .connect()
            .await
            .unwrap();
        let socket = opened;
        socket.subscribe(&topics, "room");
        topics.publish("room", "one");
        topics.publish("room", vec![2; 70_000]);
        topics.publish("room", "");
        assert_eq!(hears.recv().await, Some(Message::from("one")));
        assert_eq!(hears.recv().await, Some(Message::from(vec![2; 70_000])));
        assert_eq!(hears.recv().await, Some(Message::from("")));
    });
}

#[test]
fn a_message_that_waits_too_long_ends_the_connection() {
    annulus::run(async {
        time::pause();
        let topics = Topics::new();
        let turns = Rc::default();
        // Room for the head and a message.
        let (near, far) = annulus::io::duplex(1024);
        let _peer = TestPeer::start(Box::new(near), far, "", b"", listen(&topics, &turns)).await;
        until(&topics, 1).await;
        topics.publish("room", vec![b'x'; 2000]);
        topics.publish("room", "waits");
        task::yield_now().await;
        topics.publish("room", "waits");
        time::sleep(Duration::from_secs(8)).await;
        assert_eq!(topics.subscribers("room"), 1);
        time::sleep(Duration::from_secs(4)).await;
        assert_eq!(topics.subscribers("room"), 0);
        assert_eq!(topics.total_counts().closed, 1);
    });
}
