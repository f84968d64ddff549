//! Character classes of the grammar.

use super::words::{HIGH, ONES};

const TOKEN: u8 = 1;
const HEX: u8 = 2;
const REG_NAME: u8 = 4;
const TEXT: u8 = 8;
const QUOTED: u8 = 16;
const TARGET: u8 = 32;

/// The classes of each byte.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        if alphanumeric || is_in(b, b"!#$%&'*+-.^_`|~") {
            classes[byte] |= TOKEN;
        }
        if b.is_ascii_hexdigit() {
            classes[byte] |= HEX;
        }
        // RFC 3986: unreserved and sub-delims. Percent-encoding is looked at by the host check.
        if alphanumeric || is_in(b, b"-._~!$&'()*+,;=") {
            classes[byte] |= REG_NAME;
        }
        if b == b'\t' || (b >= b' ' && b != 0x7F) {
            classes[byte] |= TEXT;
            if b != b'"' && b != b'\\' {
                classes[byte] |= QUOTED;
            }
        }
        // RFC 3986: pchar, percent sign, slash and question mark. Brackets enclose addresses, and
        // are common in queries.
        if alphanumeric || is_in(b, b"-._~!$&'()*+,;=:@%/?[]") {
            classes[byte] |= TARGET;
        }
        byte += 1;
    }
    classes
}

const fn is_in(byte: u8, set: &[u8]) -> bool {
    let mut index = 0;
    while index < set.len() {
        if set[index] == byte {
            return true;
        }
        index += 1;
    }
    false
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Whether `byte` may be part of a token: a method, a field name, a coding.
pub(super) fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// Whether `bytes` is a token, which has at least one byte.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `byte` is a hex digit.
pub(super) fn is_hex(byte: u8) -> bool {
    is(byte, HEX)
}

/// Whether `byte` may be part of a registered name as it is.
pub(super) fn is_reg_name_byte(byte: u8) -> bool {
    is(byte, REG_NAME)
}

/// Whether `byte` may be part of a field value: a tab or anything but a control character.
pub(super) fn is_text_byte(byte: u8) -> bool {
    is(byte, TEXT)
}

/// Whether `byte` may stand in a quoted string without a backslash before it.
pub(super) fn is_quoted_byte(byte: u8) -> bool {
    is(byte, QUOTED)
}

/// Whether `byte` may be sent in a request target as it is.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    is(byte, TARGET)
}

/// Whether two names are the same but for the case of their letters.
#[inline]
pub(super) fn is_same_name(name: &[u8], other: &[u8]) -> bool {
    // Most differ in length or in their first letter, and then there is nothing to call.
    match (name, other) {
        ([first, ..], [other_first, ..]) => {
            name.len() == other.len()
                && (first ^ other_first) & !CASE == 0
                && is_same_text(name, other)
        }
        _ => name.len() == other.len(),
    }
}

/// The bit that differs between a small ASCII letter and its capital.
const CASE: u8 = 0x20;

/// Whether texts of the same length are the same but for the case of ASCII letters.
///
/// Eight bytes are compared at a time: names are many, and too short for anything wider.
#[inline(never)]
fn is_same_text(mut text: &[u8], mut other: &[u8]) -> bool {
    while let (Some((word, rest)), Some((other_word, other_rest))) =
        (text.split_first_chunk(), other.split_first_chunk())
    {
        if !is_same_word(u64::from_le_bytes(*word), u64::from_le_bytes(*other_word)) {
            return false;
        }
        (text, other) = (rest, other_rest);
    }
    is_same_word(word_of(text), word_of(other))
}

/// Fewer than eight bytes as a word, which differs for any two that differ and are of one length.
#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    match *bytes {
        // Its two halves may overlap.
        [a, b, c, d, ..] => {
            let [.., w, x, y, z] = *bytes else {
                unreachable!("there are four bytes")
            };
            u64::from_le_bytes([a, b, c, d, w, x, y, z])
        }
        [a, b, c] => u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]),
        [a, b] => u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a] => u64::from(a),
        [] => 0,
    }
}

/// Whether two words of bytes are the same but for the case of ASCII letters.
#[inline]
fn is_same_word(word: u64, other: u64) -> bool {
    const CASES: u64 = ONES * CASE as u64;
    let difference = word ^ other;
    if difference & !CASES != 0 {
        return false;
    }
    // The high bit of each byte tells whether it is a letter.
    let lower = (word | CASES) & !HIGH;
    let from_a = lower + ONES * u64::from(0x80 - b'a');
    let beyond_z = lower + ONES * u64::from(0x7F - b'z');
    let letters = from_a & !beyond_z & !word & HIGH;
    difference & !(letters >> 2) == 0
}

/// `bytes` without spaces and tabs around it. Nothing else counts as blank in HTTP.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, trimmed, without the empty ones.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_one_byte_after_the_other_is() {
        let text: Vec<u8> = (0..40)
            .map(|index| b"Aa-Zz^~_0{[`@\xE4\xC4"[index % 15])
            .collect();
        for len in 0..20 {
            let name = &text[3..3 + len];
            assert!(!is_same_name(name, &text[3..4 + len]));
            assert!(is_same_name(name, name));
            for at in 0..len {
                for byte in 0..=255 {
                    let mut other = name.to_vec();
                    other[at] = byte;
                    let expected = name.eq_ignore_ascii_case(&other);
                    assert_eq!(is_same_name(name, &other), expected, "{name:?} {other:?}");
                }
            }
        }
    }
}
