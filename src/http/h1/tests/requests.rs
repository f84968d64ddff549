//! The values that a request head gives.

use ::http::{Method, Version};

use super::oracle::Numbers;
use crate::http::h1::{BodyLength, RequestError, RequestHead, Rules};

fn read(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let text = format!("{text}\r\n\r\n");
    assert_eq!(
        head.read(text.as_bytes(), &Rules::default()),
        Ok(Some(text.len())),
        "{text}"
    );
    head
}

#[test]
fn parts_of_an_origin_form() {
    let head = read("GET /a/b?c=d&e HTTP/1.1\r\nHost: h:81");
    assert_eq!(head.method(), Method::GET);
    assert_eq!(head.version(), Version::HTTP_11);
    assert_eq!(head.target(), "/a/b?c=d&e");
    assert_eq!(head.path(), "/a/b");
    assert_eq!(head.path_bytes(), b"/a/b");
    assert_eq!(head.query(), Some("c=d&e"));
    assert_eq!(head.authority(), Some("h:81"));
    assert_eq!(head.body_length(), BodyLength::None);
    assert!(head.keeps_alive());
    let head = read("GET /a? HTTP/1.1\r\nHost: h");
    assert_eq!((head.path(), head.query()), ("/a", Some("")));
    let head = read("GET /a HTTP/1.1\r\nHost: h");
    assert_eq!((head.path(), head.query()), ("/a", None));
}

#[test]
fn the_authority_of_an_absolute_form_replaces_the_host() {
    let head = read("GET http://h:81/a?b HTTP/1.1\r\nHost: other");
    assert_eq!(head.authority(), Some("h:81"));
    assert_eq!((head.path(), head.query()), ("/a", Some("b")));
    let head = read("GET HTTPS://h?b HTTP/1.1\r\nHost:");
    assert_eq!((head.path(), head.query()), ("/", Some("b")));
    assert_eq!(head.authority(), Some("h"));
    let head = read("GET http://h HTTP/1.1\r\nHost:");
    assert_eq!((head.path(), head.query()), ("/", None));
    assert_eq!(head.path_bytes(), b"/", "an absolute target without a path");
}

#[test]
fn parts_of_the_other_forms() {
    let head = read("CONNECT h:443 HTTP/1.1\r\nHost: h:443");
    assert_eq!(
        (head.authority(), head.path(), head.query()),
        (Some("h:443"), "", None)
    );
    let head = read("OPTIONS * HTTP/1.1\r\nHost: h");
    assert_eq!(
        (head.authority(), head.path(), head.query()),
        (Some("h"), "*", None)
    );
    assert_eq!(read("GET / HTTP/1.0").authority(), None);
}

#[test]
fn fields_are_found_whatever_their_case() {
    let head = read("GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-b:\r\nx-a: \t2\u{a0} \r\nX-Ab: 3");
    assert_eq!(head.field("x-a"), Some(&b"1"[..]));
    assert_eq!(head.field("X-B"), Some(&b""[..]));
    assert_eq!(head.field("X"), None);
    assert_eq!(head.field(""), None);
    let all: Vec<&[u8]> = head.field_all("X-a").collect();
    assert_eq!(all, [&b"1"[..], "2\u{a0}".as_bytes()]);
    let names: Vec<&str> = head.fields().iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Host", "X-A", "x-b", "x-a", "X-Ab"]);
    assert_eq!(head.fields().len(), 5);
}

#[test]
fn only_blanks_are_stripped_from_values() {
    let mut head = RequestHead::new();
    let input = b"GET / HTTP/1.1\r\nHost: h\r\nX: \t \xa0\x85a\xa0 \t\r\n\r\n";
    head.read(input, &Rules::default()).unwrap();
    assert_eq!(head.field("x"), Some(&b"\xa0\x85a\xa0"[..]));
}

