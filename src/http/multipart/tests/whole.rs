//! Whole bodies: fine ones, those that are refused, and limits from both sides.

use super::{
    oracle::expected,
    play::{Told, play},
};
use crate::http::multipart::{
    Limits,
    MultipartError::{self, *},
};

/// Plays a body whole and cut everywhere, and returns the parts that are told each time.
fn read(body: &str, limits: Limits) -> Told {
    let body = body.as_bytes();
    let told = play([body], limits);
    assert_eq!(told, expected(body, limits));
    assert_eq!(play(body.chunks(1), limits), told, "byte by byte");
    for at in 0..=body.len() {
        let (start, end) = body.split_at(at);
        assert_eq!(play([start, end], limits), told, "split at {at}");
        assert_eq!(play([start, b"", end], limits), told, "split at {at}");
    }
    told
}

/// The names and bytes of the parts, and how the body ended.
fn short(body: &str, limits: Limits) -> (Vec<(String, String)>, Result<(), MultipartError>) {
    let (parts, end) = read(body, limits);
    let parts = parts.into_iter();
    let parts = parts.map(|part| (part.name, String::from_utf8(part.bytes).unwrap()));
    (parts.collect(), end)
}

/// The head of a part.
fn head(name: &str) -> String {
    format!("--a-b\r\nContent-Disposition: form-data; name={name}\r\n\r\n")
}

#[test]
fn a_body_falls_into_its_parts() {
    let (a, b) = (head("a"), head("b"));
    let parts: [(String, &[(&str, &str)]); 16] = [
        ("--a-b--".into(), &[]),
        ("--a-b--\r\n".into(), &[]),
        (
            "no reader sees this\r\n--a-b--junk\r\n--a-b\r\n".into(),
            &[],
        ),
        (format!("{a}1\r\n--a-b--\r\n"), &[("a", "1")]),
        (format!("\r\n{a}1\r\n--a-b--"), &[("a", "1")]),
        (format!("{a}\r\n--a-b--"), &[("a", "")]),
        (format!("{a}--a-\r\n--a-b--"), &[("a", "--a-")]),
        (format!("{a}--x\r\n--a-b--"), &[("a", "--x")]),
        // The line end of the head is that of the boundary (RFC 2046).
        (format!("{a}--a-b--"), &[("a", "")]),
        (
            format!("{a}1\r\n{b}2\r\n--a-b--"),
            &[("a", "1"), ("b", "2")],
        ),
        (
            format!("{a}1\r\n{a}2\r\n--a-b--"),
            &[("a", "1"), ("a", "2")],
        ),
        (format!("{a}\r\n\r\n\r\n--a-b--"), &[("a", "\r\n\r\n")]),
        (
            format!("{a}\r\n--a-\r\n--a\r\n--a-b--"),
            &[("a", "\r\n--a-\r\n--a")],
        ),
        (
            format!("{a}x--a-b\r\n-\r\r\n--a-b--"),
            &[("a", "x--a-b\r\n-\r")],
        ),
        (format!("{a}1\n--a-b\r\n--a-b--"), &[("a", "1\n--a-b")]),
        (
            format!("--a-b \t \r\n{}1\r\n--a-b--", &a[7..]),
            &[("a", "1")],
        ),
    ];
    for (body, expected) in parts {
        let (parts, end) = short(&body, Limits::default());
        assert_eq!(end, Ok(()), "{body}");
        let parts: Vec<_> = parts.iter().map(|(n, b)| (&**n, &**b)).collect();
        assert_eq!(parts, expected, "{body}");
    }
}

#[test]
fn a_part_has_its_names_and_fields() {
    let body = "--a-b\r\ncontent-disposition:form-data; name=\"a b\"; filename=\"c\"\r\n\
        Content-Type: \t text/plain; charset=utf-8 \r\nX-Empty:\r\nX-Blank: \r\n\
        Content-Transfer-Encoding: Binary\r\n\r\n1\r\n--a-b--";
    let (parts, end) = read(body, Limits::default());
    assert_eq!(end, Ok(()));
    let [part] = &parts[..] else {
        panic!("expected one part, found {parts:?}");
    };
    assert_eq!((&*part.name, part.file_name.as_deref()), ("a b", Some("c")));
    let fields: Vec<_> = part
        .fields
        .iter()
        .map(|(name, value)| (&**name, std::str::from_utf8(value).unwrap()))
        .collect();
    assert_eq!(
        fields,
        [
            (
                "content-disposition",
                "form-data; name=\"a b\"; filename=\"c\""
            ),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("X-Empty", ""),
            ("X-Blank", ""),
            ("Content-Transfer-Encoding", "Binary"),
        ]
    );
}

