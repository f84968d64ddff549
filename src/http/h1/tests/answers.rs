//! Answers: their heads and their framing.

use ::http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::http::h1::{
    AnswerTo, BodyError, BodyLength, CONTINUE, DateCache, HeadError, PlainEncoder, RequestError,
    RequestHead, ResponseEncoder, ResponseFraming, ResponseHead, Rules, encode_reject,
};

const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

fn to(request_line: &str, connection: &str) -> AnswerTo {
    let mut head = RequestHead::new();
    let text = format!("{request_line}\r\nHost: h:1\r\nConnection: {connection}\r\n\r\n");
    head.read(text.as_bytes(), &Rules::default()).unwrap();
    AnswerTo::request(&head)
}

fn get() -> AnswerTo {
    to("GET / HTTP/1.1", "")
}

fn head() -> AnswerTo {
    to("HEAD / HTTP/1.1", "")
}

fn encode(
    answer_to: AnswerTo,
    status: u16,
    fields: &[(&'static str, &str)],
    body_len: Option<u64>,
) -> (String, ResponseFraming) {
    let mut out = Vec::new();
    let status = StatusCode::from_u16(status).unwrap();
    let mut encoder = ResponseEncoder::new(&mut out, status, answer_to);
    for &(name, value) in fields {
        let value = HeaderValue::from_str(value).unwrap();
        encoder.field(&HeaderName::from_static(name), &value);
    }
    let framing = encoder.finish(body_len, DateCache::new(0).line());
    (String::from_utf8(out).unwrap(), framing)
}

/// Holds a response, but for its date, against the lines that it should have.
#[track_caller]
fn check(
    (text, framing): (String, ResponseFraming),
    lines: &[&str],
    body: BodyLength,
    keeps_alive: bool,
) {
    let expected: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    assert_eq!(text.replace(DATE, ""), format!("{expected}\r\n"));
    assert_eq!(framing, ResponseFraming { body, keeps_alive });
}

#[test]
fn a_body_of_known_length_has_content_length() {
    let sized = BodyLength::Sized;
    let lines = ["HTTP/1.1 200 OK", "Content-Length: 5"];
    check(encode(get(), 200, &[], Some(5)), &lines, sized(5), true);
    let lines = ["HTTP/1.1 404 Not Found", "Content-Length: 0"];
    check(encode(get(), 404, &[], Some(0)), &lines, sized(0), true);
    let lines = ["HTTP/1.1 200 OK", "Content-Length: 18446744073709551615"];
    check(
        encode(get(), 200, &[], Some(u64::MAX)),
        &lines,
        sized(u64::MAX),
        true,
    );
}

#[test]
fn a_body_of_unknown_length_is_chunked_or_ends_with_the_connection() {
    let lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"];
    check(
        encode(get(), 200, &[], None),
        &lines,
        BodyLength::Chunked,
        true,
    );
    let close = ["HTTP/1.1 200 OK", "Connection: close"];
    let keep = to("GET / HTTP/1.0", "keep-alive");
    check(
        encode(keep, 200, &[], None),
        &close,
        BodyLength::UntilClose,
        false,
    );
    check(
        encode(to("GET / HTTP/1.0", ""), 200, &[], None),
        &close,
        BodyLength::UntilClose,
        false,
    );
}

#[test]
fn keeping_open_and_closing_are_announced() {
    let sized = BodyLength::Sized(0);
    let line = |connection| ["HTTP/1.1 200 OK", "Content-Length: 0", connection];
    let keep = to("GET / HTTP/1.0", "keep-alive");
    check(
        encode(keep, 200, &[], Some(0)),
        &line("Connection: keep-alive"),
        sized,
        true,
    );
    let close = line("Connection: close");
    check(
        encode(to("GET / HTTP/1.0", ""), 200, &[], Some(0)),
        &close,
        sized,
        false,
    );
    check(
        encode(to("GET / HTTP/1.1", "close"), 200, &[], Some(0)),
        &close,
        sized,
        false,
    );
    let leaving = AnswerTo {
        keeps_alive: false,
        ..get()
    };
    check(encode(leaving, 200, &[], Some(0)), &close, sized, false);
    check(
        encode(get(), 200, &[("connection", "x, Close")], Some(0)),
        &close,
        sized,
        false,
    );
    // Other options of a handler are its own affair and not sent on.
    let fields = [("connection", "keep-alive, x")];
    check(
        encode(get(), 200, &fields, Some(0)),
        &line("")[..2],
        sized,
        true,
    );
}

#[test]
fn statuses_without_body_have_none() {
    let none = BodyLength::None;
    for body_len in [None, Some(0), Some(5)] {
        check(
            encode(get(), 204, &[], body_len),
            &["HTTP/1.1 204 No Content"],
            none,
            true,
        );
        // The length of no body is not that of the representation, also where HEAD asks.
        for answer_to in [get(), head()] {
            check(
                encode(answer_to, 304, &[], body_len),
                &["HTTP/1.1 304 Not Modified"],
                none,
                true,
            );
        }
        let fields = [("content-length", "5"), ("transfer-encoding", "chunked")];
        check(
            encode(get(), 204, &fields, body_len),
            &["HTTP/1.1 204 No Content"],
            none,
            true,
        );
        let lines = ["HTTP/1.1 304 Not Modified", "Content-Length: 5"];
        check(encode(get(), 304, &fields, body_len), &lines, none, true);
    }
}

#[test]
fn interim_responses_have_neither_body_nor_date() {
    for body_len in [None, Some(0), Some(5)] {
        let fields = [
            ("link", "</a>"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ];
        let (text, framing) = encode(get(), 103, &fields, body_len);
        assert_eq!(text, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        assert_eq!(framing.body, BodyLength::None);
        let (text, _) = encode(get(), 101, &[("upgrade", "websocket")], body_len);
        let expected = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
            Connection: upgrade\r\n\r\n";
        assert_eq!(text, expected);
    }
    let (text, _) = encode(get(), 100, &[], None);
    assert_eq!(text.as_bytes(), CONTINUE);
}

#[test]
fn a_length_of_the_handler_s_own_is_never_another_than_the_body_s() {
    let length = |answer_to, status, own: &str, body_len| {
        let fields = [("content-length", own)];
        let (text, _) = encode(answer_to, status, &fields, body_len);
        let mut lines = text.lines();
        let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
        length.map(|length| length.parse::<u64>().unwrap())
    };
    for own in ["99", "0", "x", ""] {
        // A body that is here has its own length, left out or not.
        for answer_to in [get(), head()] {
            assert_eq!(length(answer_to, 200, own, Some(5)), Some(5), "{own}");
            assert_eq!(length(answer_to, 404, own, Some(5)), Some(5), "{own}");
            assert_eq!(length(answer_to, 205, own, Some(5)), Some(0), "{own}");
            assert_eq!(length(answer_to, 204, own, Some(5)), None, "{own}");
            assert_eq!(length(answer_to, 103, own, Some(5)), None, "{own}");
        }
        assert_eq!(length(get(), 200, own, Some(0)), Some(0), "{own}");
    }
    // Without one it is the handler's to tell.
    for body_len in [None, Some(0)] {
        assert_eq!(length(head(), 200, "99", body_len), Some(99));
        assert_eq!(length(get(), 304, "99", body_len), Some(99));
        assert_eq!(length(head(), 200, "x", body_len), body_len);
        assert_eq!(length(get(), 304, "x", body_len), None);
    }
    assert_eq!(length(get(), 200, "99", None), Some(99));
    assert_eq!(length(get(), 304, "99", Some(5)), Some(5));
    assert_eq!(length(get(), 205, "99", None), Some(0));
}

#[test]
fn head_has_the_length_of_get_and_no_bytes() {
    let none = BodyLength::None;
    let lines = ["HTTP/1.1 200 OK", "Content-Length: 5"];
    check(encode(head(), 200, &[], Some(5)), &lines, none, true);
    check(
        encode(head(), 200, &[("content-length", "5")], None),
        &lines,
        none,
        true,
    );
    check(
        encode(head(), 200, &[("content-length", "5")], Some(0)),
        &lines,
        none,
        true,
    );
    check(
        encode(head(), 200, &[], None),
        &["HTTP/1.1 200 OK"],
        none,
        true,
    );
    check(
        encode(head(), 204, &[], None),
        &["HTTP/1.1 204 No Content"],
        none,
        true,
    );
    let mut out = Vec::new();
    let text = HeaderValue::from_static("text/plain");
    PlainEncoder::new().encode(
        &mut out,
        StatusCode::OK,
        &text,
        b"hello",
        head(),
        &DateCache::new(0),
    );
    assert!(out.ends_with(b"GMT\r\n\r\n"));
}

#[test]
fn a_tunnel_has_no_framing() {
    let connect = to("CONNECT h:1 HTTP/1.1", "");
    check(
        encode(connect, 200, &[], Some(0)),
        &["HTTP/1.1 200 OK"],
        BodyLength::None,
        false,
    );
    // Bytes for the tunnel are no request.
    let lines = [
        "HTTP/1.1 502 Bad Gateway",
        "Content-Length: 0",
        "Connection: close",
    ];
    check(
        encode(connect, 502, &[], Some(0)),
        &lines,
        BodyLength::Sized(0),
        false,
    );
}

#[test]
fn what_a_handler_says_about_framing_is_a_promise_at_most() {
    let lines = ["HTTP/1.1 200 OK", "Content-Length: 7"];
    let sized = BodyLength::Sized(7);
    check(
        encode(get(), 200, &[("content-length", "7")], None),
        &lines,
        sized,
        true,
    );
    check(
        encode(get(), 200, &[("content-length", "9")], Some(7)),
        &lines,
        sized,
        true,
    );
    check(
        encode(get(), 200, &[("transfer-encoding", "gzip")], Some(7)),
        &lines,
        sized,
        true,
    );
    let fields = [("content-length", "7"), ("content-length", "9")];
    check(encode(get(), 200, &fields, None), &lines, sized, true);
    let lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"];
    check(
        encode(get(), 200, &[("content-length", "x")], None),
        &lines,
        BodyLength::Chunked,
        true,
    );
}

#[test]
fn there_is_one_date() {
    let (text, _) = encode(get(), 200, &[], Some(0));
    assert_eq!(text.matches(DATE).count(), 1);
    for status in [200, 204, 301, 304, 404, 500] {
        let (text, _) = encode(
            get(),
            status,
            &[("date", "mine"), ("date", "again")],
            Some(0),
        );
        assert_eq!(text.to_lowercase().matches("date: ").count(), 1);
        assert!(text.contains("date: mine\r\n"));
    }
}

#[test]
fn an_upgrade_field_comes_with_its_connection_option() {
    let fields = [("upgrade", "websocket")];
    let line = |connection| {
        [
            "HTTP/1.1 426 Upgrade Required",
            "upgrade: websocket",
            "Content-Length: 0",
            connection,
        ]
    };
    let sized = BodyLength::Sized(0);
    check(
        encode(get(), 426, &fields, Some(0)),
        &line("Connection: upgrade"),
        sized,
        true,
    );
    let close = to("GET / HTTP/1.1", "close");
    check(
        encode(close, 426, &fields, Some(0)),
        &line("Connection: upgrade, close"),
        sized,
        false,
    );
}

#[test]
fn nothing_from_outside_can_end_a_line() {
    for bytes in [&b"a\r\nb"[..], b"a\nb", b"a\rb", b"a\0b", b"a\r\n\r\nb"] {
        assert!(HeaderValue::from_bytes(bytes).is_err());
        assert!(HeaderName::from_bytes(bytes).is_err());
        assert!(Method::from_bytes(bytes).is_err());
    }
    assert!(HeaderName::from_bytes(b"a: b").is_err());
    // A status without a registered reason gets an empty one, and its space.
    let (text, _) = encode(get(), 599, &[], Some(0));
    assert!(text.starts_with("HTTP/1.1 599 \r\n"));
    for status in 100..=999 {
        let (text, _) = encode(get(), status, &[], Some(0));
        let mut head = ResponseHead::new();
        let read = head.read(text.as_bytes(), &Method::GET, &Rules::default());
        assert_eq!(read, Ok(Some(text.len())));
        assert_eq!(head.status().as_u16(), status);
    }
}

#[test]
fn a_plain_answer_is_one_from_the_encoder() {
    let mut plain = PlainEncoder::new();
    // A later one of another type, length or time must not look like the one before.
    for (content_type, second) in [
        ("text/plain", 0),
        ("text/plain", 1),
        ("text/html", 1),
        ("", 1),
        ("text/plain", 1),
    ] {
        for answer_to in [
            get(),
            head(),
            to("GET / HTTP/1.0", ""),
            to("GET / HTTP/1.0", "keep-alive"),
            to("GET / HTTP/1.1", "close"),
            to("CONNECT h:1 HTTP/1.1", ""),
        ] {
            for (status, body) in [
                (200, "hello"),
                (200, "there"),
                (204, ""),
                (304, "a"),
                (404, "b"),
                (200, ""),
                (200, "hello, world"),
            ] {
                let value = HeaderValue::from_str(content_type).unwrap();
                let (date, mut out) = (DateCache::new(second), Vec::new());
                let code = StatusCode::from_u16(status).unwrap();
                let framing =
                    plain.encode(&mut out, code, &value, body.as_bytes(), answer_to, &date);
                let mut expected = Vec::new();
                let mut encoder = ResponseEncoder::new(&mut expected, code, answer_to);
                encoder.content_type(&value);
                let same = encoder.finish(Some(body.len() as u64), date.line());
                if framing.body != BodyLength::None {
                    expected.extend_from_slice(body.as_bytes());
                }
                assert_eq!(
                    out.escape_ascii().to_string(),
                    expected.escape_ascii().to_string()
                );
                assert_eq!(framing, same);
            }
        }
    }
}

/// All errors but those that carry another one, and some of those.
const ERRORS: [RequestError; 26] = [
    RequestError::Head(HeadError::BareLf),
    RequestError::Head(HeadError::StartLineTooLong),
    RequestError::Head(HeadError::HeadTooLarge),
    RequestError::Head(HeadError::TooManyFields),
    RequestError::Head(HeadError::MethodTooLong),
    RequestError::Head(HeadError::TransferEncodingUnknown),
    RequestError::Body(BodyError::TooLarge),
    RequestError::Body(BodyError::UnexpectedEof),
    RequestError::Body(BodyError::Trailer(HeadError::HeadTooLarge)),
    RequestError::Body(BodyError::Trailer(HeadError::FieldNameInvalid)),
    RequestError::RequestLineInvalid,
    RequestError::VersionInvalid,
    RequestError::VersionUnsupported,
    RequestError::Http2Preface,
    RequestError::TargetInvalid,
    RequestError::TargetNotAscii,
    RequestError::TargetFragment,
    RequestError::TargetFormInvalid,
    RequestError::SchemeUnsupported,
    RequestError::AsteriskWithoutOptions,
    RequestError::ConnectTargetInvalid,
    RequestError::ConnectWithContent,
    RequestError::HostMissing,
    RequestError::HostRepeated,
    RequestError::HostInvalid,
    RequestError::ExpectationUnknown,
];

#[test]
fn refusals_are_whole_answers_that_name_the_reason() {
    let date = DateCache::new(0);
    for error in ERRORS {
        for answer_to in [
            AnswerTo::unreadable(),
            get(),
            head(),
            to("GET / HTTP/1.0", ""),
        ] {
            let mut out = Vec::new();
            let keeps_alive = encode_reject(&mut out, error.reject(), answer_to, date.line());
            assert_eq!(keeps_alive, answer_to.keeps_alive && !error.closes());
            let mut head = ResponseHead::new();
            let len = head
                .read(&out, &Method::GET, &Rules::default())
                .unwrap()
                .unwrap();
            assert_eq!(head.status(), error.status());
            assert_eq!(head.keeps_alive(), keeps_alive, "{error:?}");
            assert_eq!(head.field("date").unwrap().len(), 29);
            let text = format!("{error}\n");
            assert_eq!(head.body_length(), BodyLength::Sized(text.len() as u64));
            let body = if answer_to.is_head { "" } else { &text };
            assert_eq!(&out[len..], body.as_bytes());
        }
    }
}

#[test]
fn statuses_of_refusals() {
    let statuses: Vec<u16> = ERRORS.iter().map(|error| error.status().as_u16()).collect();
    let expected = [
        400, 414, 431, 431, 501, 501, 413, 400, 431, 400, 400, 400, 505, 505, 400, 400, 400, 400,
        400, 400, 400, 400, 400, 400, 400, 417,
    ];
    assert_eq!(statuses, expected);
}

#[test]
fn reasons_have_names_and_sentences_of_their_own() {
    for error in ERRORS {
        let name = error.as_str();
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || "-.0123456789".contains(c))
        );
        assert!(!error.to_string().ends_with('.'));
        let same = ERRORS.iter().filter(|other| other.as_str() == name).count();
        assert_eq!(same, 1, "{name}");
        let sentence = error.to_string();
        let same = ERRORS
            .iter()
            .filter(|other| other.to_string() == sentence)
            .count();
        assert_eq!(same, 1, "{sentence}");
    }
}