#[test]
fn conversion_to_the_http_crate() {
    let head = read("PUT /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-a: \u{e9}\r\nx_b: 2");
    let parts = head.to_parts().unwrap();
    assert_eq!(parts.method, Method::PUT);
    assert_eq!(parts.uri, "/a?b");
    assert_eq!(parts.version, Version::HTTP_11);
    assert_eq!(parts.headers.len(), 4);
    let values: Vec<&[u8]> = parts
        .headers
        .get_all("x-a")
        .iter()
        .map(|value| value.as_bytes())
        .collect();
    assert_eq!(values, [&b"1"[..], "\u{e9}".as_bytes()]);
    // `Uri` is stricter than what is sent in practice.
    assert!(read("GET /<a>` HTTP/1.1\r\nHost: h").to_parts().is_err());
    for text in ["OPTIONS *", "CONNECT h:1", "GET http://h/"] {
        assert!(
            read(&format!("{text} HTTP/1.1\r\nHost: h"))
                .to_parts()
                .is_ok()
        );
    }
}

#[test]
fn continue_is_expected_from_1_1_with_a_body() {
    let expects = |version: &str, lines: &str| {
        read(&format!("POST / HTTP/{version}\r\nHost: h{lines}")).expects_continue()
    };
    assert!(expects(
        "1.1",
        "\r\nExpect: 100-continue\r\nContent-Length: 5"
    ));
    assert!(expects(
        "1.1",
        "\r\nExpect: 100-CONTINUE\r\nTransfer-Encoding: chunked"
    ));
    assert!(!expects(
        "1.0",
        "\r\nExpect: 100-continue\r\nContent-Length: 5"
    ));
    assert!(!expects(
        "1.1",
        "\r\nExpect: 100-continue\r\nContent-Length: 0"
    ));
    assert!(!expects("1.1", "\r\nExpect: 100-continue"));
    assert!(!expects("1.1", "\r\nContent-Length: 5"));
}

#[test]
fn upgrades_need_the_connection_option_and_1_1() {
    let upgrades = |version: &str, lines: &str| {
        let head = read(&format!("GET / HTTP/{version}\r\nHost: h{lines}"));
        head.upgrades()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join("|")
    };
    assert_eq!(
        upgrades("1.1", "\r\nConnection: Upgrade\r\nUpgrade: websocket"),
        "websocket"
    );
    assert_eq!(
        upgrades(
            "1.1",
            "\r\nUpgrade: a, b/1\r\nConnection: x, upgrade\r\nUpgrade: c"
        ),
        "a|b/1|c"
    );
    assert_eq!(upgrades("1.1", "\r\nUpgrade: websocket"), "");
    assert_eq!(
        upgrades("1.1", "\r\nConnection: keep-alive\r\nUpgrade: websocket"),
        ""
    );
    assert_eq!(upgrades("1.1", "\r\nConnection: upgrade"), "");
    assert_eq!(
        upgrades("1.0", "\r\nConnection: upgrade\r\nUpgrade: websocket"),
        ""
    );
}

#[test]
fn trailers_are_accepted_by_those_who_say_so() {
    assert!(read("GET / HTTP/1.1\r\nHost: h\r\nTE: gzip, Trailers").accepts_trailers());
    assert!(!read("GET / HTTP/1.1\r\nHost: h\r\nTE: gzip").accepts_trailers());
    assert!(!read("GET / HTTP/1.1\r\nHost: h").accepts_trailers());
}

#[test]
fn a_head_is_reused_without_a_trace_of_the_one_before() {
    let rules = Rules::default();
    let mut head = RequestHead::new();
    let first = b"POST http://h:1/a?b HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: w\r\n\
        Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    head.read(first, &rules).unwrap();
    let second = b"GET /c HTTP/1.1\r\nHost: i\r\n\r\n";
    for clear in [false, true] {
        if clear {
            head.renew();
        }
        assert_eq!(head.read(second, &rules), Ok(Some(second.len())));
        assert_eq!(head.method(), Method::GET);
        assert_eq!((head.path(), head.query()), ("/c", None));
        assert_eq!(head.authority(), Some("i"));
        assert_eq!(head.body_length(), BodyLength::None);
        assert_eq!(head.fields().len(), 1);
        assert!(head.keeps_alive() && !head.expects_continue() && head.upgrades().count() == 0);
    }
    let refused = head.read(b"HEAD  / HTTP/1.1\r\n\r\n", &rules);
    assert_eq!(refused, Err(RequestError::RequestLineInvalid));
    assert_eq!(head.fields().len(), 0);
    assert_eq!(head.read(second, &rules), Ok(Some(second.len())));
}

