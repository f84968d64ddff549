//! Where a request ends: `Content-Length` and `Transfer-Encoding`.

use super::play::{check, check_lenient};
use crate::http::h1::Leniency;

/// A request with these field lines, behind it `behind`.
fn post(lines: impl AsRef<[u8]>, behind: &str) -> Vec<u8> {
    let start = b"POST / HTTP/1.1\r\nHost: a\r\n";
    [start, lines.as_ref(), b"\r\n\r\n", behind.as_bytes()].concat()
}

/// Plays a request with these field lines and five bytes of content, and another behind it.
#[track_caller]
fn sized(lines: impl AsRef<[u8]>, expected: &str) {
    check(
        post(lines, "helloGET /next HTTP/1.1\r\nHost: a\r\n\r\n"),
        expected,
    );
}

/// Plays a request with these field lines and chunked content, and another behind it.
#[track_caller]
fn chunked(lines: impl AsRef<[u8]>, expected: &str) {
    check(
        post(
            lines,
            "5\r\nhello\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        expected,
    );
}

#[test]
fn a_length_is_a_row_of_digits() {
    sized("Content-Length: 5", "POST / hello; GET /next");
    sized("content-length:5", "POST / hello; GET /next");
    sized("Content-Length: \t5 \t", "POST / hello; GET /next");
    sized("Content-Length: 0005", "POST / hello; GET /next");
    sized(
        "Content-Length: 00000000000000000000000000000005",
        "POST / hello; GET /next",
    );
    check(
        post("Content-Length: 0", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        "POST /; GET /",
    );
    for value in [
        "+5", "-5", "0x5", "5 5", "5_0", "5.0", "5;", "", "five", "5a", "\"5\"", "\u{665}", "5e0",
        "(5)", "5\u{a0}",
    ] {
        sized(
            format!("Content-Length: {value}"),
            "400 content-length-invalid",
        );
    }
    for byte in ["\0", "\x0b", "\x0c", "\x1f", "\x7f"] {
        sized(
            format!("Content-Length: {byte}5"),
            "400 field-value-invalid",
        );
        sized(
            format!("Content-Length: 5{byte}"),
            "400 field-value-invalid",
        );
    }
    sized(b"Content-Length: 5\xa0", "400 content-length-invalid");
    sized(b"Content-Length: \x855", "400 content-length-invalid");
}

#[test]
fn a_length_fits_64_bits_and_the_body_limit() {
    sized(
        "Content-Length: 18446744073709551621",
        "400 content-length-too-large",
    ); // 2^64 + 5
    sized(
        "Content-Length: 18446744073709551616",
        "400 content-length-too-large",
    );
    sized(
        "Content-Length: 99999999999999999999999999",
        "400 content-length-too-large",
    );
    sized("Content-Length: 18446744073709551615", "413 body-too-large");
    sized("Content-Length: 1048577", "413 body-too-large");
    let content = "x".repeat(1 << 20);
    check(
        post("Content-Length: 1048576", &content),
        &format!("POST / {content}"),
    );
}

#[test]
fn there_is_one_length() {
    let differ = "400 content-lengths-differ";
    sized("Content-Length: 5\r\nContent-Length: 6", differ);
    sized("Content-Length: 5\r\nX: y\r\ncontent-length: 0", differ);
    sized("Content-Length: 5, 6", differ);
    sized(
        "Content-Length: 5\r\nContent-Length: 5, 6",
        "400 content-lengths-differ",
    );
    let repeated = "400 content-length-repeated";
    sized("Content-Length: 5\r\nContent-Length: 5", repeated);
    sized("Content-Length: 5, 5", repeated);
    sized("Content-Length: 5,5", repeated);
    sized("Content-Length: 5\r\nContent-Length: 05", repeated);
    let invalid = "400 content-length-invalid";
    sized("Content-Length: 5,", invalid);
    sized("Content-Length: ,5", invalid);
    sized("Content-Length: 5, x", invalid);
}

#[test]
fn merging_equal_lengths_is_a_leniency() {
    let leniency = Leniency {
        merge_equal_lengths: true,
        ..Leniency::default()
    };
    let check = |lines: &str, expected: &str| {
        let input = post(lines, "helloGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        check_lenient(leniency, input, expected);
    };
    check(
        "Content-Length: 5\r\nContent-Length: 5",
        "POST / hello; GET /next",
    );
    check("Content-Length: 5, 5 ,05", "POST / hello; GET /next");
    check("Content-Length: 5, 6", "400 content-lengths-differ");
    check(
        "Content-Length: 5\r\nContent-Length: 6",
        "400 content-lengths-differ",
    );
    check("Content-Length: 5, ", "400 content-length-invalid");
    check(
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "400 length-and-transfer-encoding",
    );
}

#[test]
fn length_and_transfer_encoding_exclude_each_other() {
    let both = "400 length-and-transfer-encoding";
    chunked("Content-Length: 5\r\nTransfer-Encoding: chunked", both);
    chunked("Transfer-Encoding: chunked\r\nContent-Length: 5", both);
    chunked("Transfer-Encoding: chunked\r\nContent-Length: 0", both);
    chunked("Transfer-Encoding: identity\r\nContent-Length: 5", both);
    chunked(
        "Transfer-Encoding: chunked\r\nContent-Length: x",
        "400 content-length-invalid",
    );
}

#[test]
fn transfer_encoding_is_chunked_alone() {
    chunked("Transfer-Encoding: chunked", "POST / hello; GET /next");
    chunked("transfer-encoding: Chunked", "POST / hello; GET /next");
    chunked("Transfer-Encoding:\tCHUNKED \t ", "POST / hello; GET /next");
    for value in [
        "xchunked",
        "chunkedx",
        "identity",
        "gzip",
        "chunked, gzip",
        "chunked;q=1",
        "\"chunked\"",
        "",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked chunked",
        "gzip;q=1, chunked",
        "chunked\u{a0}",
        "gzip chunked",
        "'chunked'",
        ", ,",
        "gzip,,chunked",
    ] {
        chunked(
            format!("Transfer-Encoding: {value}"),
            "400 transfer-encoding-invalid",
        );
    }
    for value in [
        "gzip, chunked",
        "identity,chunked",
        "gzip , deflate,\tCHUNKED",
    ] {
        chunked(
            format!("Transfer-Encoding: {value}"),
            "501 transfer-encoding-unknown",
        );
    }
    for byte in ["\0", "\x0b", "\x0c"] {
        chunked(
            format!("Transfer-Encoding: {byte}chunked"),
            "400 field-value-invalid",
        );
        chunked(
            format!("Transfer-Encoding: chunked{byte}"),
            "400 field-value-invalid",
        );
    }
    chunked(
        b"Transfer-Encoding: chunked\xa0",
        "400 transfer-encoding-invalid",
    );
    chunked("Transfer-Encoding : chunked", "400 space-before-colon");
    chunked("Transfer-Encoding\x0b: chunked", "400 field-name-invalid");
}

#[test]
fn transfer_encoding_comes_once() {
    let repeated = "400 transfer-encoding-repeated";
    chunked(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        repeated,
    );
    chunked(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        repeated,
    );
    let invalid = "400 transfer-encoding-invalid";
    chunked(
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        invalid,
    );
    chunked("Transfer-Encoding:\r\nTransfer-Encoding: chunked", invalid);
}

#[test]
fn http_1_0_has_no_transfer_encoding() {
    let start = "POST / HTTP/1.0\r\nHost: a\r\n";
    let chunks = "\r\n0\r\n\r\n";
    let refused = "400 transfer-encoding-in-http-1.0";
    check(
        format!("{start}Transfer-Encoding: chunked\r\n{chunks}"),
        refused,
    );
    check(
        format!("{start}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n{chunks}"),
        refused,
    );
    check(
        format!("{start}Content-Length: 5\r\n\r\nhello"),
        "POST / hello; close",
    );
}

#[test]
fn without_length_there_is_no_body_whatever_the_method() {
    for method in [
        "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "X",
    ] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        check(request.repeat(2), &format!("{method} /; {method} /"));
    }
}

#[test]
fn with_length_there_is_a_body_whatever_the_method() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "X"] {
        let start = format!("{method} / HTTP/1.1\r\nHost: a\r\n");
        let sized = format!("{start}Content-Length: 5\r\n\r\nhello");
        let chunked = format!("{start}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let expected = format!("{method} / hello; {method} / hello");
        check(format!("{sized}{chunked}"), &expected);
        check(format!("{chunked}{sized}"), &expected);
    }
}

#[test]
fn a_connect_has_no_content() {
    let start = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n";
    let refused = "400 connect-with-content";
    for content in [
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 1048577\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ] {
        check(format!("{start}{content}"), refused);
    }
    check(
        "CONNECT h:1 HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        refused,
    );
    // Lengths that are wrong are wrong first.
    check(
        format!("{start}Content-Length: x\r\n\r\n"),
        "400 content-length-invalid",
    );
    // None is what old clients announce.
    check(
        format!("{start}Content-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        "CONNECT h:1; GET /",
    );
    check(
        "connect / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "connect / hello",
    );
}

#[test]
fn junk_behind_a_message_is_refused_after_the_answer() {
    check(
        post("Content-Length: 5", "hellojunk\r\n\r\n"),
        "POST / hello; 400 request-line-invalid",
    );
    check(
        post("Content-Length: 5", "hello\0\0\r\n\r\n"),
        "POST / hello; 400 method-invalid",
    );
    check(
        post("Content-Length: 5", "hello\x16\x03"),
        "POST / hello; 400 tls-client-hello",
    );
    check(post("Connection: close", "junk\r\n\r\n"), "POST /; close");
}

#[test]
fn a_body_that_is_cut_off_is_an_error() {
    check(post("Content-Length: 5", "hell"), "400 body-unexpected-eof");
    check(post("Content-Length: 5", ""), "400 body-unexpected-eof");
    let chunked = |behind| post("Transfer-Encoding: chunked", behind);
    for behind in [
        "",
        "5",
        "5\r\n",
        "5\r\nhell",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "0\r\n",
        "0\r\n\r",
    ] {
        check(chunked(behind), "400 body-unexpected-eof");
    }
    check(chunked("0\r\nA: b\r\n"), "400 body-unexpected-eof");
}

#[test]
fn what_is_complete_is_answered_before_a_fin() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    check(format!("{get}{get}GET / HT"), "GET /; GET /; cut");
    check("G", "cut");
    check("\r\n", "cut");
}
