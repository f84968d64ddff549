//! Requests that are malformed (RFC 9113, section 8).

use super::*;

#[test]
fn a_malformed_request_is_reset() {
    let usual = request("GET", "/");
    let without = |name: &str| -> Vec<u8> {
        let rest: Vec<_> = usual
            .into_iter()
            .filter(|(other, _)| *other != name)
            .collect();
        only(&rest)
    };
    let empty = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", ""),
        (":authority", "test"),
    ];
    let twice = |name: &str| -> Vec<u8> {
        let again: Vec<_> = usual
            .into_iter()
            .filter(|(other, _)| *other == name)
            .collect();
        only(&[&again[..], &usual[..]].concat())
    };
    let late = [&usual[..3], &[("x-a", "1"), usual[3]]].concat();
    let length = |value: &'static str| {
        let all = [&request("POST", "/")[..], &[("content-length", value)]].concat();
        headers(END_HEADERS, 1, &all)
    };
    let data = |flags, bytes: &[u8]| frame(DATA, flags, 1, bytes);
    check(vec![
        (
            "8.1",
            "HEADERS after DATA that do not end",
            join(&[
                post(1, "/"),
                data(0, b"x"),
                headers(END_HEADERS, 1, &[("x-a", "1")]),
            ]),
            Either(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.1",
            "a name in upper case",
            with(&[("X-A", "1")]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "8.2.1",
            "a name with a blank",
            with(&[("x a", "1")]),
            Either(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.1",
            "a value with a line end",
            with(&[("x-a", "1\r\nx: 2")]),
            Either(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.1",
            "a value with a NUL",
            with(&[("x-a", "1\0")]),
            Either(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2.2",
            "Connection",
            with(&[("connection", "keep-alive")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "Keep-Alive",
            with(&[("keep-alive", "1")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "Proxy-Connection",
            with(&[("proxy-connection", "x")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "Transfer-Encoding",
            with(&[("transfer-encoding", "chunked")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "Upgrade",
            with(&[("upgrade", "x")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "TE with other than trailers",
            with(&[("te", "trailers, deflate")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.2.2",
            "TE with trailers",
            with(&[("te", "trailers")]),
            Answer,
        ),
        (
            "8.3",
            "an unknown pseudo-field",
            with(&[(":test", "x")]),
            Either(&[PROTOCOL_ERROR]),
        ),
        (
            "8.3",
            "one of an answer",
            with(&[(":status", "200")]),
            Stream(PROTOCOL_ERROR),
        ),
        // The crate `h2` leaves them out, where the request is malformed by section 8.1.
        (
            "8.3",
            "one in trailers",
            join(&[
                post(1, "/"),
                data(0, b"x"),
                headers(EVERYTHING, 1, &[(":method", "GET")]),
            ]),
            Answer,
        ),
        (
            "8.3",
            "one after a field",
            only(&late),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "an empty path",
            only(&empty),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "no method",
            without(":method"),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "no scheme",
            without(":scheme"),
            Stream(PROTOCOL_ERROR),
        ),
        ("8.3.1", "no path", without(":path"), Stream(PROTOCOL_ERROR)),
        (
            "8.3.1",
            "two methods",
            twice(":method"),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "two schemes",
            twice(":scheme"),
            Stream(PROTOCOL_ERROR),
        ),
        ("8.3.1", "two paths", twice(":path"), Stream(PROTOCOL_ERROR)),
        (
            "8.3.1",
            "two authorities",
            twice(":authority"),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.3.1",
            "another host",
            with(&[("host", "other")]),
            Stream(PROTOCOL_ERROR),
        ),
        ("8.3.1", "the same host", with(&[("host", "test")]), Answer),
        (
            "8.3.1",
            "userinfo",
            only(&[usual[0], usual[1], usual[2], (":authority", "a@test")]),
            Stream(PROTOCOL_ERROR),
        ),
        ("8.3.1", "no authority", without(":authority"), Answer),
        (
            "8.1.1",
            "a length that is too large",
            join(&[length("5"), data(END_STREAM, b"test")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.1.1",
            "a length that is too small",
            join(&[length("3"), data(END_STREAM, b"test")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.1.1",
            "a length of several DATA that is wrong",
            join(&[length("5"), data(0, b"te"), data(END_STREAM, b"st")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "8.1.1",
            "a length that is right",
            join(&[length("4"), data(0, b"te"), data(END_STREAM, b"st")]),
            Answer,
        ),
    ]);
}
