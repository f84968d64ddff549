//! Limits act at the byte that crosses them.

use super::play::{check, play_with};
use crate::http::h1::{HeadError, HeadScanner, Limits, Rules, scan::HeadKind};

/// Plays the first `len` bytes of `input` without a FIN, and tells whether anything was refused.
fn refused_within(input: &str, len: usize) -> Option<HeadError> {
    let mut scanner = HeadScanner::new(HeadKind::Request);
    scanner
        .scan(&input.as_bytes()[..len], &Rules::default())
        .err()
}

/// The number of bytes at which a head is refused, and why.
fn refused_at(input: &str) -> (usize, HeadError) {
    (1..=input.len())
        .find_map(|len| refused_within(input, len).map(|error| (len, error)))
        .expect("the head is refused")
}

#[test]
fn the_request_line_has_a_limit() {
    let max = Limits::default().start_line_bytes_max;
    let get = |line_len: usize| {
        let target = "a".repeat(line_len - "GET / HTTP/1.1\r\n".len());
        format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n")
    };
    let fits = get(max);
    assert!(super::play::play(&fits).starts_with("GET /aaa"));
    check(get(max + 1), "414 start-line-too-long");
    check(get(12 << 10), "414 start-line-too-long");
    check(get(100 << 10), "414 start-line-too-long");
    // Without any end of the line in sight.
    assert_eq!(
        refused_at(&get(100 << 10)),
        (max + 1, HeadError::StartLineTooLong)
    );
}

#[test]
fn the_head_has_a_limit() {
    let max = Limits::default().head_bytes_max;
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    let one = |len: usize| format!("{start}X: {}\r\n\r\n", "y".repeat(len - start.len() - 7));
    check(one(max), "GET /");
    check(one(max + 1), "431 head-too-large");
    check(one(100 << 10), "431 head-too-large");
    assert_eq!(
        refused_at(&one(100 << 10)),
        (max + 1, HeadError::HeadTooLarge)
    );
    let many = format!(
        "{start}{}",
        format!("X: {}\r\n", "y".repeat(995)).repeat(20)
    );
    assert_eq!(refused_at(&many), (max + 1, HeadError::HeadTooLarge));
    check(many, "431 head-too-large");
}

#[test]
fn the_number_of_fields_has_a_limit() {
    let start = "GET / HTTP/1.1\r\n";
    let fields = |count: usize| format!("{start}Host: a\r\n{}", "X: y\r\n".repeat(count - 1));
    check(format!("{}\r\n", fields(100)), "GET /");
    check(format!("{}\r\n", fields(101)), "431 too-many-fields");
    check(fields(3000), "431 too-many-fields");
    assert_eq!(
        refused_at(&fields(3000)),
        (fields(101).len(), HeadError::TooManyFields)
    );
}

#[test]
fn limits_can_be_raised_up_to_what_the_core_can_hold() {
    let limits = Limits {
        head_bytes_max: usize::MAX,
        start_line_bytes_max: usize::MAX,
        fields_max: usize::MAX,
        method_bytes_max: usize::MAX,
        ..Limits::default()
    };
    let rules = Rules {
        limits,
        ..Rules::default()
    };
    let play = |input: String| play_with(input.as_bytes(), &rules);
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    let one = |len: usize| format!("{start}X: {}\r\n\r\n", "y".repeat(len - start.len() - 7));
    assert_eq!(play(one(65_535)), "GET /");
    assert_eq!(play(one(65_536)), "431 head-too-large");
    assert_eq!(
        play(format!("{start}{}\r\n", "X: y\r\n".repeat(127))),
        "GET /"
    );
    assert_eq!(
        play(format!("{start}{}\r\n", "X: y\r\n".repeat(128))),
        "431 too-many-fields"
    );
    let method = "M".repeat(40);
    assert_eq!(
        play(format!("{method} / HTTP/1.0\r\n\r\n")),
        format!("{method} /; close")
    );
}

#[test]
fn tiny_limits_hold_whatever_the_pieces() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in (0..40).step_by(3) {
        for line in 0..24 {
            for method in 0..5 {
                let limits = Limits {
                    head_bytes_max: head,
                    start_line_bytes_max: line,
                    method_bytes_max: method,
                    fields_max: head % 3,
                    ..Limits::default()
                };
                play_with(
                    input,
                    &Rules {
                        limits,
                        ..Rules::default()
                    },
                );
            }
        }
    }
}

#[test]
fn what_comes_first_in_the_bytes_is_told() {
    let long = "y".repeat(20 << 10);
    check(format!("GET / HTTP/1.1\nX: {long}"), "400 bare-lf");
    check(format!("GET /{long}\n HTTP/1.1"), "414 start-line-too-long");
    check(
        format!("GET / HTTP/1.1\r\nX: {long}\n"),
        "431 head-too-large",
    );
    check(format!("GET / HTTP/1.1\r\nX: a\rb{long}"), "400 bare-cr");
    check(
        format!("GET  / HTTP/3.0\r\nX: {long}"),
        "400 request-line-invalid",
    );
    // Errors of the whole head come after those of a part of it.
    check(
        format!("GET / HTTP/1.1\r\nX : {long}"),
        "431 head-too-large",
    );
}

#[test]
fn each_byte_is_scanned_once() {
    // Quadratic time would show: 20 times 65,000 calls, each with up to 65,000 bytes.
    let rules = Rules {
        limits: Limits {
            head_bytes_max: 65_535,
            ..Limits::default()
        },
        ..Rules::default()
    };
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(65_000));
    for _ in 0..20 {
        let mut scanner = HeadScanner::new(HeadKind::Request);
        for len in 1..head.len() {
            assert_eq!(scanner.scan(&head.as_bytes()[..len], &rules), Ok(None));
        }
        let end = head.len();
        assert_eq!(scanner.scan(head.as_bytes(), &rules), Ok(Some(0..end)));
    }
}
