//! Base64 (RFC 4648, section 4).

use ::http::HeaderValue;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `Basic` credentials for `user:password`.
pub(crate) fn basic(user_and_password: &[u8]) -> HeaderValue {
    let mut text = String::from("Basic ");
    encode(&mut text, user_and_password);
    let mut value = HeaderValue::try_from(text).expect("base64 is a field value");
    value.set_sensitive(true);
    value
}

/// Appends `bytes` in base64 to `text`.
pub(crate) fn encode(text: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let mut bits = 0_usize;
        for index in 0..3 {
            bits = (bits << 8) | usize::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * index)) & 63];
            let is_padding = index > group.len();
            text.push(if is_padding { '=' } else { char::from(digit) });
        }
    }
}

/// The bytes that `text` is in base64, with its padding. Bits of its last digit that belong to no
/// byte have to be zero, so that each text has one form.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    if text.len() % 4 != 0 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0_usize;
        for &digit in group {
            bits = bits << 6 | ALPHABET.iter().position(|&known| known == digit)?;
        }
        let unused = group.len() * 6 % 8;
        if bits & ((1 << unused) - 1) != 0 {
            return None;
        }
        bits >>= unused;
        for index in (0..group.len() * 6 / 8).rev() {
            bytes.push((bits >> (8 * index)) as u8);
        }
    }
    Some(bytes)
}

/// Whether `text` is `len` bytes in base64. Bits of its last digit that belong to no byte may be
/// set.
pub(crate) fn is_encoded(text: &[u8], len: usize) -> bool {
    let padding = (3 - len % 3) % 3;
    let digit_count = len.div_ceil(3) * 4 - padding;
    text.split_at_checked(digit_count)
        .is_some_and(|(digits, rest)| {
            digits.iter().all(|digit| ALPHABET.contains(digit)) && rest == &b"=="[..padding]
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_padded() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}\u{fe}", "w7/Dvg=="),
        ] {
            let mut text = String::new();
            encode(&mut text, bytes.as_bytes());
            assert_eq!(text, expected);
            assert_eq!(decode(expected.as_bytes()).unwrap(), bytes.as_bytes());
            for len in 0..6 {
                let is_len = len == bytes.len();
                assert_eq!(is_encoded(text.as_bytes(), len), is_len, "{text} {len}");
            }
        }
    }

    #[test]
    fn texts_in_another_form_are_not_decoded() {
        for text in [
            "Z",
            "Zg",
            "Zg=",
            "Zg===",
            "=",
            "====",
            "Zm=v",
            "Zm9v=",
            "Zm9vZ",
            "Zm-v",
            "Zm9v Zg=",
            "Zh==",
            "Zm9=",
            "Zm9v\n",
            " Zm9v",
            "Z\u{e9}8=",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_not_encoded() {
        for text in [
            "Zm8", "Zm8==", "Zm=8", "Z=8=", "====", "Zm8 ", " Zm8=", "Zm-=", "Zm8=\n",
        ] {
            assert!(!is_encoded(text.as_bytes(), 2), "{text}");
        }
    }
}
