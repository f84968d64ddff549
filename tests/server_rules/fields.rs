//! The fields of a request.

use std::fmt::Write as _;

use crate::{client::Client, table::Table};

/// A request with a `Host` and these lines.
fn fields(lines: impl AsRef<[u8]>) -> Vec<u8> {
    let start = b"GET / HTTP/1.1\r\nHost: a\r\n";
    [start, lines.as_ref(), b"\r\n\r\n"].concat()
}

fn host(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\n", lines.as_ref(), b"\r\n\r\n"].concat()
}

#[test]
fn host_is_there_once_and_is_a_host() {
    let table = Table::new();
    for good in [
        "a",
        "example.com:80",
        "a:",
        "[::1]",
        "[::1]:80",
        "a_b",
        "a%41",
        "A.B",
    ] {
        table.served(host(format!("Host: {good}")), "GET /");
    }
    for bad in [
        "", "u@a", "a/b", "a?b", "a#b", "a b", "a:1:2", "a:x", ":80", "a:65536", "[::1", "::1",
        "[]", "[::1]x", "http://a", "a, b", "a\u{e9}", "a\tb",
    ] {
        table.refused_open_or_not(host(format!("Host: {bad}")));
    }
    table.refused_open_or_not(host("Accept: */*"));
    table.refused_open_or_not(host("Host: a\r\nHost: a"));
    table.refused_open_or_not(host("Host: a\r\nX: y\r\nhost: b"));
    table.refused(host("Host: a\0b"), 400);
    table.refused_open_or_not(b"GET / HTTP/1.1\r\n\r\n");
    table.served_last("GET / HTTP/1.0\r\n\r\n", "GET /");
    table.served("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", "GET http://a/");
    table.served("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "GET http://a/");
    table.refused_open_or_not(b"GET http://a/ HTTP/1.1\r\n\r\n");
}

#[test]
fn names_are_tokens_right_before_the_colon() {
    let table = Table::new();
    for good in [
        "X: y",
        "x_y: z",
        "Content_Length: 5",
        "!#$%&'*+-.^_`|~09aZ: y",
        "X:",
    ] {
        table.served(fields(good), "GET /");
    }
    for bad in [
        "X : y",
        "X\t: y",
        "Content-Length : 5",
        ": y",
        "X",
        "X y",
        "X y: z",
        "X(: y",
        "X\u{e9}: y",
        "X\0: y",
        "\"X\": y",
        "X\x0b: y",
    ] {
        table.refused(fields(bad), 400);
    }
}

#[test]
fn lines_are_not_folded() {
    let table = Table::new();
    table.refused(fields("X: y\r\n z"), 400);
    table.refused(fields("X: y\r\n\tz"), 400);
    table.refused(fields("X: y\r\n "), 400);
    table.refused(host(" Host: a"), 400);
    table.refused(host("\tHost: a"), 400);
    table.refused(host(" \r\nHost: a"), 400);
}

#[test]
fn values_have_no_controls_and_may_have_other_bytes() {
    let table = Table::new();
    for byte in 0..=255 {
        let input = fields([b"X: a", &[byte][..], b"b"].concat());
        match byte {
            b'\t' | b' '..=0x7E => {}
            0x80.. => table.served(input, "GET /"),
            _ => table.refused(input, 400),
        }
    }
}

#[test]
fn heads_over_a_limit_are_refused_where_they_cross_it() {
    let table = Table::new();
    let lines = |count| {
        let mut lines = String::new();
        for index in 0..count {
            write!(lines, "X-{index}: y\r\n").unwrap();
        }
        lines.truncate(lines.len() - 2);
        lines
    };
    table.served(fields(lines(90)), "GET /");
    table.served(fields(format!("X: {}", "y".repeat(7 << 10))), "GET /");
    table.refused(fields(lines(100)), 431);
    table.refused(fields(format!("X: {}", "y".repeat(17 << 10))), 431);
    table.refused(fields("A: b\r\n".repeat(5000)), 431);
    // Without an end.
    for endless in [format!("X: {}", "y".repeat(17 << 10)), lines(102)] {
        let mut client = Client::connect(table.server.addr());
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{endless}"));
        assert_eq!(client.answer().status, 431);
        client.expect_fin();
    }
}

#[test]
fn connection_is_a_list_over_all_its_fields() {
    let table = Table::new();
    for close in [
        "Connection: close",
        "Connection: CLOSE",
        "connection: foo, Close",
        "Connection: foo ,\tclose , bar",
        "Connection: foo\r\nX: y\r\nConnection: close",
        "Connection: close\r\nConnection: keep-alive",
        "Connection: keep-alive, close",
    ] {
        table.served_last(fields(close), "GET /");
    }
    for open in [
        "Connection: keep-alive",
        "Connection: closed",
        "Connection: not-close",
        "Connection: \"close\"",
        "Connection:",
        "X-Connection: close",
    ] {
        table.served(fields(open), "GET /");
    }
}

#[test]
fn http_1_0_keeps_a_connection_only_when_asked() {
    let table = Table::new();
    let get = |lines: &str| format!("GET / HTTP/1.0\r\n{lines}\r\n");
    table.served_last(get(""), "GET /");
    table.served_last(get("Connection: close\r\n"), "GET /");
    table.served_last(get("Connection: keep-alive, close\r\n"), "GET /");
    table.served(get("Connection: keep-alive\r\n"), "GET /");
    table.served(get("Connection: foo, Keep-Alive\r\n"), "GET /");
    // It is announced, since the client would not know otherwise.
    let mut client = Client::connect(table.server.addr());
    client.send(get("Connection: keep-alive\r\n"));
    assert_eq!(client.answer().field("connection"), Some("keep-alive"));
}

#[test]
fn upgrades_that_the_server_does_not_offer_are_ignored() {
    let table = Table::new();
    for lines in [
        "Upgrade: websocket",
        "Upgrade: nonsense\r\nConnection: upgrade",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: upgrade",
    ] {
        table.served(fields(lines), "GET /");
    }
    table.served_last(
        "GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "GET /",
    );
}

#[test]
fn expectations_but_100_continue_fail() {
    let table = Table::new();
    table.served(fields("Expect: 100-continue"), "GET /");
    table.served(fields("Expect: 100-CONTINUE"), "GET /");
    for lines in [
        "Expect: 200-ok",
        "Expect: 100-continue, x",
        "Expect: 100-continue\r\nExpect: y",
    ] {
        table.refused(fields(lines), 417);
    }
    table.served_last("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "GET /");
}
