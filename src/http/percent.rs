//! Percent-encoding (RFC 3986, section 2.1).

use std::borrow::Cow;

/// `bytes` with each `%41` replaced by the byte that it stands for, and each `+` by a space when
/// `plus_is_space`. A percent sign without two hex digits stands for itself.
pub(super) fn decode(bytes: &[u8], plus_is_space: bool) -> Cow<'_, [u8]> {
    let is_coded = |byte: u8| byte == b'%' || (plus_is_space && byte == b'+');
    let Some(first) = bytes.iter().position(|&byte| is_coded(byte)) else {
        return Cow::Borrowed(bytes);
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(&bytes[..first]);
    let mut rest = &bytes[first..];
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        decoded.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => match behind {
                [high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    rest = behind;
                    hex_value(*high) << 4 | hex_value(*low)
                }
                _ => b'%',
            },
            _ => byte,
        });
    }
    Cow::Owned(decoded)
}

/// The value of a hex digit.
fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// `text` with every byte encoded that may not stand in a field or a target: whatever is not
/// visible ASCII. Encoded parts stay as they are.
pub(super) fn encode_invisible(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            encoded.push(char::from(byte));
        } else {
            push_encoded(&mut encoded, byte);
        }
    }
    encoded
}

/// Appends `byte` as `%41`.
pub(super) fn push_encoded(text: &mut String, byte: u8) {
    text.push('%');
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_with_two_digits_are_decoded() {
        for (coded, expected) in [
            ("", ""),
            ("abc", "abc"),
            ("a%20b", "a b"),
            ("%41%4a%4A", "AJJ"),
            ("%C3%bc", "\u{fc}"),
            ("%", "%"),
            ("%4", "%4"),
            ("%%41", "%A"),
            ("%+1", "%+1"),
            ("%g1%1g", "%g1%1g"),
            ("%2541", "%41"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(&*decode(coded.as_bytes(), false), expected.as_bytes());
        }
        assert_eq!(&*decode(b"a+b%2B%", true), b"a b+%");
        assert_eq!(&*decode(b"%ff%00", false), b"\xff\0");
    }

    #[test]
    fn what_needs_no_decoding_is_borrowed() {
        assert!(matches!(decode(b"a+b", false), Cow::Borrowed(_)));
        assert!(matches!(decode(b"a+b", true), Cow::Owned(_)));
    }

    #[test]
    fn only_visible_ascii_is_left_as_it_is() {
        assert_eq!(encode_invisible("/a b?c=%20#d"), "/a%20b?c=%20#d");
        assert_eq!(encode_invisible("\r\n\0\u{7f}\u{fc}"), "%0D%0A%00%7F%C3%BC");
    }
}
