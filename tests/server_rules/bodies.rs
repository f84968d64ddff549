//! Bodies of requests: when they are asked for, how they come, and where they are cut.

use std::{fmt::Write as _, thread};

use crate::{
    client::Client,
    support::conformance::Server,
    table::{BEHIND, Table},
};

fn post(path: &str, lines: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    for expect in ["100-continue", "100-Continue"] {
        for (length, body) in [
            ("Content-Length: 5", "hello"),
            ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            client.send(post("/x", &format!("{length}\r\nExpect: {expect}\r\n")));
            let interim = client.answer();
            assert_eq!((interim.status, interim.fields.len()), (100, 0));
            client.send(body);
            assert_eq!(client.answer().echo(), "POST /x hello");
        }
    }
}

#[test]
fn a_client_that_does_not_wait_may_be_told_and_is_answered_once() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    client.send(post("/x", "Content-Length: 5\r\nExpect: 100-continue\r\n") + "hello" + BEHIND);
    let mut answer = client.answer();
    if answer.status == 100 {
        answer = client.answer();
    }
    assert_eq!(answer.echo(), "POST /x hello");
    assert_eq!(client.answer().echo(), "GET /behind");
}

#[test]
fn a_client_is_not_told_to_send_a_body_that_is_not_read() {
    let server = Server::start(&["--max-body", "100"]);
    // The handler answers without the body: the client cannot know whether to send it.
    let mut client = Client::connect(server.addr());
    client.send(post(
        "/noread",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    ));
    let answer = client.answer();
    assert_eq!(answer.body, b"early");
    assert!(
        answer.closes(),
        "what came next would be a body or a request"
    );
    client.expect_fin();
    // The body is refused.
    let mut client = Client::connect(server.addr());
    client.send(post(
        "/x",
        "Content-Length: 101\r\nExpect: 100-continue\r\n",
    ));
    let answer = client.answer();
    assert_eq!((answer.status, answer.closes()), (413, true));
    client.expect_fin();
    // There is none.
    let mut client = Client::connect(server.addr());
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().echo(), "GET /x");
    // HTTP/1.0 knows nothing of it.
    let mut client = Client::connect(server.addr());
    client.send("POST /x HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.answer().echo(), "POST /x hello");
}

#[test]
fn an_unread_body_is_skipped_or_ends_the_connection() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    let chunked = post("/noread", "Transfer-Encoding: chunked\r\n");
    for _ in 0..3 {
        client.send(post("/noread", "Content-Length: 50000\r\n"));
        // The answer does not wait for the body.
        assert_eq!(client.answer().body, b"early");
        client.send(vec![b'x'; 50_000]);
        client.send(chunked.clone() + "5\r\nhello\r\n0\r\nA: b\r\n\r\n");
        assert_eq!(client.answer().body, b"early");
    }
    client.send(BEHIND);
    assert_eq!(client.answer().echo(), "GET /behind");
    // A body whose end is not here, and may be anywhere.
    let mut client = Client::connect(server.addr());
    client.send(chunked.clone() + "5\r\nhello\r\n");
    let answer = client.answer();
    assert_eq!((&*answer.body, answer.closes()), (&b"early"[..], true));
    client.send("0\r\n\r\n");
    client.expect_fin();
    // More than is worth skipping.
    let mut client = Client::connect(server.addr());
    client.send(post("/noread", "Content-Length: 1000000\r\n"));
    client.send(vec![b'x'; 100_000]);
    let answer = client.answer();
    assert_eq!((&*answer.body, answer.closes()), (&b"early"[..], true));
    client.expect_fin();
    // Malformed, so that its end is nowhere.
    let mut client = Client::connect(server.addr());
    client.send(chunked + "5 \r\nhello\r\n0\r\n\r\n" + BEHIND);
    let answer = client.answer();
    assert_eq!((&*answer.body, answer.closes()), (&b"early"[..], true));
    client.expect_fin();
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let mut client = Client::connect(server.addr());
        client.send(post("/x", "Content-Length: 100000000\r\n"));
        // It may close once it has read a good deal, and must not before.
        client.send(vec![b'x'; 200_000]);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (413, true));
        client.expect_fin();
    }
}