#[test]
fn a_refused_head_can_be_looked_at() {
    let rules = Rules::default();
    let mut head = RequestHead::new();
    let long = b"GET http://a.long.host/and/a/long/path?and=query HTTP/1.1\r\nHost: a\r\n\r\n";
    for (refused, path) in [
        ("GET /a HTTP/1.1\r\nContent-Length: x\r\n\r\n", ""),
        ("GET /a#b HTTP/1.1\r\n\r\n", "/a#b"),
        ("GET * HTTP/1.1\r\n\r\n", ""),
        ("GET /a HTTP/1.1\r\n\r\n", "/a"),
        ("GET /a HTTP/2.0\r\n\r\n", ""),
        ("GET /a HTTP/1.1\n", ""),
    ] {
        head.read(long, &rules).unwrap();
        head.read(refused.as_bytes(), &rules).unwrap_err();
        assert_eq!(
            (head.path(), head.query(), head.authority()),
            (path, None, None),
            "{refused}"
        );
    }
}

#[test]
fn a_head_knows_whether_one_has_begun() {
    let rules = Rules::default();
    let mut head = RequestHead::new();
    assert!(head.is_at_start());
    assert_eq!(head.read(b"", &rules), Ok(None));
    assert_eq!(head.read(b"\r\n", &rules), Ok(None));
    assert!(head.is_at_start());
    assert_eq!(head.read(b"\r\nG", &rules), Ok(None));
    assert!(!head.is_at_start());
    assert_eq!(
        head.read(b"\r\nGET / HTTP/1.0\r\n\r\nrest", &rules),
        Ok(Some(20))
    );
    assert!(head.is_at_start());
}

#[test]
fn what_may_stay_open_says_how_to_go_on() {
    let mut head = RequestHead::new();
    let input = b"\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_eq!(
        head.read(input, &Rules::default()),
        Err(RequestError::HostMissing)
    );
    assert_eq!(head.consumed(), input.len() - 5);
    assert_eq!(head.body_length(), BodyLength::Sized(5));
    assert!(!head.keeps_alive());
}

#[test]
fn a_host_that_is_remembered_lets_no_other_through() {
    let mut head = RequestHead::new();
    let mut read = |host: &str| {
        head.renew();
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        head.read(text.as_bytes(), &Rules::default()).map(drop)
    };
    let long = "h".repeat(100);
    assert_eq!(read(""), Err(RequestError::HostInvalid));
    for host in ["h:81", "h:81", "h:82", &long, "h:82"] {
        assert_eq!(read(host), Ok(()), "{host}");
    }
    for host in ["", "h:8x", "h:82 ", "h:82/", "h h"] {
        let expected = if host == "h:82 " {
            Ok(())
        } else {
            Err(RequestError::HostInvalid)
        };
        assert_eq!(read(host), expected, "{host:?}");
    }
}

/// Everything that a head tells about the request `text`, whose result was `read`.
fn tell(head: &RequestHead, read: Result<Option<usize>, RequestError>) -> String {
    let closes = read.is_err_and(RequestError::closes);
    if closes || read == Ok(None) {
        return format!("{read:?}");
    }
    format!(
        "{read:?} {head:?} {:?} {:?} {:?} {} {} {:?} {}",
        head.path(),
        head.query(),
        head.authority(),
        head.consumed(),
        head.keeps_alive(),
        head.upgrades().collect::<Vec<_>>(),
        head.expects_continue(),
    )
}

