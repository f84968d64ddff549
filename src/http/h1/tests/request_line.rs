//! The request line.

use super::play::{check, check_lenient};
use crate::http::h1::Leniency;

/// Plays a request with this request line, and another request behind it.
#[track_caller]
fn line(line: impl AsRef<[u8]>, expected: &str) {
    check(request(line), expected);
}

fn request(line: impl AsRef<[u8]>) -> Vec<u8> {
    [
        line.as_ref(),
        b"\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    .concat()
}

#[test]
fn methods_are_tokens_and_their_case_matters() {
    line("GET / HTTP/1.1", "GET /; GET /next");
    line("get / HTTP/1.1", "get /; GET /next");
    line("PROPFIND / HTTP/1.1", "PROPFIND /; GET /next");
    line(
        "!#$%&'*+-.^_`|~09azAZ / HTTP/1.1",
        "!#$%&'*+-.^_`|~09azAZ /; GET /next",
    );
    line("G(T / HTTP/1.1", "400 method-invalid");
    line("G\u{e9}T / HTTP/1.1", "400 method-invalid");
    line("G\0T / HTTP/1.1", "400 method-invalid");
    line("\"GET\" / HTTP/1.1", "400 method-invalid");
}

#[test]
fn methods_over_32_bytes_are_not_implemented() {
    let method = "M".repeat(32);
    line(
        format!("{method} / HTTP/1.1"),
        &format!("{method} /; GET /next"),
    );
    line(format!("{method}M / HTTP/1.1"), "501 method-too-long");
    // At once, not at the end of the line.
    check("M".repeat(33), "501 method-too-long");
    check("\u{e9}".repeat(20), "400 method-invalid");
    line("M".repeat(9000), "501 method-too-long");
}

#[test]
fn blanks_in_the_request_line_are_single_spaces() {
    line("GET  / HTTP/1.1", "400 request-line-invalid");
    line("GET /  HTTP/1.1", "400 request-line-invalid");
    line("GET / HTTP/1.1 ", "400 request-line-invalid");
    line(" GET / HTTP/1.1", "400 request-line-invalid");
    line("GET\t/ HTTP/1.1", "400 request-line-invalid");
    line("GET /\tHTTP/1.1", "400 request-line-invalid");
    line("\tGET / HTTP/1.1", "400 method-invalid");
    line("GET / HTTP/1.1\t", "400 version-invalid");
    line("GET /a b HTTP/1.1", "400 request-line-invalid");
    line("GET /\x0b HTTP/1.1", "400 target-invalid");
}

#[test]
fn empty_lines_before_a_request_are_skipped_up_to_a_limit() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    check(format!("\r\n{get}"), "GET /");
    check(format!("\r\n\r\n\r\n\r\n{get}"), "GET /");
    check(format!("\r\n\r\n\r\n\r\n\r\n{get}"), "400 leading-lines");
    check(format!("\n{get}"), "400 bare-lf");
    check(format!("\r\n\n{get}"), "400 bare-lf");
    check(format!("\r{get}"), "400 bare-cr");
    check(format!("{get}\r\n{get}"), "GET /; GET /");
    check(format!(" \r\n{get}"), "400 request-line-invalid");
}

#[test]
fn a_request_line_has_three_parts() {
    line("GET /x", "400 request-line-invalid");
    line("GET", "400 request-line-invalid");
    line("GET HTTP/1.1", "400 request-line-invalid");
    line("GET  HTTP/1.1", "400 request-line-invalid");
    line("garbage", "400 request-line-invalid");
    check("GET /x\r\n\r\n", "400 request-line-invalid");
    check(b"\xff\xfe\x00garbage\r\n\r\n", "400 method-invalid");
    check("GET / HT", "cut");
    check("", "");
}

#[test]
fn a_first_line_that_is_no_request_line_is_refused_when_it_is_there() {
    for (line, reason) in [
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2", "400 request-line-invalid"),
        ("EHLO client.example", "400 request-line-invalid"),
        ("HELO", "400 request-line-invalid"),
        ("*1", "400 request-line-invalid"),
        ("PING", "400 request-line-invalid"),
        ("GET /x", "400 request-line-invalid"),
        ("OPTIONS rtsp://a/b RTSP/1.0", "400 version-invalid"),
        ("INVITE sip:a@b SIP/2.0", "400 version-invalid"),
        ("GET /a b HTTP/1.1", "400 request-line-invalid"),
        ("PRI * HTTP/2.0", "505 http2-preface"),
        ("GET / HTTP/3.0", "505 version-unsupported"),
        ("<policy-file-request/>", "400 request-line-invalid"),
        ("{\"method\": \"x\"}", "400 request-line-invalid"),
        ("GET\t/\tHTTP/1.1", "400 request-line-invalid"),
    ] {
        check(format!("{line}\r\n"), reason);
        check(format!("\r\n{line}\r\n"), reason);
        check(format!("{line}\r\nHost: a\r\nX"), reason);
        check(
            format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{line}\r\n"),
            &format!("GET /; {reason}"),
        );
        // Nothing is said before the line is here.
        check(line, "cut");
        check(format!("{line}\r"), "cut");
    }
    // A beginning that may still become a head is left to the whole head.
    for line in [
        "GET /\u{e9} HTTP/1.1",
        "X / HTTP/1.7",
        "GET nowhere HTTP/1.1",
    ] {
        check(format!("{line}\r\n"), "cut");
    }
}

