//! Random bodies, held against what must always be so.
//!
//! `ANNULUS_FUZZ_SECONDS` says for how long; without it a fixed number is tried. A failure tells
//! the seed, and `ANNULUS_FUZZ_SEED` begins there again.

use std::{
    env,
    time::{Duration, Instant},
};

use super::properties::{check, check_type};

/// Inputs of one run without a time.
const COUNT: u64 = 20_000;

/// Parts of bodies, most of which mean something.
const PIECES: [&[u8]; 30] = [
    b"--a-b\r\n",
    b"\r\n--a-b\r\n",
    b"\r\n--a-b--",
    b"\r\n--a-b",
    b"\r\n--a-",
    b"\r\n--",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"--",
    b"-",
    b" ",
    b"\t",
    b"--a-bc",
    b"Content-Disposition: form-data; name=\"x\"\r\n\r\n",
    b"Content-Disposition: form-data; name=x\r\n",
    b"content-disposition:form-data;name=a;filename=\"b\\\"c\"\r\n",
    b"Content-Type: text/plain\r\n",
    b"Content-Transfer-Encoding: binary\r\n",
    b"Content-Disposition: attachment\r\n",
    b"; filename*=UTF-8''%e2%82%ac",
    b"hello",
    b"\0\xff",
    b"A:b\r\n",
    b":",
    b"\"",
    b"%22",
    b"form-data; name=\"",
    b"Content-Disposition: form-data; name=\"x\"; filename=\"../a\"\r\n\r\nhello",
];

const TYPES: [&[u8]; 8] = [
    b"multipart/form-data",
    b"; boundary=",
    b"a-b",
    b"\"",
    b"\\",
    b" ",
    b"; charset=utf-8",
    b"x=y",
];

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn choose<'a>(&mut self, among: &[&'a [u8]]) -> &'a [u8] {
        among[self.below(among.len())]
    }
}

/// A body that is fine in its beginning, with something put in or left out.
fn body(numbers: &mut Numbers) -> Vec<u8> {
    let mut body = vec![(numbers.below(4) * numbers.below(4)) as u8];
    if numbers.below(4) > 0 {
        body.extend_from_slice(PIECES[0]);
        body.extend_from_slice(PIECES[15]);
    }
    for _ in 0..numbers.below(12) {
        body.extend_from_slice(numbers.choose(&PIECES));
    }
    if numbers.below(3) > 0 {
        body.extend_from_slice(PIECES[2]);
    }
    for _ in 0..numbers.below(3) {
        let at = numbers.below(body.len());
        match numbers.below(3) {
            0 => drop(body.remove(at)),
            1 => body[at] ^= 1 << numbers.below(8),
            _ => body.insert(at, b"\r\n-\"; "[numbers.below(6)]),
        }
        if body.is_empty() {
            break;
        }
    }
    body
}

#[test]
fn random_bodies_are_read_alike_however_they_are_cut() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let until =
        number("ANNULUS_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let first = number("ANNULUS_FUZZ_SEED").unwrap_or(1);
    for seed in first.. {
        let is_over = match until {
            Some(until) => Instant::now() >= until,
            None => seed >= first + COUNT,
        };
        if is_over {
            break;
        }
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let input = body(&mut numbers);
        let content_type: Vec<_> = (0..numbers.below(8))
            .map(|_| numbers.choose(&TYPES))
            .collect();
        let checked = std::panic::catch_unwind(|| {
            check(&input);
            check_type(&content_type.concat());
        });
        assert!(checked.is_ok(), "ANNULUS_FUZZ_SEED={seed}");
    }
}
