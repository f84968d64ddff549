//! The request line.

use std::{io::Read as _, thread};

use crate::{client::Client, table::Table};

fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: a\r\n\r\n"].concat()
}

#[test]
fn methods_are_tokens_whose_case_matters() {
    let table = Table::new();
    table.served(line("get / HTTP/1.1"), "get /");
    table.served(line("PROPFIND / HTTP/1.1"), "PROPFIND /");
    table.served(
        line("!#$%&'*+-.^_`|~9aZ / HTTP/1.1"),
        "!#$%&'*+-.^_`|~9aZ /",
    );
    table.refused(line("G(T / HTTP/1.1"), 400);
    table.refused(line("G\u{e9}T / HTTP/1.1"), 400);
    table.refused(line("G\0T / HTTP/1.1"), 400);
    let longest = "M".repeat(32);
    table.served(
        line(format!("{longest} / HTTP/1.1")),
        &format!("{longest} /"),
    );
    table.refused(line(format!("{longest}M / HTTP/1.1")), 501);
}

#[test]
fn parts_stand_between_single_spaces() {
    let table = Table::new();
    for text in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET / HTTP/1.1\t",
        "GET /a b HTTP/1.1",
        "GET /\x0bHTTP/1.1",
        "GET /x",
        "GET",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
        "garbage",
    ] {
        table.refused(line(text), 400);
    }
    table.refused("GET /x\r\n\r\n", 400);
}

#[test]
fn a_client_of_another_protocol_is_answered_while_it_waits() {
    let table = Table::new();
    for text in [
        &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..],
        b"EHLO client.example\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET /x\r\n",
        b"\0",
        b"\x16\x03\x01\x02\0\x01",
        b"\x80\x2e\x01\x03\x01",
        b"\r\n\0",
    ] {
        // It sends no more, and would be told 408 when its head is late.
        let mut client = Client::connect(table.server.addr());
        client.send(text);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (400, true), "{text:?}");
    }
}

#[test]
fn empty_lines_before_a_request_are_skipped_up_to_four() {
    let table = Table::new();
    let get = line("GET / HTTP/1.1");
    for count in 1..=4 {
        table.served(["\r\n".repeat(count).as_bytes(), &get].concat(), "GET /");
    }
    table.refused(["\r\n".repeat(5).as_bytes(), &get].concat(), 400);
    for start in ["\n", "\r\n\n", "\r", " \r\n"] {
        table.refused([start.as_bytes(), &get].concat(), 400);
    }
}

#[test]
fn versions() {
    let table = Table::new();
    for version in ["HTTP/1.1", "HTTP/1.2", "HTTP/1.9"] {
        table.served(line(format!("GET / {version}")), "GET /");
    }
    table.served_last(line("GET / HTTP/1.0"), "GET /");
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.1"] {
        table.refused(line(format!("GET / {version}")), 505);
    }
    for version in [
        "HTTP/1",
        "HTTP/01.1",
        "http/1.1",
        "Http/1.1",
        "HTTP/1.10",
        "HTTP/1.a",
        "HTTP/a.1",
        "HTTP/1.1x",
        "HTTP/11",
        "HTTP 1.1",
        "HTTP/1,1",
        "HTTP/+1.1",
        "HTTPS/1.1",
        "ICY",
    ] {
        table.refused(line(format!("GET / {version}")), 400);
    }
}

#[test]
fn the_preface_of_http_2_is_refused_by_a_server_without_it() {
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let table = Table::new();
    if cfg!(not(feature = "http2")) {
        table.refused(PREFACE, 505);
        return;
    }
    // It begins HTTP/2 here, and the first frame of the server is SETTINGS on stream 0 (RFC 9113,
    // section 3.4). An empty SETTINGS of the client stands behind the preface.
    for at in 0..PREFACE.len() {
        let mut client = Client::connect(table.server.addr());
        let (first, second) = PREFACE.as_bytes().split_at(at);
        client.send(first);
        thread::yield_now();
        client.send([second, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat());
        let mut head = [0; 9];
        client.stream.read_exact(&mut head).unwrap();
        assert_eq!(head[3..], [4, 0, 0, 0, 0, 0], "split at {at}");
    }
}

#[test]
fn targets_have_the_form_that_their_method_allows() {
    let table = Table::new();
    for target in [
        "/",
        "/a/b?c=d",
        "/?",
        "//host/a",
        "/%41",
        "/a|b{}^\"",
        "http://h/p",
        "http://h",
        "HTTP://h:80/",
        "http://[::1]:80/",
        "http://h?q",
    ] {
        table.served(
            line(format!("GET {target} HTTP/1.1")),
            &format!("GET {target}"),
        );
    }
    for target in [
        "a/b",
        "?a",
        "ftp://h/",
        "http:/h",
        "://h",
        "http:///p",
        "http://u@h/p",
        "http://h:x/p",
        "*",
        "h:443",
        "/#",
        "/a#b",
        "/a?b#c",
        "http://h/#a",
    ] {
        table.refused_open_or_not(line(format!("GET {target} HTTP/1.1")));
    }
    table.served(line("OPTIONS * HTTP/1.1"), "OPTIONS *");
    table.refused_open_or_not(line("OPTIONS *a HTTP/1.1"));
    table.refused(line("CONNECT h:443 HTTP/1.1"), 501);
    for target in ["h", "/", "http://h:1/", "u@h:1", "*", ":443", "h:99999"] {
        table.refused(line(format!("CONNECT {target} HTTP/1.1")), 400);
    }
}

#[test]
fn targets_are_printable_ascii() {
    let table = Table::new();
    for byte in (0..=0x1F).chain(0x7F..=0xFF) {
        table.refused(
            [b"GET /a", &[byte][..], b"b HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
            400,
        );
    }
    table.refused(line("GET /\u{e9} HTTP/1.1"), 400);
}

#[test]
fn a_target_over_the_limit_is_refused_where_it_crosses_it() {
    let table = Table::new();
    let target = format!("/{}", "a".repeat(7899));
    table.served(
        line(format!("GET {target} HTTP/1.1")),
        &format!("GET {target}"),
    );
    table.refused(line(format!("GET /{} HTTP/1.1", "a".repeat(9000))), 414);
    // Without its end.
    let mut client = Client::connect(table.server.addr());
    client.send(format!("GET /{}", "a".repeat(8300)));
    assert_eq!(client.answer().status, 414);
    client.expect_fin();
}

#[test]
fn lines_end_with_cr_lf() {
    let table = Table::new();
    table.refused("GET / HTTP/1.1\nHost: a\r\n\r\n", 400);
    table.refused("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
    table.refused("GET / HTTP/1.1\r\nHost: a\r\n\n", 400);
    table.refused("GET / HTTP/1.1\n\n", 400);
    table.refused("GET / HTTP/1.1\rHost: a\r\n\r\n", 400);
    table.refused("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400);
    table.refused("GET / HTTP/1.1\r\nHost: a\r\n\rX", 400);
    table.refused("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    table.refused("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400);
}

#[test]
fn what_is_no_http_is_refused() {
    let table = Table::new();
    table.refused(b"\xff\xfe\x00garbage\r\n\r\n", 400);
    table.refused(b"\0\0\0\0\r\n\r\n", 400);
    table.refused(vec![b'x'; 20_000], 501);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    table.refused(hello, 400);
    let mut client = Client::connect(table.server.addr());
    client.send(hello);
    let text = String::from_utf8(client.answer().body).unwrap();
    assert!(text.contains("TLS"), "it names the mistake: {text}");
}