#[test]
fn bodies_come_in_any_pieces() {
    let server = Server::start(&["--max-body", "3000000"]);
    let mut client = Client::connect(server.addr());
    let content: Vec<u8> = (0..100_000_u32)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect();
    for piece in [1, 100, 1000, 33_333, 100_000] {
        let step = piece.max(20);
        client.send(post("/x", "Transfer-Encoding: chunked\r\n"));
        for chunk in content.chunks(piece.max(50)) {
            client.send(format!("{:x}\r\n", chunk.len()));
            for part in chunk.chunks(step) {
                client.send(part);
            }
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().body, content);
    }
    let large = vec![b'y'; 3_000_000];
    client.send(post("/x", "Content-Length: 3000000\r\n"));
    client.send(&large);
    assert_eq!(client.answer().body, large);
}

#[test]
fn many_tiny_chunks_are_one_body() {
    let table = Table::new();
    let mut client = Client::connect(table.server.addr());
    client.send(post("/x", "Transfer-Encoding: chunked\r\n"));
    client.send("1\r\nx\r\n".repeat(50_000));
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().body, vec![b'x'; 50_000]);
    let mut chunks = String::new();
    for index in 0..2000 {
        write!(chunks, "1;{}\r\nx\r\n", format_args!("a={index:04}")).unwrap();
    }
    // 2000 extensions of 7 bytes fit, 2000 of a kilobyte do not.
    client.send(post("/x", "Transfer-Encoding: chunked\r\n") + &chunks + "0\r\n\r\n");
    assert_eq!(client.answer().body.len(), 2000);
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(1023));
    client.send(post("/x", "Transfer-Encoding: chunked\r\n") + &chunk.repeat(40));
    assert_eq!(client.answer().status, 400);
    client.expect_fin();
    table.expect_honest();
}

#[test]
fn what_is_complete_is_answered_before_a_fin() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.addr());
    client.send(BEHIND.repeat(3) + "GET / HT");
    client.fin();
    for _ in 0..3 {
        assert_eq!(client.answer().echo(), "GET /behind");
    }
    client.expect_fin();
    // Also when the handler takes its time, or the answer does.
    let mut client = Client::connect(server.addr());
    client.send(
        "GET /slow?ms=30 HTTP/1.1\r\nHost: a\r\n\r\nGET /status/404 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    client.fin();
    assert_eq!(client.answer().body, b"slow");
    assert_eq!(client.answer().status, 404);
    client.expect_fin();
    for half in ["G", "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", ""] {
        let mut client = Client::connect(server.addr());
        client.send(half);
        client.fin();
        client.expect_fin();
    }
}

#[test]
fn a_body_that_is_cut_off_is_refused() {
    let table = Table::new();
    for (lines, body) in [
        ("Content-Length: 5\r\n", ""),
        ("Content-Length: 5\r\n", "hell"),
        ("Transfer-Encoding: chunked\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "5"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhell"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\nA: b\r\n",
        ),
    ] {
        let mut client = Client::connect(table.server.addr());
        client.send(post("/x", lines) + body);
        thread::yield_now();
        client.fin();
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.closes()),
            (400, true),
            "{lines} {body}"
        );
        client.expect_fin();
    }
    table.expect_honest();
}

#[test]
fn a_client_that_leaves_costs_nothing_but_its_connection() {
    let mut table = Table::new();
    for input in [
        "GET /slow?ms=50 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /big?n=100000000 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        "GET /sse HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HT",
    ] {
        for _ in 0..20 {
            let mut client = Client::connect(table.server.addr());
            client.send(input);
            drop(client);
        }
        table.expect_honest();
    }
    assert!(table.server.is_alive());
}
