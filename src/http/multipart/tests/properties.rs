//! Properties of every input, for tests with random bodies and for the fuzzer, which includes this
//! file.

use super::{
    oracle::expected,
    play::{Part, Told, play},
};
use crate::http::multipart::{Limits, boundary, safe_file_name};

/// The limits that a byte stands for.
fn limits(byte: u8) -> Limits {
    Limits {
        parts_max: if byte & 1 == 0 { 100 } else { 2 },
        head_bytes_max: if byte & 2 == 0 { 8192 } else { 60 },
        part_bytes_max: if byte & 4 == 0 { u64::MAX } else { 10 },
    }
}

/// A number that depends on all of `input`, to choose pieces by.
fn hash(input: &[u8]) -> usize {
    input.iter().fold(17, |hash, &byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(byte))
    })
}

/// Checks everything that holds for a body. The first byte chooses the limits.
pub(super) fn check(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let limits = limits(first);
    let told = play([input], limits);
    assert_eq!(told, expected(input, limits), "by the slow reader");
    assert_eq!(play(input.chunks(1), limits), told, "byte by byte");
    let size = hash(input) % 40 + 2;
    assert_eq!(play(input.chunks(size), limits), told, "by {size}");
    let (start, end) = input.split_at(hash(input) / 64 % (input.len() + 1));
    assert_eq!(play([start, end], limits), told, "in two pieces");
    check_told(&told, limits, input.len());
}

fn check_told((parts, _): &Told, limits: Limits, len: usize) {
    assert!(parts.len() <= limits.parts_max);
    let bytes: usize = parts.iter().map(|part| part.bytes.len()).sum();
    assert!(bytes <= len);
    for part in parts {
        check_part(part, limits);
    }
}

fn check_part(part: &Part, limits: Limits) {
    assert!(part.bytes.len() as u64 <= limits.part_bytes_max);
    let fields = part.fields.iter();
    let bytes: usize = fields.map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= limits.head_bytes_max);
    let safe = part.file_name.as_deref().and_then(safe_file_name);
    if let Some(safe) = safe {
        assert!(!safe.is_empty() && safe.len() <= 255 && !safe.starts_with('.'));
        assert!(!safe.contains(['/', '\\', '\0']));
        assert_eq!(safe_file_name(&safe), Some(safe.clone()), "it is safe");
    }
}

/// Checks what holds for a `Content-Type`.
pub(super) fn check_type(value: &[u8]) {
    if let Some(Ok(boundary)) = boundary(value) {
        let delimiter = boundary.delimiter();
        assert!((5..=74).contains(&delimiter.len()));
        assert!(delimiter.starts_with(b"\r\n--") && !delimiter[2..].contains(&b'\r'));
    }
}