#[test]
fn a_body_that_breaks_the_grammar_is_refused_where_it_does() {
    let a = head("a");
    for (body, count, error) in [
        (String::new(), 0, UnexpectedEnd),
        ("--a-b".into(), 0, UnexpectedEnd),
        ("--a-b-".into(), 0, UnexpectedEnd),
        ("--a-b\r".into(), 0, UnexpectedEnd),
        ("x--a-b--".into(), 0, UnexpectedEnd),
        (a[..a.len() - 1].into(), 0, UnexpectedEnd),
        (a.clone(), 1, UnexpectedEnd),
        (format!("{a}1"), 1, UnexpectedEnd),
        (format!("{a}1\r\n--a-b"), 1, UnexpectedEnd),
        ("--a-bc\r\n".into(), 0, BoundaryLine),
        ("--a-b -\r\n".into(), 0, BoundaryLine),
        ("--a-b-x".into(), 0, BoundaryLine),
        ("--a-b\n".into(), 0, BoundaryLine),
        ("--a-b\r\r\n".into(), 0, BoundaryLine),
        (format!("--a-b{}", " ".repeat(65)), 0, BoundaryLine),
        (format!("{a}1\r\n--a-b-\r\n"), 1, BoundaryLine),
        (a.replace("\r\n\r\n", "\n\n"), 0, LineEnd),
        (a.replace("\r\n\r\n", "\r\n\n"), 0, LineEnd),
        (a.replace(": ", " "), 0, Field),
        (a.replace(": ", " : "), 0, Field),
        (a.replace("form", "\0form"), 0, Field),
        (a.replace("form", "\rform"), 0, Field),
        (a.replace("; name", ";\r\n name"), 0, Field),
        ("--a-b\r\n--a-b--".into(), 0, UnexpectedEnd),
        ("--a-b\r\n--a-b--\r\n".into(), 0, Field),
        ("--a-b\r\n: x\r\n".into(), 0, Field),
        ("--a-b\r\n\r\n1\r\n--a-b--".into(), 0, Disposition),
        ("--a-b\r\nContent-Type: a/b\r\n\r\n".into(), 0, Disposition),
        (
            a.replace(
                "\r\n\r\n",
                "\r\nContent-Disposition: form-data; name=b\r\n\r\n",
            ),
            0,
            Disposition,
        ),
        (a.replace("form-data", "file"), 0, DispositionInvalid),
        (a.replace("name", "names"), 0, NameMissing),
        (
            a.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
            0,
            TransferEncoding,
        ),
    ] {
        let (parts, end) = short(&body, Limits::default());
        assert_eq!((parts.len(), end), (count, Err(error)), "{body:?}");
    }
}

#[test]
fn each_limit_acts_at_the_byte_that_crosses_it() {
    let part = |len: usize| format!("{}{}\r\n", head("a"), "x".repeat(len));
    let limits = Limits {
        parts_max: 2,
        head_bytes_max: head("a").len() - "--a-b\r\n".len(),
        part_bytes_max: 5,
    };
    let fine = part(5) + &part(5) + "--a-b--";
    assert_eq!(short(&fine, limits).1, Ok(()));
    let (parts, end) = short(&(part(1) + &part(2) + "--a-b\r\n"), limits);
    assert_eq!((parts.len(), end), (2, Err(TooManyParts)));
    let (parts, end) = short(&part(6), limits);
    assert_eq!(parts, [("a".to_owned(), "xxxxx".to_owned())]);
    assert_eq!(end, Err(PartTooLarge));
    // Bytes that were taken for a boundary count when they turn out to be data.
    let (parts, end) = short(&(head("a") + "x\r\n--a-\r\n--a-b--"), limits);
    assert_eq!(parts[0].1, "x\r\n--");
    assert_eq!(end, Err(PartTooLarge));
    assert_eq!(short(&head("ab"), limits), (vec![], Err(HeadTooLarge)));
    let endless = "--a-b\r\n".to_owned() + &"x".repeat(100);
    assert_eq!(short(&endless, limits), (vec![], Err(HeadTooLarge)));

    let fields = |count: usize| "A: b\r\n".repeat(count - 1);
    for (count, expected) in [(16, Ok(())), (17, Err(TooManyFields))] {
        let body = head("a").replace("--a-b\r\n", &format!("--a-b\r\n{}", fields(count)));
        let (_, end) = short(&(body + "\r\n--a-b--"), Limits::default());
        assert_eq!(end, expected, "{count} fields");
    }
}
