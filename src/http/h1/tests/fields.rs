//! The fields of a request.

use super::play::check;

/// Plays a request with a `Host` and these field lines, and another request behind it.
#[track_caller]
fn fields(lines: impl AsRef<[u8]>, expected: &str) {
    check(request(lines.as_ref()), expected);
}

/// Fields that are fine.
#[track_caller]
fn good(lines: impl AsRef<[u8]>) {
    fields(lines, "GET /; GET /next");
}

fn request(lines: &[u8]) -> Vec<u8> {
    let next = b"\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    [b"GET / HTTP/1.1\r\nHost: a\r\n", lines, next].concat()
}

/// Plays a request with this `Host` line or lines.
#[track_caller]
fn host(lines: impl AsRef<[u8]>, expected: &str) {
    let next = b"\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    check(
        [b"GET / HTTP/1.1\r\n", lines.as_ref(), next].concat(),
        expected,
    );
}

#[test]
fn host_is_there_once() {
    host("Host: a", "GET /; GET /next");
    host("hOST:a", "GET /; GET /next");
    host("Accept: */*", "400 host-missing open; GET /next");
    host("Host: a\r\nHost: a", "400 host-repeated open; GET /next");
    host(
        "Host: a\r\nX: y\r\nhost: b",
        "400 host-repeated open; GET /next",
    );
    check(
        "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "400 host-missing open; GET /",
    );
}

#[test]
fn host_is_a_host_and_perhaps_a_port() {
    for good in [
        "a",
        "example.com",
        "example.com:80",
        "a:",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:80",
        "[2001:db8::1]:65535",
        "a_b",
        "a%41",
        "xn--e1afmkfd",
        "a,b",
        "A.B",
        "[::ffff:1.2.3.4]",
    ] {
        host(format!("Host: {good}"), "GET /; GET /next");
    }
    for bad in [
        "",
        "u@a",
        "a/b",
        "a?b",
        "a#b",
        "a b",
        "a:1:2",
        "a:x",
        "a:-1",
        ":80",
        "a:65536",
        "a:999999999999",
        "[::1",
        "::1",
        "[]",
        "[a]",
        "[::1]x",
        "[::1]:x",
        "[fe80::1%25eth0]",
        "a%4",
        "a%zz",
        "http://a",
        "a\\b",
        "\"a\"",
        "a, b",
        "a\u{e9}",
        "[v1.a]",
        "a\tb",
    ] {
        host(format!("Host: {bad}"), "400 host-invalid open; GET /next");
    }
    host("Host: a\0b", "400 field-value-invalid");
}

#[test]
fn http_1_0_may_leave_the_host_out() {
    check("GET / HTTP/1.0\r\n\r\n", "GET /; close");
    check(
        "GET / HTTP/1.0\r\nHost: a b\r\n\r\n",
        "400 host-invalid open; close",
    );
    check(
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        "400 host-repeated open; close",
    );
}

#[test]
fn an_empty_host_needs_an_absolute_target() {
    check("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", "GET http://a/");
    check("GET http://a/ HTTP/1.1\r\n\r\n", "400 host-missing open");
    check(
        "GET http://a/ HTTP/1.1\r\nHost: other\r\n\r\n",
        "GET http://a/",
    );
    check(
        "GET / HTTP/1.1\r\nHost: \t \r\n\r\n",
        "400 host-invalid open",
    );
}

