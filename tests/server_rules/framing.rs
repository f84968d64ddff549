//! Where a request ends: what smuggling lives on.

use std::fmt::Write as _;

use crate::{client::Client, table::Table};

/// A request with these lines and this after its head.
fn post(lines: impl AsRef<[u8]>, behind: impl AsRef<[u8]>) -> Vec<u8> {
    let start = b"POST / HTTP/1.1\r\nHost: a\r\n";
    [start, lines.as_ref(), b"\r\n\r\n", behind.as_ref()].concat()
}

fn sized(lines: impl AsRef<[u8]>) -> Vec<u8> {
    post(lines, "hello")
}

fn chunked(chunks: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked", chunks)
}

fn coded(lines: impl AsRef<[u8]>) -> Vec<u8> {
    post(lines, "5\r\nhello\r\n0\r\n\r\n")
}

/// A body of one chunk of five bytes with this line.
fn chunk_line(line: impl AsRef<[u8]>) -> Vec<u8> {
    chunked([line.as_ref(), b"\r\nhello\r\n0\r\n\r\n"].concat())
}

#[test]
fn a_length_is_a_row_of_digits() {
    let table = Table::new();
    for good in ["5", "0005", "\t5 \t", "00000000000000000000000000000005"] {
        table.served(sized(format!("Content-Length:{good}")), "POST / hello");
    }
    table.served(post("Content-Length: 0", ""), "POST /");
    for bad in [
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5_0",
        "5.0",
        "5;",
        "",
        "five",
        "5a",
        "\"5\"",
        "\u{665}",
        "5e0",
        "5\u{a0}",
        "\x005",
        "5\0",
        "\x0b5",
        "5\x0b",
        "5\x0c",
        "18446744073709551621",
        "99999999999999999999999999",
        "5,",
        ",5",
        "5, x",
    ] {
        table.refused(sized(format!("Content-Length: {bad}")), 400);
    }
    table.refused(sized(b"Content-Length: 5\xa0"), 400);
    table.refused(sized(b"Content-Length: \x855"), 400);
}

#[test]
fn there_is_one_length() {
    let table = Table::new();
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nX: y\r\ncontent-length: 0",
        "Content-Length: 5, 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
    ] {
        table.refused(sized(lines), 400);
    }
}

#[test]
fn length_and_transfer_encoding_exclude_each_other() {
    let table = Table::new();
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Content-Length: x\r\nTransfer-Encoding: chunked",
    ] {
        table.refused(coded(lines), 400);
    }
}

#[test]
fn transfer_encoding_is_chunked_alone_and_once() {
    let table = Table::new();
    for good in ["chunked", "Chunked", "\tCHUNKED \t "] {
        table.served(coded(format!("Transfer-Encoding:{good}")), "POST / hello");
    }
    for bad in [
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
        "chunked\u{a0}",
        "'chunked'",
        "\0chunked",
        "chunked\0",
        "\x0bchunked",
        "chunked\x0b",
    ] {
        table.refused(coded(format!("Transfer-Encoding: {bad}")), 400);
    }
    table.refused(coded(b"Transfer-Encoding: chunked\xa0"), 400);
    for unknown in ["gzip, chunked", "identity,chunked"] {
        table.refused(coded(format!("Transfer-Encoding: {unknown}")), 501);
    }
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
    ] {
        table.refused(coded(lines), 400);
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n";
    table.refused(format!("{old}\r\n0\r\n\r\n"), 400);
    table.refused(format!("{old}Connection: keep-alive\r\n\r\n0\r\n\r\n"), 400);
}

#[test]
fn bodies_are_framed_whatever_the_method() {
    let table = Table::new();
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "X"] {
        let start = format!("{method} / HTTP/1.1\r\nHost: a\r\n");
        table.served(format!("{start}\r\n"), &format!("{method} /"));
        let echo = format!("{method} / hello");
        table.served(format!("{start}Content-Length: 5\r\n\r\nhello"), &echo);
        let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        table.served(format!("{start}{chunked}"), &echo);
    }
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n";
    table.served(format!("{head}Content-Length: 5\r\n\r\nhello"), "HEAD /");
}