#[test]
fn a_head_tells_the_same_whatever_was_read_before() {
    const LINES: [&str; 12] = [
        "GET / HTTP/1.1\r\n",
        "GET /a/longer/path?with=a&query HTTP/1.1\r\n",
        "GET /b HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT h:1 HTTP/1.1\r\n",
        "POST http://other/ HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
        "GET /a#b HTTP/1.1\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/3.0\r\n",
        "\r\nGET / HTTP/1.1\r\n",
        "G",
    ];
    let many = (0..30).map(|number| format!("N{number}: {number}\r\n"));
    let blocks = [
        "Host: a\r\n\r\n".to_owned(),
        "Host: b\r\nConnection: close, upgrade\r\nUpgrade: c\r\n\r\n".to_owned(),
        "Host: a\r\nContent-Length: 3\r\n\r\n".to_owned(),
        "Host: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n".to_owned(),
        "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        format!("Host: a\r\n{}\r\n", many.collect::<String>()),
        "Host: a\r\nHost: a\r\n\r\n".to_owned(),
        "Host: a\r\nContent-Length: x\r\n\r\n".to_owned(),
        "Host: a\nNext: b\r\n\r\n".to_owned(),
        "Empty:\r\nHost: a\r\n\r\n".to_owned(),
        "Host: a\r\n".to_owned(),
        "\r\n".to_owned(),
    ];
    let mut rules = Rules::default();
    rules.limits.head_bytes_max = 500;
    rules.limits.start_line_bytes_max = 40;
    let mut numbers = Numbers(0xD1B5_4A32_D192_ED03);
    let mut used = RequestHead::new();
    let mut block = &blocks[0];
    for _ in 0..10_000 {
        // The same as before more often than not.
        if numbers.below(3) == 0 {
            block = &blocks[numbers.below(blocks.len())];
        }
        let text = format!("{}{block}GET /next", LINES[numbers.below(LINES.len())]);
        let mut fresh = RequestHead::new();
        let expected = fresh.read(text.as_bytes(), &rules);
        let read = used.read(text.as_bytes(), &rules);
        assert_eq!(tell(&used, read), tell(&fresh, expected), "{text:?}");
        used.renew();
        if numbers.below(8) == 0 {
            used.begin_connection();
        }
    }
}

#[test]
fn fields_that_are_repeated_behind_a_longer_line_still_count_for_the_limit() {
    let block = format!("Host: a\r\nA: {}\r\n\r\n", "x".repeat(300));
    for limit in [400, usize::MAX] {
        let mut rules = Rules::default();
        rules.limits.head_bytes_max = limit;
        let limit = limit.min(65_535);
        let block = match limit {
            400 => block.clone(),
            _ => format!("Host: a\r\nA: {}\r\n\r\n", "x".repeat(65_000)),
        };
        let line = |len: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(len - 16));
        let longest = limit - block.len();
        let mut head = RequestHead::new();
        for (len, is_fine) in [(16, true), (longest, true), (longest + 1, false)] {
            let text = line(len) + &block;
            let read = head.read(text.as_bytes(), &rules);
            assert_eq!(read.is_ok(), is_fine, "{len} {read:?}");
            if is_fine {
                assert_eq!(head.field("host"), Some(&b"a"[..]));
            }
            head.renew();
        }
    }
}

#[test]
fn a_head_that_was_not_read_to_its_end_is_not_repeated() {
    let first = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    // Incomplete, refused by its fields, and refused by its meaning, each with a line of 22 bytes.
    for between in [
        "GET /aaaaaa HTTP/1.1\r\nHo",
        "GET /aaaaaa HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /aaaaaa HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET /aaaa#a HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut used = RequestHead::new();
        for text in [first, between] {
            let _ = used.read(text.as_bytes(), &Rules::default());
            used.renew();
        }
        let text = format!("GET / HTTP/1.1\r\n{}", &first[22..]);
        let mut fresh = RequestHead::new();
        let expected = fresh.read(text.as_bytes(), &Rules::default());
        assert!(expected.is_err());
        let read = used.read(text.as_bytes(), &Rules::default());
        assert_eq!(tell(&used, read), tell(&fresh, expected), "{between:?}");
    }
}
