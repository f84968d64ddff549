//! Random frames, fine ones and ones changed at random, held against what must always be so.
//!
//! `ANNULUS_FUZZ_SECONDS` says for how long; without it a fixed number is tried. A failure tells
//! the seed, and `ANNULUS_FUZZ_SEED` begins there again.

use std::{
    env,
    time::{Duration, Instant},
};

use super::{
    inflating::{check_inflated, deflated},
    play::{masked, unmasked},
    properties::{check, check_handshake, setting},
};
use crate::http::ws::Role;

/// Inputs of one run without a time.
const COUNT: u64 = 3_000;

/// Texts, and others that are nearly UTF-8.
const TEXTS: [&[u8]; 12] = [
    b"hello",
    b"",
    "κόσμε".as_bytes(),
    "\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
    b"\xe2\x82",
    b"\xac\xf0\x9f",
    b"\x98\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\xff",
    b"\x03\xe8bye",
];

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A sequence of frames, most of which follow the rules.
fn frames(numbers: &mut Numbers) -> Vec<u8> {
    let first = numbers.next() as u8;
    let setting = setting(first);
    let mut input = vec![first];
    let mut in_message = false;
    for _ in 0..numbers.below(6) {
        let is_final = numbers.below(3) > 0;
        let opcode = match numbers.below(8) {
            0 => 8 + numbers.below(3) as u8,
            1 => numbers.below(16) as u8,
            _ if in_message => 0,
            number => 1 + number as u8 % 2,
        };
        let mut byte = opcode | if is_final || opcode >= 8 { 0x80 } else { 0 };
        if numbers.below(8) == 0 || (setting.deflate && !in_message && numbers.below(2) == 0) {
            byte |= 0x40;
        }
        if opcode < 8 {
            in_message = !is_final;
        }
        let mut payload = TEXTS[numbers.below(TEXTS.len())].to_vec();
        match numbers.below(400) {
            0 => payload.resize(numbers.below(70_000), b'x'),
            1..50 => payload.resize(numbers.below(300), b'x'),
            _ => {}
        }
        input.extend(match setting.role {
            Role::Server => masked(byte, &payload),
            Role::Client => unmasked(byte, &payload),
        });
    }
    input
}

fn mutate(input: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..numbers.below(4).saturating_sub(1) {
        // Headers are at the start of something short.
        let start = numbers.below(input.len().min(40));
        let end = input.len().min(start + numbers.below(4));
        match numbers.below(6) {
            0 => input[start] = numbers.next() as u8,
            1 => input[start] ^= 1 << numbers.below(8),
            2 => input[start] = [0x7e, 0x7f, 0xfe, 0xff, 0x80, 0][numbers.below(6)],
            3 => drop(input.drain(start.max(1)..end.max(1))),
            4 => input.truncate(start.max(1)),
            _ => {
                let copy = input[start..].to_vec();
                input.extend(copy.into_iter().take(60));
            }
        }
    }
}

/// Field lines of a handshake.
fn fields(numbers: &mut Numbers) -> Vec<u8> {
    const PARTS: [&str; 16] = [
        "permessage-deflate",
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
        "; ",
        "; ",
        "; ",
        ", ",
        "=",
        "=10",
        "=\"15\"",
        "=7",
        " ",
        "\"",
        "x",
    ];
    let mut fields = b"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: ".to_vec();
    for _ in 0..numbers.below(10) {
        fields.extend_from_slice(PARTS[numbers.below(PARTS.len())].as_bytes());
    }
    fields
}

/// A compressed payload, most of which are in the format of deflate.
fn payload(numbers: &mut Numbers) -> Vec<u8> {
    let mut message = Vec::new();
    for _ in 0..numbers.below(8) {
        let text = TEXTS[numbers.below(TEXTS.len())];
        message.extend(text.repeat(numbers.below(40)));
    }
    let mut payload = deflated(message, numbers.next());
    if !payload.is_empty() {
        mutate(&mut payload, numbers);
    }
    payload
}

fn try_one(seed: u64) {
    let mut numbers = Numbers(seed | 1);
    // The first numbers of neighbouring seeds are alike.
    for _ in 0..8 {
        numbers.next();
    }
    let mut input = frames(&mut numbers);
    mutate(&mut input, &mut numbers);
    check(&input);
    let limits = setting(numbers.next() as u8).limits;
    check_inflated(&payload(&mut numbers), &limits);
    check_handshake(&fields(&mut numbers));
}

#[test]
fn what_must_always_be_so_is_so_for_random_frames() {
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
