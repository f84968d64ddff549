//! Responses as a client reads them, and requests as it writes them.

use ::http::{HeaderName, HeaderValue, Method, Version};

use crate::http::h1::{
    BodyDecoder, BodyLength, HeadError, Leniency, RequestEncoder, RequestHead, ResponseError,
    ResponseHead, Rules, request_encoder::HostInvalid,
};

/// Tells the events of a client that sent `method` and gets these pieces and then FIN: statuses,
/// content, and whether the connection can be used again, or an error.
fn play_pieces<'a>(
    method: &Method,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    rules: &Rules,
) -> String {
    let mut head = ResponseHead::new();
    let mut body = BodyDecoder::new();
    let mut parked = Vec::new();
    let mut seen = String::new();
    let mut in_body = false;
    for piece in pieces {
        parked.extend_from_slice(piece);
        while !in_body {
            match head.read(&parked, method, rules) {
                Ok(None) => break,
                Ok(Some(len)) => {
                    parked.drain(..len);
                    seen.push_str(&head.status().as_u16().to_string());
                    seen.push(' ');
                    in_body = !head.status().is_informational();
                    body.begin(head.body_length(), rules.limits.body_bytes_max);
                }
                Err(error) => return format!("{seen}{}", error.as_str()),
            }
        }
        while in_body && !body.is_end() && !parked.is_empty() {
            match body.decode(&parked, rules) {
                Ok(step) => {
                    let data = &parked[step.data];
                    seen.push_str(&data.escape_ascii().to_string());
                    parked.drain(..step.consumed);
                }
                Err(error) => return format!("{seen} {}", error.as_str()),
            }
        }
    }
    if !in_body {
        return format!("{seen}cut");
    }
    if let Err(error) = body.eof() {
        return format!("{seen} {}", error.as_str());
    }
    for (name, value) in body.trailers().iter() {
        seen.push_str(&format!(" {name}={}", value.escape_ascii()));
    }
    if !parked.is_empty() {
        seen.push_str(" surplus");
    }
    let end = if head.keeps_alive() {
        " keep"
    } else {
        " close"
    };
    seen + end
}

#[track_caller]
fn check_with(rules: &Rules, method: Method, input: impl AsRef<[u8]>, expected: &str) {
    let input = input.as_ref();
    let whole = play_pieces(&method, [input], rules);
    assert_eq!(
        whole,
        expected,
        "{}",
        input[..input.len().min(300)].escape_ascii()
    );
    assert_eq!(
        play_pieces(&method, input.chunks(1), rules),
        whole,
        "byte by byte"
    );
    let step = 1 + input.len() / 1000;
    for at in (1..input.len()).step_by(step) {
        let (start, end) = input.split_at(at);
        assert_eq!(
            play_pieces(&method, [start, end], rules),
            whole,
            "split at {at}"
        );
    }
}

#[track_caller]
fn check(input: impl AsRef<[u8]>, expected: &str) {
    check_with(&Rules::default(), Method::GET, input, expected);
}

/// A response with these field lines and behind it `behind`.
#[track_caller]
fn response(lines: impl AsRef<[u8]>, behind: &str, expected: &str) {
    let start = b"HTTP/1.1 200 OK\r\n";
    check(
        [start, lines.as_ref(), b"\r\n\r\n", behind.as_bytes()].concat(),
        expected,
    );
}

