//! Answers that are at hand, and the requests that follow them.

use std::{
    cell::RefCell,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use annulus::http::{Client, HeaderValue, Limits, Request, Response, Router, client::Body, header};
use bytes::Bytes;

use crate::{
    running::{Running, get},
    support::{BOUND, http::read_answer},
};

/// Bytes that do something when they are dropped.
struct Watched<F: Fn()>(&'static str, F);

impl<F: Fn()> AsRef<[u8]> for Watched<F> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<F: Fn()> Drop for Watched<F> {
    fn drop(&mut self) {
        (self.1)();
    }
}

#[test]
fn a_body_that_was_copied_is_dropped_before_anything_is_waited_for() {
    let is_dropped = Arc::new(AtomicBool::new(false));
    let inner = Arc::clone(&is_dropped);
    let handler = async move |_request: Request| {
        let inner = Arc::clone(&inner);
        let watched = Watched("hello", move || inner.store(true, Ordering::Relaxed));
        Response::bytes(Bytes::from_owner(watched))
    };
    let server = Running::start(1, |server| server, handler);
    // The server waits for the rest of a body that the handler did not want.
    let mut stream = server.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    assert!(read_answer(&mut stream).ends_with("hello"));
    let start = Instant::now();
    while !is_dropped.load(Ordering::Relaxed) {
        assert!(start.elapsed() < BOUND, "the body is kept");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn every_gathered_answer_leaves() {
    const TAILS: [(&str, &str); 4] = [
        ("", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("\r\n", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("G", "ET /next HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("GET /next HTTP/1.1\r\nHost: a\r\n", "\r\n"),
    ];
    for (pipelined_max, body_bytes) in [(0, 1), (1, 9000), (2, 1), (16, 1), (16, 3000), (16, 70000)]
    {
        let limits = Limits {
            pipelined_max,
            ..Limits::default()
        };
        let handler = async move |_request: Request| Response::bytes(vec![b'x'; body_bytes]);
        let server = Running::start(1, move |server| server.limits(limits), handler);
        for count in [1, 15, 16, 17, 33] {
            for (tail, rest) in TAILS {
                let mut stream = server.send(&(get("/").repeat(count) + tail));
                for _ in 0..count {
                    assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200 "));
                }
                stream.write_all(rest.as_bytes()).unwrap();
                assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200 "));
            }
            // With bodies that no handler reads, and refusals that leave the connection open.
            let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
            let refused = "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n";
            let mut stream = server.send(&format!("{body}{refused}").repeat(count));
            for _ in 0..count {
                assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200 "));
                assert!(read_answer(&mut stream).starts_with("HTTP/1.1 400 "));
            }
        }
    }
}

thread_local! {
    static KEPT: RefCell<Vec<Request>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn a_request_that_is_kept_stays_what_it_was() {
    fn tell(request: &Request) -> String {
        let id = request.param_str("id").ok();
        let mark = request.field("mark").map(<[u8]>::escape_ascii);
        let mark = mark.map(|mark| mark.to_string());
        format!("{} {id:?} {mark:?}", request.target())
    }
    async fn keep(request: Request) -> String {
        KEPT.with_borrow_mut(|kept| {
            kept.push(request);
            kept.iter().map(tell).collect::<Vec<_>>().join("|")
        })
    }
    let make = || Router::new().get("/users/{id}", keep).get("/plain", keep);
    let server = Running::start_by(1, |server| server, move |server| server.run_each(make));
    let mut stream = server.send("GET /users/7 HTTP/1.1\r\nHost: a\r\nMark: one\r\n\r\n");
    let mut seen = String::from("/users/7 Some(\"7\") Some(\"one\")");
    assert!(read_answer(&mut stream).ends_with(&seen));
    for (request, told) in [
        (
            "GET /plain HTTP/1.1\r\nHost: a\r\nMark: one\r\n\r\n",
            "/plain None Some(\"one\")",
        ),
        (
            "GET /users/12345 HTTP/1.1\r\nHost: a\r\nMark: one\r\n\r\n",
            "/users/12345 Some(\"12345\") Some(\"one\")",
        ),
        (
            "GET /users/8 HTTP/1.1\r\nHost: a\r\n\r\n",
            "/users/8 Some(\"8\") None",
        ),
    ] {
        let mut stream = server.send(request);
        seen = format!("{seen}|{told}");
        let answer = read_answer(&mut stream);
        assert!(answer.ends_with(&format!("\r\n\r\n{seen}")), "{answer}");
    }
}

#[test]
fn a_content_type_is_dropped_while_nothing_is_borrowed() {
    let handler = async |request: Request| {
        let is_first = request.path() == "/first";
        KEPT.with_borrow_mut(|kept| kept.push(request));
        let value = if is_first {
            let use_all =
                || KEPT.with_borrow(|kept| kept.iter().for_each(|kept| kept.early_hints(&[])));
            let value = Bytes::from_owner(Watched("text/mine", use_all));
            HeaderValue::from_maybe_shared(value).unwrap()
        } else {
            HeaderValue::from_static("text/other")
        };
        Response::bytes(&b"hello"[..]).with_field(header::CONTENT_TYPE, value)
    };
    let server = Running::start(1, |server| server, handler);
    let mut stream = server.connect();
    for path in ["/first", "/second", "/first"] {
        stream.write_all(get(path).as_bytes()).unwrap();
        let mut answer = read_answer(&mut stream);
        while answer.starts_with("HTTP/1.1 103 ") {
            answer = read_answer(&mut stream);
        }
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

#[test]
fn a_client_of_ours_goes_on_after_an_upload_that_was_not_read() {
    let handler = async |request: Request| match request.path() {
        "/ignore" => Response::text("early"),
        _ => Response::text("next"),
    };
    let server = Running::start(1, |server| server, handler);
    let url = |path: &str| format!("http://{}{path}", server.addr);
    annulus::run(async {
        let client = Client::new();
        for bytes in [300 << 10, 1 << 20, 3 << 20] {
            for _ in 0..20 {
                let body = Body::chunked(vec![b'x'; bytes]);
                let early = client.post(url("/ignore")).body(body).send().await;
                // A client that sees the answer while it sends may give up.
                if let Ok(early) = early {
                    let _ = early.bytes().await;
                }
                let next = client.post(url("/next")).body("small").send().await;
                assert_eq!(next.unwrap().text().await.unwrap(), "next");
            }
        }
    });
    server.handle.stop(BOUND);
    server.ended().unwrap();
}
