//! Topics on a server with several workers: their subscribers, their counts, and the stop.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use annulus::http::{
    Phase, Request, Server,
    topics::Topics,
    websocket::{CloseCode, WebSocket},
};

use crate::{
    connections::info_of,
    running::{NEVER, Running, get},
    support::BOUND,
};

type Lines = Arc<Mutex<Vec<String>>>;

fn start(count: usize, topics: &Topics, lines: &Lines) -> Running {
    let (topics, lines) = (topics.clone(), Arc::clone(lines));
    let change = move |server: Server| {
        server.access_log(move |access| {
            let (target, status) = (access.target, access.status);
            let line = format!("{target} {status:?} {}", access.sent);
            lines.lock().unwrap().push(line);
        })
    };
    Running::start(count, change, async move |request: Request| {
        let topics = topics.clone();
        if request.upgrades().next().is_none() {
            return request.events(&topics, "news");
        }
        request.websocket(async move |mut socket: WebSocket| {
            socket.subscribe(&topics, "news");
            while let Some(message) = socket.recv().await? {
                topics.publish("news", message);
            }
            Ok(())
        })
    })
}

fn until_count(topics: &Topics, count: usize) {
    let start = Instant::now();
    while topics.subscribers("news") != count {
        assert!(start.elapsed() < BOUND, "{}", topics.subscribers("news"));
        thread::sleep(Duration::from_millis(1));
    }
}

/// Reads until `end`, and returns everything.
fn until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    read
}

fn listen(server: &Running) -> TcpStream {
    let mut stream = server.send(&get("/news"));
    until(&mut stream, b"\r\n\r\n");
    stream
}

fn chat(server: &Running) -> TcpStream {
    let mut stream = server.send(
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    until(&mut stream, b"\r\n\r\n");
    stream
}

#[test]
fn a_message_reaches_subscribers_of_all_workers_by_both_ways() {
    let topics = Topics::new();
    let server = start(3, &topics, &Lines::default());
    let mut listeners: Vec<_> = (0..12).map(|_| listen(&server)).collect();
    let mut chats: Vec<_> = (0..12).map(|_| chat(&server)).collect();
    until_count(&topics, 24);
    // One of them publishes, masked by zeros, and then this thread.
    chats[0].write_all(b"\x81\x83\0\0\0\0one").unwrap();
    for stream in &mut listeners {
        until(stream, b"data: one\n\n\r\n");
    }
    for number in 0..50 {
        topics.publish("news", format!("number {number:02}"));
    }
    for stream in &mut listeners {
        let all = until(stream, b"data: number 49\n\n\r\n");
        assert_eq!(
            String::from_utf8(all).unwrap().matches("data: ").count(),
            50
        );
    }
    for stream in &mut chats {
        assert_eq!(until(stream, b"one"), b"\x81\x03one");
        let all = until(stream, b"number 49");
        let expected = (0..50).map(|number| format!("number {number:02}"));
        let frames: Vec<u8> = expected
            .flat_map(|text| [&[0x81, text.len() as u8], text.as_bytes()].concat())
            .collect();
        assert!(all == frames);
    }
    drop((listeners, chats));
    until_count(&topics, 0);
    assert_eq!(topics.total_counts().delivered, 24 * 51);
    server.handle.stop(NEVER);
    assert_eq!(server.ended().unwrap().cut, 0);
}

#[test]
fn lists_of_connections_and_the_access_log_know_event_streams() {
    let (topics, lines) = (Topics::new(), Lines::default());
    let server = start(1, &topics, &lines);
    let mut stream = listen(&server);
    let info = info_of(&server.handle, &stream, Phase::Events);
    assert_eq!(info.peer, Some(stream.local_addr().unwrap()));
    topics.publish("news", "one");
    let event = until(&mut stream, b"data: one\n\n\r\n");
    assert!(lines.lock().unwrap().is_empty(), "it goes on");
    drop(stream);
    until_count(&topics, 0);
    let start = Instant::now();
    while lines.lock().unwrap().is_empty() {
        assert!(start.elapsed() < BOUND);
        thread::sleep(Duration::from_millis(1));
    }
    // The size of the chunk and two line ends are framing.
    let len = event.len() - 6;
    assert_eq!(*lines.lock().unwrap(), [format!("/news Some(200) {len}")]);
    server.handle.stop(NEVER);
    server.ended().unwrap();
}

#[test]
fn a_stop_ends_event_streams_by_the_end_of_their_body() {
    let topics = Topics::new();
    let server = start(2, &topics, &Lines::default());
    let mut listeners: Vec<_> = (0..5).map(|_| listen(&server)).collect();
    let mut chat = chat(&server);
    until_count(&topics, 6);
    server.handle.stop(NEVER);
    for stream in &mut listeners {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"0\r\n\r\n");
    }
    until(&mut chat, &CloseCode::GOING_AWAY.get().to_be_bytes());
    drop(chat);
    until_count(&topics, 0);
    assert_eq!(topics.publish("news", "nobody"), 0);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (6, 0), "{report}");
}

#[test]
fn a_deadline_cuts_subscribers_and_forgets_them() {
    let topics = Topics::new();
    let server = start(2, &topics, &Lines::default());
    let streams = [listen(&server), chat(&server), listen(&server)];
    until_count(&topics, 3);
    server.handle.stop(Duration::ZERO);
    server.ended().unwrap();
    assert_eq!(topics.subscribers("news"), 0);
    drop(streams);
}
