//! Random messages, real and evil ones changed at random, held against what must always be so.
//!
//! `ANNULUS_FUZZ_SECONDS` says for how long; without it a fixed number is tried. A failure tells
//! the seed, and `ANNULUS_FUZZ_SEED` begins there again.

use std::{
    env,
    time::{Duration, Instant},
};

use super::{
    oracle::{MESSAGES, Numbers, PIECES},
    properties::{check_requests, check_responses},
};

/// Messages of one run without a time.
const COUNT: u64 = 10_000;

const RESPONSES: [&[u8]; 6] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
    b"HTTP/1.0 404\r\nServer: y\r\n\r\nuntil the end",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"a\"\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0\xff",
];

/// Bodies in chunks, fine and not.
const CHUNKS: [&[u8]; 7] = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"A;x=\"\\\"y\"\r\n0123456789\r\n000\r\nT: u\r\n\r\n",
    b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0;last\r\nContent-Length: 3\r\n\r\n",
    b"7fffffffffffffff\r\nx",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5 ;\ta = \"b\" ; c\r\nhello\r\n0\t; d\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
];

/// One line of a head, chosen among those that decide where a message ends and some others.
fn line(numbers: &mut Numbers) -> Vec<u8> {
    const NAMES: [&str; 8] = [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Expect",
        "Upgrade",
        "X-Y",
        "content_length",
    ];
    const VALUES: [&str; 14] = [
        "5",
        "0",
        "a",
        "chunked",
        "gzip, chunked",
        "close",
        "keep-alive",
        "100-continue",
        "5, 5",
        "[::1]:80",
        "h:1",
        "",
        "99999999999999999999",
        "websocket",
    ];
    const SEPARATORS: [&str; 4] = [": ", ":", ":\t ", " : "];
    let separator = if numbers.below(30) == 0 {
        3
    } else {
        numbers.below(3)
    };
    let mut text = NAMES[numbers.below(NAMES.len())].to_owned();
    text.push_str(SEPARATORS[separator]);
    text.push_str(VALUES[numbers.below(VALUES.len())]);
    text.push_str("\r\n");
    text.into_bytes()
}

/// A request made of parts that mostly fit together.
fn request(numbers: &mut Numbers) -> Vec<u8> {
    const STARTS: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\n",
        b"POST /a?b HTTP/1.1\r\n",
        b"PUT http://h:1/p HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT h:443 HTTP/1.1\r\n",
        b"GET /%zz|{} HTTP/1.0\r\n",
        b"M /a HTTP/1.9\r\n",
        b"\r\nHEAD / HTTP/1.1\r\n",
    ];
    let mut text = STARTS[numbers.below(STARTS.len())].to_vec();
    if numbers.below(8) > 0 {
        text.extend_from_slice(b"Host: a\r\n");
    }
    let is_chunked = numbers.below(2) == 0;
    text.extend_from_slice(match (is_chunked, numbers.below(3)) {
        (true, _) => b"Transfer-Encoding: chunked\r\n",
        (false, 0) => b"Content-Length: 5\r\n",
        (false, _) => b"",
    });
    for _ in 0..numbers.below(3) {
        text.extend(line(numbers));
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(if is_chunked {
        CHUNKS[numbers.below(CHUNKS.len())]
    } else {
        b"hello"
    });
    text
}

/// Puts something else, or something more, where a line ends: most of framing is decided there.
fn damage_line_end(input: &mut Vec<u8>, numbers: &mut Numbers) {
    const ENDS: [&[u8]; 10] = [
        b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\n", b"", b" \r\n", b"\r\n ", b";\r\n", b"\0\r\n",
    ];
    let ends: Vec<usize> = (0..input.len().saturating_sub(1))
        .filter(|&at| input[at..].starts_with(b"\r\n"))
        .collect();
    if ends.is_empty() {
        return;
    }
    let at = ends[numbers.below(ends.len())];
    let end = ENDS[numbers.below(ENDS.len())];
    input.splice(at..at + 2, end.iter().copied());
}

/// Changes some places of `input`.
fn mutate(input: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..numbers.below(4) {
        if input.is_empty() {
            return;
        }
        let start = numbers.below(input.len());
        let end = input.len().min(start + numbers.below(4));
        match numbers.below(8) {
            0 => input[start] = numbers.next() as u8,
            1 => drop(input.drain(start..end)),
            2 => input.truncate(start),
            3 => {
                let copy = input[start..].to_vec();
                let at = numbers.below(input.len());
                input.splice(at..at, copy.into_iter().take(60));
            }
            4 | 5 => damage_line_end(input, numbers),
            _ => {
                let piece = PIECES[numbers.below(PIECES.len())];
                input.splice(start..end, piece.iter().copied());
            }
        }
    }
}

fn try_one(seed: u64) {
    let mut numbers = Numbers(seed | 1);
    // The first numbers of neighbouring seeds are alike.
    for _ in 0..8 {
        numbers.next();
    }
    let mut input = Vec::new();
    for _ in 0..=numbers.below(3) {
        match numbers.below(4) {
            0 => input.extend_from_slice(MESSAGES[numbers.below(MESSAGES.len())]),
            _ => input.extend(request(&mut numbers)),
        }
    }
    mutate(&mut input, &mut numbers);
    check_requests(&input);

    let mut input = RESPONSES[numbers.below(RESPONSES.len())].to_vec();
    if numbers.below(2) == 0 {
        let at = input
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a line")
            + 2;
        input.splice(at..at, line(&mut numbers));
    }
    mutate(&mut input, &mut numbers);
    check_responses(&input);
}

#[test]
fn what_must_always_be_so_is_so_for_random_messages() {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = number("ANNULUS_FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("ANNULUS_FUZZ_SEED").unwrap_or(0x5EED);
    let start = Instant::now();
    let mut count = 0;
    while seconds.map_or(count < COUNT, |seconds| start.elapsed() < seconds) {
        let seed = first.wrapping_add(2 * count);
        let result = std::panic::catch_unwind(|| try_one(seed));
        assert!(result.is_ok(), "it fails with ANNULUS_FUZZ_SEED={seed}");
        count += 1;
    }
    println!("{count} random inputs from seed {first}");
}