#[test]
fn chunk_sizes_are_hex_digits() {
    let table = Table::new();
    for good in ["5", "05", "0000000000000005"] {
        table.served(chunk_line(good), "POST / hello");
    }
    table.served(chunked("a\r\n0123456789\r\n0\r\n\r\n"), "POST / 0123456789");
    table.served(
        chunked("A\r\n0123456789\r\n00\r\n\r\n"),
        "POST / 0123456789",
    );
    for bad in [
        "", "g", "+5", "-5", "0x5", " 5", "\t5", "5_0", "\u{665}", "\x005", "5\0", "\x0b5",
        "5\x0b", ";a", "5 ", "5\t", "5.", "h5", "5h",
    ] {
        table.refused(chunk_line(bad), 400);
    }
    // Either answer is right, and the core's tests say which is given.
    for large in [
        "10000000000000000",
        "0000000000000000000005",
        "FFFFFFFFFFFFFFFF",
        "8000000000000000",
        "7FFFFFFFFFFFFFFF",
        "100001",
    ] {
        let mut client = Client::connect(table.server.addr());
        client.send(chunk_line(large));
        let status = client.answer().status;
        assert!(matches!(status, 400 | 413), "{large}: {status}");
        table.refused(chunk_line(large), status);
    }
}

#[test]
fn chunk_lines_and_data_end_with_cr_lf() {
    let table = Table::new();
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\n\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloxy0\r\n\r\n",
        "5\r\nhello\n\r0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nXY",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\n\rX",
    ] {
        table.refused(chunked(chunks), 400);
    }
}

#[test]
fn chunk_extensions_are_ignored_when_well_formed() {
    let table = Table::new();
    for good in [
        "5;a",
        "5;a=b",
        "5;a=\"b;c\"",
        "5;a;b=c",
        "5;a=\"\\\"\"",
        "5 ;a",
        "5\t; a = b ; c",
    ] {
        table.served(chunk_line(good), "POST / hello");
    }
    for bad in [
        "5;",
        "5;a ",
        "5;a b",
        "5;a\nb",
        "5;a\rb",
        "5;a\0",
        "5;a=\"\n\"",
        "5;a=\"\r\"",
        "5;a=\"\0\"",
        "5;a=\"b",
    ] {
        table.refused(chunk_line(bad), 400);
    }
    let extension = |len: usize| format!(";{}", "a".repeat(len - 1));
    table.served(chunk_line(format!("5{}", extension(4000))), "POST / hello");
    table.refused(chunk_line(format!("5{}", extension(5000))), 400);
    let chunk = format!("1{}\r\na\r\n", extension(1024));
    let body = "a".repeat(15);
    table.served(
        chunked(format!("{}0\r\n\r\n", chunk.repeat(15))),
        &format!("POST / {body}"),
    );
    table.refused(chunked(chunk.repeat(100)), 400);
}

#[test]
fn trailers_are_kept_apart() {
    let table = Table::new();
    for good in [
        "",
        "A: b\r\n",
        "A: b\r\nC: d\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: b\r\n",
        "Connection: close\r\n",
    ] {
        let chunks = format!("5\r\nhello\r\n0\r\n{good}\r\n");
        table.served(chunked(chunks), "POST / hello");
    }
    for bad in [
        "A : b\r\n",
        "A\r\n",
        "A: b\r\n c\r\n",
        " A: b\r\n",
        "A: \0\r\n",
        "A: b\n",
        ": b\r\n",
    ] {
        table.refused(chunked(format!("5\r\nhello\r\n0\r\n{bad}\r\n")), 400);
    }
    let mut lines = String::new();
    for index in 0..33 {
        write!(lines, "X-{index}: y\r\n").unwrap();
    }
    table.refused(chunked(format!("0\r\n{lines}\r\n")), 431);
    let long = format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000));
    table.refused(chunked(long), 431);
}

#[test]
fn junk_behind_a_message_is_refused_after_its_answer() {
    let table = Table::new();
    for junk in ["junk\r\n\r\n", "\0\0\r\n\r\n", "\x16\x03", "\n"] {
        let mut client = Client::connect(table.server.addr());
        client.send(post("Content-Length: 5", format!("hello{junk}")));
        assert_eq!(client.answer().echo(), "POST / hello");
        let refusal = client.answer();
        assert_eq!((refusal.status, refusal.closes()), (400, true), "{junk:?}");
        client.expect_fin();
    }
    table.expect_honest();
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let table = Table::new();
    table.refused(sized("Content-Length: 1048577"), 413);
    table.refused(sized("Content-Length: 18446744073709551615"), 413);
    table.refused(sized("Content-Length: 9223372036854775808"), 413);
    let mut chunks = format!("40000\r\n{}\r\n", "x".repeat(0x40000)).repeat(4);
    chunks.push_str("1\r\nx\r\n0\r\n\r\n");
    let mut client = Client::connect(table.server.addr());
    client.send(chunked(chunks));
    let answer = client.answer();
    assert_eq!((answer.status, answer.closes()), (413, true));
    client.expect_fin();
    table.expect_honest();
}