#[test]
fn a_byte_that_no_request_line_has_is_refused_at_once() {
    for byte in (0..=0x08).chain(0x0B..=0x1F).chain([0x7F]) {
        // A TLS client is told so, and CR is half of a line's end.
        if byte == 0x16 || byte == b'\r' {
            continue;
        }
        check([byte], "400 method-invalid");
        check([b'G', byte], "400 method-invalid");
        check([b"GET /a", &[byte][..]].concat(), "400 target-invalid");
        check([b"GET / HT", &[byte][..]].concat(), "400 version-invalid");
        check(
            [b"GET / HTTP/1.1 ", &[byte][..]].concat(),
            "400 version-invalid",
        );
        check([b"\r\n\r\n", &[byte][..]].concat(), "400 method-invalid");
    }
    for byte in 0x80..=0xFF {
        check([byte], "400 method-invalid");
        check([b'G', byte], "400 method-invalid");
        check([b"GET /", &[byte][..]].concat(), "cut");
    }
    // The hello of SSL 2, a query of DNS over TCP, and the startup message of PostgreSQL.
    check(b"\x80\x2e\x01\x03\x01", "400 method-invalid");
    check(b"\x00\x1d\xab\xcd", "400 method-invalid");
    check(b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "400 method-invalid");
    // Fields are looked at as lines.
    check(b"GET / HTTP/1.1\r\nA: \0", "cut");
    // Behind a limit that is crossed nothing is looked at.
    let long = format!("GET /{}", "x".repeat(9000));
    check(format!("{long}\0"), "414 start-line-too-long");
    check(format!("{}\0", "M".repeat(33)), "501 method-too-long");
    check(format!("{}\0", "M".repeat(32)), "400 method-invalid");
}

#[test]
fn later_minor_versions_are_served_as_1_1() {
    line("GET / HTTP/1.1", "GET /; GET /next");
    line("GET / HTTP/1.0", "GET /; close");
    line("GET / HTTP/1.2", "GET /; GET /next");
    line("GET / HTTP/1.9", "GET /; GET /next");
}

#[test]
fn other_major_versions_are_not_supported() {
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.1"] {
        line(format!("GET / {version}"), "505 version-unsupported");
    }
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 http2-preface");
}

#[test]
fn malformed_versions_are_refused() {
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
        let reason = if version.contains(' ') {
            "request-line"
        } else {
            "version"
        };
        line(format!("GET / {version}"), &format!("400 {reason}-invalid"));
    }
}

#[test]
fn origin_form() {
    for target in [
        "/",
        "/a/b",
        "/a?b=c",
        "/?",
        "/a?b?c",
        "//host/a",
        "/%41",
        "/a|b{}^\"",
        "/a:b",
    ] {
        line(
            format!("GET {target} HTTP/1.1"),
            &format!("GET {target}; GET /next"),
        );
    }
    line(
        "GET a/b HTTP/1.1",
        "400 target-form-invalid open; GET /next",
    );
    line("GET ?a HTTP/1.1", "400 target-form-invalid open; GET /next");
}

#[test]
fn absolute_form() {
    for target in [
        "http://h/p",
        "http://h",
        "HTTP://h:80/",
        "http://h?q",
        "https://h/",
        "http://[::1]:80/",
        "http://h/http://i/",
    ] {
        line(
            format!("GET {target} HTTP/1.1"),
            &format!("GET {target}; GET /next"),
        );
    }
    line(
        "GET ftp://h/ HTTP/1.1",
        "400 scheme-unsupported open; GET /next",
    );
    line(
        "GET htt://h/ HTTP/1.1",
        "400 scheme-unsupported open; GET /next",
    );
    line(
        "GET http:/h HTTP/1.1",
        "400 target-form-invalid open; GET /next",
    );
    line(
        "GET 1http://h HTTP/1.1",
        "400 target-form-invalid open; GET /next",
    );
    line(
        "GET ://h HTTP/1.1",
        "400 target-form-invalid open; GET /next",
    );
    line("GET http:///p HTTP/1.1", "400 host-invalid open; GET /next");
    line(
        "GET http://u@h/p HTTP/1.1",
        "400 host-invalid open; GET /next",
    );
    line(
        "GET http://h:x/p HTTP/1.1",
        "400 host-invalid open; GET /next",
    );
    line(
        "GET http://h:1:2/p HTTP/1.1",
        "400 host-invalid open; GET /next",
    );
}

