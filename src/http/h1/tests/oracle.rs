//! Random input: the outcome never depends on the pieces, and two parsers agree.

use super::play::play;
use crate::http::h1::fields::FieldLine;

/// A small generator of numbers that look random and are the same in every run.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Pieces that a mutation puts in: those that the grammar cares about.
pub(super) const PIECES: [&[u8]; 33] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\x0b",
    b"\x80",
    b"\xff",
    b"\r\n\r\n",
    b";",
    b",",
    b"0",
    b"5",
    b"f",
    b"g",
    b"=",
    b"\"",
    b"\\",
    b"#",
    b"?",
    b"/",
    b"@",
    b"HTTP/1.0",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"0\r\n\r\n",
    b"GET",
];

pub(super) const MESSAGES: [&[u8]; 5] = [
    b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST http://h:1/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nA: b\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nX-Y:  z \r\n\r\n",
    b"\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]:1\r\nExpect: 100-continue\r\nConnection: a, b\r\n\r\n",
];

#[test]
fn the_outcome_does_not_depend_on_the_pieces() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for _ in 0..1500 {
        let mut input = Vec::new();
        for _ in 0..=numbers.below(3) {
            input.extend_from_slice(MESSAGES[numbers.below(MESSAGES.len())]);
        }
        for _ in 0..=numbers.below(3) {
            let start = numbers.below(input.len());
            let end = input.len().min(start + numbers.below(3));
            let piece = PIECES[numbers.below(PIECES.len())];
            input.splice(start..end, piece.iter().copied());
        }
        play(&input);
    }
}

#[test]
fn field_lines_are_read_as_the_tokenizer_reads_them() {
    let mut numbers = Numbers(0x2545_F491_4F6C_DD1D);
    for _ in 0..100_000 {
        let mut line = Vec::new();
        for _ in 0..=numbers.below(6) {
            match numbers.below(4) {
                0 => line.push(numbers.next() as u8),
                1 => line.push(b':'),
                2 => line.push(b" \tAz-"[numbers.below(5)]),
                _ => line.extend_from_slice(b"ab"),
            }
        }
        // Line ends are the scanner's affair.
        line.retain(|&byte| byte != b'\r' && byte != b'\n');
        if line.is_empty() {
            continue;
        }
        let text = [&line[..], b"\r\n\r\n"].concat();
        let mut slots = [httparse::EMPTY_HEADER; 4];
        let theirs = httparse::parse_headers(&text, &mut slots)
            .ok()
            .map(|status| {
                let (_, headers) = status.unwrap();
                assert_eq!(headers.len(), 1);
                (headers[0].name.as_bytes(), headers[0].value)
            });
        let ours = FieldLine::parse(&line)
            .ok()
            .map(|field| (field.name, field.value));
        assert_eq!(ours, theirs, "{}", line.escape_ascii());
    }
}