#[test]
fn status_lines() {
    let line = |line: &str, expected: &str| {
        check(format!("{line}\r\nContent-Length: 0\r\n\r\n"), expected);
    };
    line("HTTP/1.1 200 OK", "200  keep");
    line("HTTP/1.1 200 ", "200  keep");
    line("HTTP/1.1 200", "200  keep");
    line("HTTP/1.1 200 Very \u{e9} fine\t", "200  keep");
    line("HTTP/1.0 200 OK", "200  close");
    line("HTTP/1.3 404 Not Found", "404  keep");
    line("HTTP/1.1 999 X", "999  keep");
    line("HTTP/2.0 200 OK", "version-unsupported");
    line("HTTP/0.9 200 OK", "version-unsupported");
    for version in [
        "HTTP/1",
        "http/1.1",
        "HTTP/1.a",
        "ICY",
        "",
        " HTTP/1.1",
        "SSH-2.0",
    ] {
        if !version.is_empty() {
            line(&format!("{version} 200 OK"), "version-invalid");
        }
    }
    line("HTTP/1.10 200 OK", "status-line-invalid");
    line("HTTP/1.1 000 X", "status-invalid");
    line("HTTP/1.1 099 X", "status-invalid");
    for status in [
        "20", "2000", "+20", "2x0", "", " 200", "\t200", "-200", "2 00", "abc",
    ] {
        line(&format!("HTTP/1.1 {status} OK"), "status-line-invalid");
    }
    line("HTTP/1.1\t200 OK", "status-line-invalid");
    line("HTTP/1.1", "status-line-invalid");
    line("HTTP/1.1 200\tOK", "status-line-invalid");
    line("HTTP/1.1 200 O\0K", "status-line-invalid");
    check("\r\nHTTP/1.1 200 OK\r\n\r\n", "leading-lines");
    check("\x16\x03\x01", "tls-client-hello");
    check("HTTP/1.1 200 O", "cut");
    check("", "cut");
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    check(
        format!("HTTP/1.1 100 Continue\r\n\r\n{last}"),
        "100 200 hi keep",
    );
    check(
        format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n{last}"),
        "103 200 hi keep",
    );
    check(
        format!("{}{last}", "HTTP/1.1 100 C\r\n\r\n".repeat(3)),
        "100 100 100 200 hi keep",
    );
    check("HTTP/1.1 100 Continue\r\n\r\n", "100 cut");
}

#[test]
fn some_responses_have_no_body_whatever_the_fields_say() {
    let rules = Rules::default();
    for lines in [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Content-Length: x",
        "Transfer-Encoding: gzip\r\nContent-Length: 3",
        "X: y",
    ] {
        let with = |status| format!("HTTP/1.1 {status} X\r\n{lines}\r\n\r\n");
        check_with(&rules, Method::GET, with(204), "204  keep");
        check_with(&rules, Method::GET, with(304), "304  keep");
        check_with(&rules, Method::HEAD, with(200), "200  keep");
        check_with(&rules, Method::CONNECT, with(200), "200  close");
        let surplus = format!("{}x", with(204));
        check_with(&rules, Method::GET, surplus, "204  surplus keep");
    }
    let refused = "HTTP/1.1 403 X\r\nContent-Length: 2\r\n\r\nno";
    check_with(&rules, Method::CONNECT, refused, "403 no keep");
}

#[test]
fn bodies_are_sized_chunked_or_end_with_the_connection() {
    response("Content-Length: 5", "hello", "200 hello keep");
    response("Content-Length: 5", "hello+", "200 hello surplus keep");
    response(
        "Transfer-Encoding: chunked",
        "5\r\nhello\r\n0\r\n\r\n",
        "200 hello keep",
    );
    response("X: y", "hello", "200 hello close");
    response("X: y", "", "200  close");
    response(
        "Connection: close\r\nContent-Length: 5",
        "hello",
        "200 hello close",
    );
    response(
        "Connection: x, Close\r\nContent-Length: 5",
        "hello",
        "200 hello close",
    );
    check(
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "200 hi close",
    );
    let keep = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n";
    check(format!("{keep}Content-Length: 2\r\n\r\nhi"), "200 hi keep");
    check(format!("{keep}\r\nhi"), "200 hi close");
}