#[test]
fn a_request_that_stays_open_has_its_body_skipped() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    check(
        format!("{post}GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        "400 host-missing open; GET /",
    );
    let post = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    check(
        format!("{post}GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        "400 host-missing open; GET /",
    );
    // But not when its framing is in doubt.
    let post = "POST / HTTP/1.1\r\nContent-Length: 5, 6\r\n\r\nhello";
    check(post, "400 content-lengths-differ");
}

#[test]
fn field_names_are_tokens_right_before_the_colon() {
    good("X: y");
    good("x_y: z");
    good("!#$%&'*+-.^_`|~09aZ: y");
    fields("X : y", "400 space-before-colon");
    fields("X\t: y", "400 space-before-colon");
    fields("Content-Length : 5", "400 space-before-colon");
    fields(": y", "400 field-name-empty");
    fields("X", "400 colon-missing");
    fields("X y", "400 colon-missing");
    fields("X y: z", "400 field-name-invalid");
    fields("X(: y", "400 field-name-invalid");
    fields("X\u{e9}: y", "400 field-name-invalid");
    fields("X\0: y", "400 field-name-invalid");
    fields("\"X\": y", "400 field-name-invalid");
    fields("X\x0b: y", "400 field-name-invalid");
}

#[test]
fn lines_are_not_folded() {
    fields("X: y\r\n z", "400 line-folded");
    fields("X: y\r\n\tz", "400 line-folded");
    fields("X: y\r\n ", "400 line-folded");
    check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 line-folded");
    check("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", "400 line-folded");
    check("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", "400 line-folded");
}

#[test]
fn values_have_no_controls() {
    for byte in 0..=255u8 {
        let expected = match byte {
            b'\r' => "400 bare-cr",
            b'\n' => "400 bare-lf",
            b'\t' | b' '..=0x7E | 0x80.. => "GET /; GET /next",
            _ => "400 field-value-invalid",
        };
        fields([b"X: a", &[byte][..], b"b"].concat(), expected);
        fields([b"X: ab", &[byte][..]].concat(), expected);
    }
}

#[test]
fn many_and_long_fields_are_served() {
    let many: Vec<String> = (0..90).map(|index| format!("X-{index}: y")).collect();
    good(many.join("\r\n"));
    good(format!("X: {}", "y".repeat(7 << 10)));
    let target = format!("/{}", "a".repeat(7899));
    check(
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        &format!("GET {target}"),
    );
}

#[test]
fn connection_is_a_list_over_all_its_fields() {
    for close in [
        "Connection: close",
        "Connection: CLOSE",
        "connection: foo, Close",
        "Connection: foo ,\tclose , bar",
        "Connection: foo\r\nX: y\r\nConnection: close",
        "Connection: close\r\nConnection: keep-alive",
        "Connection: keep-alive, close",
        "Connection: close, keep-alive",
        "Connection: ,close,",
    ] {
        fields(close, "GET /; close");
    }
    for open in [
        "Connection: keep-alive",
        "Connection: closed",
        "Connection: not-close",
        "Connection: close;a",
        "Connection: \"close\"",
        "Connection:",
        "X-Connection: close",
        "Connection: upgrade",
    ] {
        good(open);
    }
}

#[test]
fn http_1_0_closes_unless_it_asks_not_to() {
    let get = |lines: &str| format!("GET / HTTP/1.0\r\n{lines}\r\n");
    check(get("").repeat(2), "GET /; close");
    check(get("Connection: close\r\n").repeat(2), "GET /; close");
    check(get("Connection: keep-alive\r\n").repeat(2), "GET /; GET /");
    check(
        get("Connection: foo, Keep-Alive\r\n").repeat(2),
        "GET /; GET /",
    );
    check(
        get("Connection: keep-alive, close\r\n").repeat(2),
        "GET /; close",
    );
}

#[test]
fn expect_knows_100_continue_only() {
    good("Expect: 100-continue");
    good("Expect: 100-Continue");
    good("Expect: 100-continue, 100-continue");
    good("Expect:");
    fields("Expect: 200-ok", "417 expectation-unknown");
    fields("Expect: 100-continue, x", "417 expectation-unknown");
    fields(
        "Expect: 100-continue\r\nExpect: y",
        "417 expectation-unknown",
    );
    check(
        "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
        "GET /; close",
    );
    check(
        "GET / HTTP/1.0\r\nExpect: x\r\n\r\n",
        "417 expectation-unknown",
    );
}
