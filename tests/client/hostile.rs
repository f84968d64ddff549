//! Servers that break the protocol, one line of the conformance list after the other.

use annulus::http::{
    Method,
    client::{Client, ErrorKind},
};

use crate::{script::Script, support::run};

/// The client's view of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The status and the body, and whether the connection was kept.
    Response(u16, String, bool),
    /// The head came, and the body was refused for this reason.
    BadBody(&'static str),
    /// There was no response, for this reason.
    Refused(&'static str),
}

fn get(answer: impl Into<Vec<u8>>) -> Seen {
    ask(&Method::GET, answer)
}

/// Has a server give this answer to one request, and then end its direction.
fn ask(method: &Method, answer: impl Into<Vec<u8>>) -> Seen {
    play(method, answer, true)
}

/// As `ask`, with a server that leaves the connection open.
fn ask_open(method: &Method, answer: impl Into<Vec<u8>>) -> Seen {
    play(method, answer, false)
}

fn play(method: &Method, answer: impl Into<Vec<u8>>, ends: bool) -> Seen {
    let answer = answer.into();
    let server = Script::new(move |conn| {
        if conn.request().is_some() {
            conn.send(&answer);
            if ends {
                conn.finish();
            } else {
                conn.wait_close();
            }
        }
    });
    run(async {
        let client = Client::new();
        let request = client.request(method.clone(), server.url("/"));
        match request.send().await {
            Err(error) => Seen::Refused(error.kind().as_str()),
            Ok(response) => {
                let status = response.status().as_u16();
                match response.bytes().await {
                    Err(error) => Seen::BadBody(error.kind().as_str()),
                    Ok(body) => {
                        let body = String::from_utf8(body).unwrap();
                        let is_kept = client.pool_state().idle() == 1;
                        Seen::Response(status, body, is_kept)
                    }
                }
            }
        }
    })
}

fn kept(status: u16, body: &str) -> Seen {
    Seen::Response(status, body.to_owned(), true)
}

fn closed(status: u16, body: &str) -> Seen {
    Seen::Response(status, body.to_owned(), false)
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn with(fields: &str) -> String {
    format!("{OK}{fields}\r\n")
}

#[test]
fn informational_responses_are_skipped_up_to_sixteen() {
    let end = with("Content-Length: 2\r\n") + "ok";
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    assert_eq!(
        ask_open(&Method::GET, interim.repeat(16) + &end),
        kept(200, "ok")
    );
    let seen = get(interim.repeat(17) + &end);
    assert_eq!(seen, Seen::Refused("too-many-informational"));
    let seen = get(interim.repeat(10_000));
    assert_eq!(seen, Seen::Refused("too-many-informational"));
}

#[test]
fn a_change_of_protocol_without_a_request_for_it_is_an_error() {
    let seen = get("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc");
    assert_eq!(seen, Seen::Refused("unexpected-upgrade"));
}

#[test]
fn responses_without_a_body_have_none_whatever_their_fields_say() {
    for (method, head) in [
        (
            Method::GET,
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            Method::GET,
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            Method::GET,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        ),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (
            Method::HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n"),
    ] {
        let status = head[9..12].parse().unwrap();
        assert_eq!(ask_open(&method, head), kept(status, ""), "{method} {head}");
    }
}

#[test]
fn framing_that_two_readers_could_read_differently_is_refused() {
    for (fields, reason) in [
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            "length-and-transfer-encoding",
        ),
        (
            "Content-Length: 2\r\nContent-Length: 3\r\n",
            "content-lengths-differ",
        ),
        (
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            "content-length-repeated",
        ),
        ("Content-Length: 2, 2\r\n", "content-length-repeated"),
        ("Transfer-Encoding: gzip\r\n", "transfer-encoding-invalid"),
        (
            "Transfer-Encoding: gzip, chunked\r\n",
            "transfer-encoding-unknown",
        ),
        (
            "Transfer-Encoding: xchunked\r\n",
            "transfer-encoding-invalid",
        ),
        (
            "Transfer-Encoding: identity\r\n",
            "transfer-encoding-invalid",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding-repeated",
        ),
    ] {
        assert_eq!(get(with(fields) + "ok"), Seen::Refused(reason), "{fields}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(get(old), Seen::Refused("transfer-encoding-in-http-1.0"));
}

#[test]
fn a_length_is_digits() {
    for value in [
        "+2", "-2", "0x2", "2a", "", "2 2", "2;", "2_0", "2.0", "\u{b2}", "\"2\"",
    ] {
        let seen = get(with(&format!("Content-Length: {value}\r\n")) + "ok");
        assert_eq!(seen, Seen::Refused("content-length-invalid"), "{value}");
    }
    for value in ["99999999999999999999", "18446744073709551616"] {
        let seen = get(with(&format!("Content-Length: {value}\r\n")) + "ok");
        assert_eq!(seen, Seen::Refused("content-length-too-large"), "{value}");
    }
    let seen = ask_open(&Method::GET, with("Content-Length:\t002 \r\n") + "ok");
    assert_eq!(seen, kept(200, "ok"));
}

#[test]
fn a_chunk_size_is_hex_digits() {
    let chunked = |body: &str| get(with("Transfer-Encoding: chunked\r\n") + body);
    for (body, reason) in [
        ("0x2\r\nok\r\n0\r\n\r\n", "chunk-size-invalid"),
        (" 2\r\nok\r\n0\r\n\r\n", "chunk-size-invalid"),
        ("2_\r\nok\r\n0\r\n\r\n", "chunk-size-invalid"),
        ("+2\r\nok\r\n0\r\n\r\n", "chunk-size-invalid"),
        ("-2\r\nok\r\n0\r\n\r\n", "chunk-size-invalid"),
        ("g\r\nok\r\n0\r\n\r\n", "chunk-size-invalid"),
        ("\r\nok\r\n0\r\n\r\n", "chunk-size-missing"),
        ("10000000000000000\r\nok", "chunk-size-too-large"),
        ("ffffffffffffffff\r\nok", "chunk-size-too-large"),
        ("2\nok\r\n0\r\n\r\n", "chunk-line-end"),
        ("2\r\nokXX0\r\n\r\n", "chunk-data-end"),
        ("2\r\nok\n0\r\n\r\n", "chunk-data-end"),
        ("3\r\nok\r\n0\r\n\r\n", "chunk-data-end"),
        ("2;a\nb\r\nok\r\n0\r\n\r\n", "chunk-extension-invalid"),
    ] {
        assert_eq!(chunked(body), Seen::BadBody(reason), "{body:?}");
    }
    let seen = ask_open(
        &Method::GET,
        with("Transfer-Encoding: Chunked\r\n")
            + "00A\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n",
    );
    assert_eq!(seen, kept(200, "0123456789abcdefghij"));
}

#[test]
fn chunk_extensions_and_trailers_are_tolerated_and_limited() {
    let chunked = with("Transfer-Encoding: chunked\r\n");
    let body = "2;a=b;c=\"d e\";f\r\nok\r\n0;z\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(
        ask_open(&Method::GET, chunked.clone() + body),
        kept(200, "ok")
    );
    let long = format!("2;{}\r\nok\r\n0\r\n\r\n", "a".repeat(5000));
    let seen = get(chunked.clone() + &long);
    assert_eq!(seen, Seen::BadBody("chunk-extension-too-large"));
    let many = format!("2\r\nok\r\n0\r\n{}\r\n", "a: b\r\n".repeat(40));
    assert_eq!(
        get(chunked.clone() + &many),
        Seen::BadBody("too-many-trailers")
    );
    let large = format!("2\r\nok\r\n0\r\na: {}\r\n\r\n", "b".repeat(9000));
    assert_eq!(
        get(chunked.clone() + &large),
        Seen::BadBody("trailers-too-large")
    );
    let seen = get(chunked + "2\r\nok\r\n0\r\na : b\r\n\r\n");
    assert_eq!(seen, Seen::BadBody("trailer-invalid"));
}

#[test]
fn a_short_body_is_an_error() {
    let sized = with("Content-Length: 5\r\n");
    assert_eq!(
        get(sized.clone() + "four"),
        Seen::BadBody("body-unexpected-eof")
    );
    assert_eq!(get(sized), Seen::BadBody("body-unexpected-eof"));
    let chunked = with("Transfer-Encoding: chunked\r\n");
    for body in [
        "",
        "5",
        "5\r\n",
        "5\r\nfour",
        "4\r\nfour\r\n",
        "4\r\nfour\r\n0\r\n",
    ] {
        let seen = get(chunked.clone() + body);
        assert_eq!(seen, Seen::BadBody("body-unexpected-eof"), "{body:?}");
    }
    assert_eq!(get(with("") + "to the end"), closed(200, "to the end"));
    assert_eq!(get("HTTP/1.0 200 OK\r\n\r\nold"), closed(200, "old"));
    for head in ["", "HTTP/1.1 200 OK\r\nContent-"] {
        let expected = if head.is_empty() {
            "closed"
        } else {
            "body-unexpected-eof"
        };
        assert_eq!(get(head), Seen::Refused(expected));
    }
}

#[test]
fn a_connection_with_bytes_behind_the_response_is_not_used_again() {
    for answer in [
        with("Content-Length: 2\r\n") + "okHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        with("Content-Length: 2\r\n") + "ok\r\n",
        with("Transfer-Encoding: chunked\r\n") + "2\r\nok\r\n0\r\n\r\nX",
    ] {
        assert_eq!(ask_open(&Method::GET, answer), closed(200, "ok"));
    }
    assert_eq!(
        ask_open(&Method::HEAD, with("Content-Length: 2\r\n") + "ok"),
        closed(200, "")
    );
    assert_eq!(
        ask_open(&Method::GET, "HTTP/1.1 204 No\r\n\r\nX"),
        closed(204, "")
    );
}

#[test]
fn what_the_server_says_of_the_connection_counts() {
    let sized = |fields: &str| with(&format!("Content-Length: 2\r\n{fields}")) + "ok";
    let ask = |answer: String| ask_open(&Method::GET, answer);
    assert_eq!(ask(sized("")), kept(200, "ok"));
    assert_eq!(ask(sized("Connection: close\r\n")), closed(200, "ok"));
    assert_eq!(ask(sized("Connection: x, CLOSE\r\n")), closed(200, "ok"));
    assert_eq!(
        ask(sized("Connection: x\r\nConnection: close\r\n")),
        closed(200, "ok")
    );
    assert_eq!(ask(sized("Keep-Alive: timeout=5\r\n")), kept(200, "ok"));
    assert_eq!(ask(sized("Keep-Alive: timeout=1\r\n")), closed(200, "ok"));
    let old = |fields: &str| sized(fields).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(ask(old("")), closed(200, "ok"));
    assert_eq!(ask(old("Connection: keep-alive\r\n")), kept(200, "ok"));
}

#[test]
fn fields_that_break_the_grammar_are_refused() {
    for (field, reason) in [
        ("A: b\0c\r\n", "field-value-invalid"),
        ("A : b\r\n", "space-before-colon"),
        ("A: b\r\n c\r\n", "line-folded"),
        ("A: b\r\n\tc\r\n", "line-folded"),
        ("A\r\n", "colon-missing"),
        (": b\r\n", "field-name-empty"),
        ("A b: c\r\n", "field-name-invalid"),
        ("A: b\rc\r\n", "bare-cr"),
        ("A: b\nC: d\r\n", "bare-lf"),
    ] {
        let seen = get(with(&format!("{field}Content-Length: 2\r\n")) + "ok");
        assert_eq!(seen, Seen::Refused(reason), "{field:?}");
    }
    let mut latin = b"HTTP/1.1 200 \xe9\r\nA: \xe9\r\nContent-Length: 2\r\n\r\nok".to_vec();
    assert_eq!(ask_open(&Method::GET, latin.clone()), kept(200, "ok"));
    latin[13] = 0;
    assert!(matches!(get(latin), Seen::Refused(_)));
}

#[test]
fn status_lines_are_held_to_their_grammar() {
    for (line, reason) in [
        ("HTTP/2.0 200 OK", "version-unsupported"),
        ("HTTP/1.1 20 OK", "status-line-invalid"),
        ("HTTP/1.1 2000 OK", "status-line-invalid"),
        ("HTTP/1.1 099 OK", "status-invalid"),
        ("HTTP/1.1 abc OK", "status-line-invalid"),
        ("HTTP/1 200 OK", "version-invalid"),
        ("ICY 200 OK", "version-invalid"),
    ] {
        let seen = get(format!("{line}\r\nContent-Length: 2\r\n\r\nok"));
        assert_eq!(seen, Seen::Refused(reason), "{line}");
    }
    for line in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.1 299 Whatever it is",
    ] {
        let answer = format!("{line}\r\nContent-Length: 2\r\n\r\nok");
        let status = line[9..12].parse().unwrap();
        assert_eq!(ask_open(&Method::GET, answer), kept(status, "ok"), "{line}");
    }
    assert!(matches!(get("\r\n\r\nnonsense\r\n\r\n"), Seen::Refused(_)));
}

#[test]
fn heads_are_limited() {
    let seen = get(with(&format!("A: {}\r\n", "b".repeat(20_000))));
    assert_eq!(seen, Seen::Refused("head-too-large"));
    let seen = get(with(&"A: b\r\n".repeat(200)));
    assert_eq!(seen, Seen::Refused("too-many-fields"));
    let seen = get(format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(9000)));
    assert!(matches!(seen, Seen::Refused(_)), "{seen:?}");
    // Endless ones end at the limit, not in memory.
    let endless = Script::new(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\n");
        while std::io::Write::write_all(&mut conn.stream, b"A: b\r\n").is_ok() {}
    });
    run(async {
        let error = annulus::http::fetch(endless.url("/")).await.unwrap_err();
        assert_eq!(error.kind().as_str(), "too-many-fields");
    });
}

#[test]
fn a_body_in_memory_is_limited() {
    let server = Script::new(|conn| {
        let request = conn.request().unwrap();
        if request.starts_with("GET /sized") {
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
        } else {
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        }
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
        while std::io::Write::write_all(&mut conn.stream, chunk.as_bytes()).is_ok() {}
    });
    run(async {
        let client = Client::builder().body_bytes_max(100_000).build();
        for target in ["/sized", "/chunked"] {
            let response = client.get(server.url(target)).send().await.unwrap();
            let error = response.bytes().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge { bytes_max: 100_000 });
        }
        let response = annulus::http::fetch(server.url("/chunked")).await.unwrap();
        let error = response.text().await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::TooLarge {
                bytes_max: 10 << 20
            }
        );
        assert_eq!(client.pool_state().idle(), 0);
    });
}
