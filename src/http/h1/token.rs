//! Character classes of the grammar.

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
pub(super) fn is_token(bytes: &[u8]) -> bool {
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

/// `bytes` without spaces and tabs around it. Nothing else counts as blank in HTTP.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
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
