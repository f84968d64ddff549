//! The program `redis`, against a real server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use annulus::http::client::synchronous;
use ecosystem::{program::Program, redis_server::RedisServer};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_redis");

fn get(url: &str) -> (u16, String) {
    let answer = synchronous::fetch(url).unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

fn post(url: &str, body: &str) -> (u16, String) {
    let answer = synchronous::send(|client| client.post(url).body(body.to_owned()));
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

/// Asks and leaves the events to be read line by line. The connection ends with them.
fn open(addr: &str, path: &str) -> BufReader<TcpStream> {
    try_open(addr, path).expect("events are sent")
}

/// As `open`. None if the status is not 200.
fn try_open(addr: &str, path: &str) -> Option<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(addr).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    let _ = reader.read_line(&mut status).unwrap();
    if status != "HTTP/1.1 200 OK\r\n" {
        return None;
    }
    let _ = line_with(&mut reader, "text/event-stream");
    Some(reader)
}

fn line_with(reader: &mut BufReader<TcpStream>, text: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}

/// Asks until the answer is yes.
fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < BOUND, "it is never so");
        thread::yield_now();
    }
}

#[test]
fn visits_are_counted_by_pipelines_of_many_requests_on_one_connection() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let urls = [
        format!("redis://127.0.0.1:{}", server.port()),
        format!("redis+unix://{}", server.socket().display()),
    ];
    for (url, page) in urls.iter().zip(["tcp", "unix"]) {
        let (program, addr) = Program::serve_with(PROGRAM, &[url]);
        let visits = format!("http://{addr}/visits/{page}");
        assert_eq!(get(&visits), (200, "0\n".into()), "{url}");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        assert_eq!(post(&visits, "").0, 200);
                    }
                });
            }
        });
        assert_eq!(get(&visits), (200, "200\n".into()), "{url}");
        let _ = program.interrupt();
    }
}

#[test]
fn messages_reach_the_clients_that_watch_their_channel() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let url = format!("redis://127.0.0.1:{}", server.port());
    let (program, addr) = Program::serve_with(PROGRAM, &[&url]);
    let publish = |channel: &str, text: &str| {
        let (status, count) = post(&format!("http://{addr}/publish/{channel}"), text);
        assert_eq!(status, 200, "{count}");
        count
    };
    let mut news: Vec<_> = (0..4).map(|_| open(&addr, "/events/news")).collect();
    let mut sport = open(&addr, "/events/sport");
    for text in ["it rains", "it still rains"] {
        let _ = publish("news", text);
    }
    let _ = publish("sport", "1:0");
    for watcher in &mut news {
        assert_eq!(line_with(watcher, "data:"), "data: it rains\n");
        assert_eq!(line_with(watcher, "data:"), "data: it still rains\n");
    }
    assert_eq!(line_with(&mut sport, "data:"), "data: 1:0\n");
    // The last one to leave ends the subscription.
    drop(news);
    until(|| publish("news", "is any client there?") == "0 connections\n");
    let _ = publish("sport", "2:0");
    assert_eq!(line_with(&mut sport, "data:"), "data: 2:0\n");
    // The stop would wait for it.
    drop(sport);
    let _ = program.interrupt();
}

#[test]
fn the_connection_is_made_again_when_the_server_is_back() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let url = format!("redis://127.0.0.1:{}", server.port());
    let (program, addr) = Program::serve_with(PROGRAM, &[&url]);
    let visits = format!("http://{addr}/visits/home");
    assert_eq!(post(&visits, ""), (200, "1\n".into()));
    let mut watcher = open(&addr, "/events/news");
    server.stop();
    // Its events end, as the client's cue to connect again.
    let mut line = String::new();
    while watcher.read_line(&mut line).unwrap() > 0 {}
    assert_eq!(get(&visits).0, 503);
    server.resume();
    // Each worker has its own connection and connects again for itself: a request may reach one
    // that does not know yet.
    let mut watcher = None;
    until(|| {
        watcher = try_open(&addr, "/events/news");
        watcher.is_some()
    });
    let mut watcher = watcher.expect("it is open");
    let publish = format!("http://{addr}/publish/news");
    until(|| post(&publish, "again").0 == 200);
    assert_eq!(line_with(&mut watcher, "data:"), "data: again\n");
    drop(watcher);
    let _ = program.interrupt();
}