#[test]
fn asterisk_form_is_for_options() {
    line("OPTIONS * HTTP/1.1", "OPTIONS *; GET /next");
    line(
        "GET * HTTP/1.1",
        "400 asterisk-without-options open; GET /next",
    );
    line(
        "OPTIONS *a HTTP/1.1",
        "400 target-form-invalid open; GET /next",
    );
}

#[test]
fn authority_form_is_for_connect() {
    line("CONNECT h:443 HTTP/1.1", "CONNECT h:443; GET /next");
    line("CONNECT [::1]:443 HTTP/1.1", "CONNECT [::1]:443; GET /next");
    for target in [
        "h",
        "h:",
        "/",
        "http://h:1/",
        "h:1/",
        "u@h:1",
        "*",
        ":443",
        "h:99999",
    ] {
        line(
            format!("CONNECT {target} HTTP/1.1"),
            "400 connect-target-invalid",
        );
    }
    line(
        "GET h:443 HTTP/1.1",
        "400 target-form-invalid open; GET /next",
    );
}

#[test]
fn targets_have_no_fragment() {
    for target in [
        "/#",
        "/a#b",
        "/a?b#c",
        "/#?",
        "http://h/#a",
        "http://h#a",
        "*#",
    ] {
        line(
            format!("GET {target} HTTP/1.1"),
            "400 target-fragment open; GET /next",
        );
    }
}

#[test]
fn targets_have_no_controls_and_no_raw_bytes() {
    for byte in (0..=0x1F).chain([0x7F]) {
        let expected = match byte {
            b'\r' => "400 bare-cr",
            b'\n' => "400 bare-lf",
            _ => "400 target-invalid",
        };
        line([b"GET /", &[byte][..], b" HTTP/1.1"].concat(), expected);
    }
    for raw in [&b"\xc3\xa9"[..], b"\xe9", b"\xff", b"\x80", b"\xc0\xaf"] {
        line(
            [b"GET /", raw, b" HTTP/1.1"].concat(),
            "400 target-not-ascii",
        );
    }
    line("GET http://h\u{e9}/ HTTP/1.1", "400 target-not-ascii");
}

#[test]
fn raw_utf8_in_targets_is_a_leniency() {
    let leniency = Leniency {
        raw_utf8_target: true,
        ..Leniency::default()
    };
    check_lenient(
        leniency,
        request("GET /\u{e9} HTTP/1.1"),
        "GET /\u{e9}; GET /next",
    );
    check_lenient(
        leniency,
        request(b"GET /\xe9 HTTP/1.1"),
        "400 target-not-ascii",
    );
    check_lenient(
        leniency,
        request("GET /\u{e9}#a HTTP/1.1"),
        "400 target-fragment open; GET /next",
    );
    check_lenient(
        leniency,
        request("GET /\u{e9} HTTP/2.0"),
        "505 version-unsupported",
    );
}

#[test]
fn line_ends_are_cr_lf() {
    check("GET / HTTP/1.1\nHost: a\n\n", "400 bare-lf");
    check("GET / HTTP/1.1\r\nHost: a\n\r\n", "400 bare-lf");
    check("GET / HTTP/1.1\r\nHost: a\r\n\n", "400 bare-lf");
    check("GET / HTTP/1.1\nHost: a\r\n\r\n", "400 bare-lf");
    check("GET / HTTP/1.1\rHost: a\r\n\r\n", "400 bare-cr");
    check("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "400 bare-cr");
    check("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "400 bare-cr");
    check("GET / HTTP/1.1\r\nHost: a\r\n\rX", "400 bare-cr");
    check("GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", "400 bare-cr");
    check("GET / HTTP/1.1\n\n", "400 bare-lf");
}

#[test]
fn lone_lf_is_a_leniency_and_lone_cr_is_not() {
    let leniency = Leniency {
        lenient_lf: true,
        ..Leniency::default()
    };
    for input in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        check_lenient(leniency, input, "GET /");
        check_lenient(leniency, input.repeat(2), "GET /; GET /");
    }
    check_lenient(leniency, "GET / HTTP/1.1\rHost: a\n\n", "400 bare-cr");
    check_lenient(leniency, "GET / HTTP/1.1\nHost: a\rb\n\n", "400 bare-cr");
    check_lenient(
        leniency,
        "\n\n\n\n\nGET / HTTP/1.1\n\n",
        "400 leading-lines",
    );
    // Never in chunks, where it decides on lengths.
    let post = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n";
    check_lenient(leniency, format!("{post}1\na\n0\n\n"), "400 chunk-line-end");
    check_lenient(
        leniency,
        format!("{post}1\r\na\r\n0\r\n\n"),
        "400 trailer-invalid",
    );
    check_lenient(
        leniency,
        format!("{post}1\r\na\r\n0\r\nA: b\n\r\n"),
        "400 trailer-invalid",
    );
}

#[test]
fn a_tls_client_on_the_clear_port_is_told_so() {
    check(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "400 tls-client-hello",
    );
    check(b"\x16", "400 tls-client-hello");
    check(b"\r\n\x16\x03", "400 tls-client-hello");
}