#[test]
fn framing_in_doubt_is_an_error() {
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    response(
        both,
        "5\r\nhello\r\n0\r\n\r\n",
        "length-and-transfer-encoding",
    );
    response(
        "Content-Length: 5\r\nContent-Length: 6",
        "hello",
        "content-lengths-differ",
    );
    response("Content-Length: 5, 6", "hello", "content-lengths-differ");
    response(
        "Content-Length: 5\r\nContent-Length: 5",
        "hello",
        "content-length-repeated",
    );
    response(
        "Transfer-Encoding: gzip",
        "hello",
        "transfer-encoding-invalid",
    );
    response(
        "Transfer-Encoding: gzip, chunked",
        "hello",
        "transfer-encoding-unknown",
    );
    response(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "",
        "transfer-encoding-repeated",
    );
    check(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "transfer-encoding-in-http-1.0",
    );
    for value in [
        "+2", "-2", "0x2", "2a", "", "2 2", "2.0", "\u{662}", "2_", "2;",
    ] {
        response(
            format!("Content-Length: {value}"),
            "hi",
            "content-length-invalid",
        );
    }
    response(
        "Content-Length: 99999999999999999999",
        "hi",
        "content-length-too-large",
    );
    response("Content-Length: 002", "hi", "200 hi keep");
    let leniency = Leniency {
        merge_equal_lengths: true,
        ..Leniency::default()
    };
    let rules = Rules {
        leniency,
        ..Rules::default()
    };
    let equal = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi";
    check_with(&rules, Method::GET, equal, "200 hi keep");
}

#[test]
fn a_server_of_another_protocol_is_seen_at_its_first_line() {
    for (line, error) in [
        ("220 mail.example ESMTP", "version-invalid"),
        ("SSH-2.0-OpenSSH_9.2p1", "version-invalid"),
        ("-ERR unknown command", "version-invalid"),
        ("HTTP/2.0 200", "version-unsupported"),
        ("HTTP/1.1 OK", "status-line-invalid"),
        ("HTTP/1.1 099 Low", "status-invalid"),
    ] {
        check(format!("{line}\r\n"), error);
        check(format!("{line}\r\nA: b\r\nC"), error);
    }
    // A beginning that cannot become `HTTP/` is no status line, however it goes on.
    for start in ["2", "H2", "http", "\0", "\x15\x03\x01", "HTTP1", " H"] {
        check(start, "version-invalid");
    }
}

#[test]
fn chunks_are_read_as_a_server_reads_them() {
    let chunked = |chunks: &str, expected: &str| {
        response("Transfer-Encoding: chunked", chunks, expected);
    };
    chunked("2;a=b\r\nhi\r\n0;c\r\nA: b\r\n\r\n", "200 hi A=b keep");
    chunked("0x2\r\nhi\r\n0\r\n\r\n", "200  chunk-size-invalid");
    chunked("2 \r\nhi\r\n0\r\n\r\n", "200  chunk-size-invalid");
    chunked("2 ; a = b\r\nhi\r\n0\t;c\r\n\r\n", "200 hi keep");
    chunked(" 2\r\nhi\r\n0\r\n\r\n", "200  chunk-size-invalid");
    chunked("2_\r\nhi\r\n0\r\n\r\n", "200  chunk-size-invalid");
    chunked("2\r\nhi\r\n\r\n", "200 hi chunk-size-missing");
    chunked("2\r\nhi\r\n0\r\n\r\nx", "200 hi surplus keep");
}

#[test]
fn a_short_body_is_an_error() {
    response("Content-Length: 5", "hell", "200 hell body-unexpected-eof");
    response(
        "Transfer-Encoding: chunked",
        "5\r\nhell",
        "200 hell body-unexpected-eof",
    );
    response(
        "Transfer-Encoding: chunked",
        "2\r\nhi\r\n0\r\n",
        "200 hi body-unexpected-eof",
    );
}

#[test]
fn malformed_fields_are_errors() {
    response("X : y", "", "space-before-colon");
    response("X: y\r\n z", "", "line-folded");
    response(" X: y", "", "line-folded");
    response("X: a\0b", "", "field-value-invalid");
    response("X", "", "colon-missing");
    response("X(: y", "", "field-name-invalid");
    response(": y", "", "field-name-empty");
    response("X: a\rb", "", "bare-cr");
    response("X: a\nY: b", "", "bare-lf");
    response("X: \u{e9}\r\nContent-Length: 0", "", "200  keep");
}

#[test]
fn heads_have_limits() {
    let status = format!("HTTP/1.1 200 {}", "x".repeat(9000));
    check(format!("{status}\r\n\r\n"), "start-line-too-long");
    check(status, "start-line-too-long");
    response(format!("X: {}", "y".repeat(17 << 10)), "", "head-too-large");
    response("X: y\r\n".repeat(150), "", "too-many-fields");
    response("X: y\r\n".repeat(98) + "Content-Length: 0", "", "200  keep");
    let chunks = "Transfer-Encoding: chunked";
    response(
        chunks,
        &format!("0\r\n{}\r\n", "X: y\r\n".repeat(33)),
        "200  too-many-trailers",
    );
    response("Content-Length: 2000000", "", "200  body-unexpected-eof");
    response("Content-Length: 2000000", "x", "200  body-too-large");
}

#[test]
fn lone_lf_is_a_leniency() {
    let rules = Rules {
        leniency: Leniency {
            lenient_lf: true,
            ..Leniency::default()
        },
        ..Rules::default()
    };
    check("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "bare-lf");
    check_with(
        &rules,
        Method::GET,
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        "200 hi keep",
    );
}

#[test]
fn a_response_head_tells_its_parts() {
    let mut head = ResponseHead::new();
    let input = b"HTTP/1.1 404 Gone fishing\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\n";
    let read = head.read(input, &Method::GET, &Rules::default());
    assert_eq!(read, Ok(Some(input.len())));
    assert_eq!(head.version(), Version::HTTP_11);
    assert_eq!(head.field("X-a"), Some(&b"1"[..]));
    assert_eq!(head.fields().get_all("X-a").count(), 2);
    assert_eq!(head.body_length(), BodyLength::Sized(3));
    assert_eq!(head.status().as_u16(), 404);
    assert_eq!(head.to_header_map().len(), 3);
    let read = head.read(b"HTTP/1.1 200\n", &Method::GET, &Rules::default());
    assert_eq!(read, Err(ResponseError::Head(HeadError::BareLf)));
    assert_eq!(read.unwrap_err().to_string(), HeadError::BareLf.to_string());
}

#[test]
fn the_idle_time_that_a_server_announces() {
    let seconds = |lines: &str| {
        let mut head = ResponseHead::new();
        let input = format!("HTTP/1.1 204 X\r\n{lines}\r\n");
        head.read(input.as_bytes(), &Method::GET, &Rules::default())
            .unwrap()
            .unwrap();
        head.keep_alive_seconds()
    };
    assert_eq!(seconds("Keep-Alive: timeout=5\r\n"), Some(5));
    assert_eq!(seconds("Keep-Alive: max=100, Timeout=15\r\n"), Some(15));
    assert_eq!(
        seconds("Keep-Alive: max=100\r\nKeep-Alive: timeout=7\r\n"),
        Some(7)
    );
    assert_eq!(seconds("Keep-Alive: timeout=x\r\n"), None);
    assert_eq!(seconds("Keep-Alive: timeout=\r\n"), None);
    assert_eq!(seconds("X: timeout=5\r\n"), None);
}

fn request(
    method: Method,
    target: &str,
    fields: &[(&'static str, &str)],
    body: BodyLength,
) -> (String, bool) {
    let mut out = Vec::new();
    let mut encoder = RequestEncoder::new(&mut out, &method, target, "h:81").unwrap();
    for &(name, value) in fields {
        let value = HeaderValue::from_str(value).unwrap();
        encoder.field(&HeaderName::from_static(name), &value);
    }
    let keeps_alive = encoder.finish(body);
    let text = String::from_utf8(out).unwrap();
    // A server of our own must find what was meant.
    let mut head = RequestHead::new();
    assert_eq!(
        head.read(text.as_bytes(), &Rules::default()),
        Ok(Some(text.len())),
        "{text}"
    );
    assert_eq!(*head.method(), method);
    assert_eq!(head.keeps_alive(), keeps_alive);
    (text, keeps_alive)
}

fn request_line(target: &str) -> String {
    let (text, _) = request(Method::GET, target, &[], BodyLength::None);
    text.lines().next().unwrap().to_owned()
}

#[test]
fn host_comes_first() {
    let (text, _) = request(
        Method::GET,
        "/",
        &[("x-a", "b"), ("host", "other")],
        BodyLength::None,
    );
    assert_eq!(text, "GET / HTTP/1.1\r\nHost: h:81\r\nx-a: b\r\n\r\n");
}

#[test]
fn hosts_that_are_none_are_refused_and_nothing_is_written() {
    for host in [
        "",
        "u@h",
        "h/p",
        "h\r\nX: y",
        "h\0",
        "h h",
        "h:x",
        "u:p@h:1",
        "h#f",
        "\u{e9}",
    ] {
        let mut out = Vec::new();
        let result = RequestEncoder::new(&mut out, &Method::GET, "/", host).map(drop);
        assert_eq!(result, Err(HostInvalid));
        assert!(out.is_empty());
    }
}

#[test]
fn targets_are_percent_encoded_where_they_must_be() {
    for (target, expected) in [
        ("/", "/"),
        ("", "/"),
        ("?a", "/?a"),
        ("/a?b=c&d[]=e", "/a?b=c&d[]=e"),
        ("/%41%", "/%41%"),
        ("/a b", "/a%20b"),
        ("/a\tb", "/a%09b"),
        ("/a\r\nX: y", "/a%0D%0AX:%20y"),
        ("/\0\x7f", "/%00%7F"),
        ("/\u{e9}", "/%C3%A9"),
        ("/\"<>\\^`{|}", "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("/a#b", "/a"),
        ("/a?b#c?d", "/a?b"),
        ("#a", "/"),
        ("http://h/p", "http://h/p"),
    ] {
        assert_eq!(request_line(target), format!("GET {expected} HTTP/1.1"));
    }
    for byte in 0..=0x10FF {
        let Some(character) = char::from_u32(byte) else {
            continue;
        };
        let line = request_line(&format!("/{character}"));
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert_eq!(line.split(' ').count(), 3);
    }
}

#[test]
fn requests_tell_the_length_of_their_body() {
    let end = |method: Method, body| {
        let (text, _) = request(method, "/", &[], body);
        text.split_once("Host: h:81\r\n").unwrap().1.to_owned()
    };
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        assert_eq!(
            end(method.clone(), BodyLength::None),
            "Content-Length: 0\r\n\r\n"
        );
        assert_eq!(
            end(method.clone(), BodyLength::Sized(5)),
            "Content-Length: 5\r\n\r\n"
        );
        assert_eq!(
            end(method, BodyLength::Chunked),
            "Transfer-Encoding: chunked\r\n\r\n"
        );
    }
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
        assert_eq!(end(method.clone(), BodyLength::None), "\r\n");
        assert_eq!(
            end(method, BodyLength::Sized(5)),
            "Content-Length: 5\r\n\r\n"
        );
    }
    // The caller's fields about framing are not copied.
    let fields = [("content-length", "9"), ("transfer-encoding", "gzip")];
    let (text, _) = request(Method::POST, "/", &fields, BodyLength::Sized(5));
    assert_eq!(
        text,
        "POST / HTTP/1.1\r\nHost: h:81\r\nContent-Length: 5\r\n\r\n"
    );
}

#[test]
fn a_caller_may_close() {
    assert!(request(Method::GET, "/", &[("connection", "te")], BodyLength::None).1);
    assert!(
        !request(
            Method::GET,
            "/",
            &[("connection", "te, Close")],
            BodyLength::None
        )
        .1
    );
}
