//! Decodes text in the charsets that the web still uses.

use crate::http::client::error::{Error, ErrorKind, Result};

/// The characters of windows-1252 from 0x80 to 0x9F. The web means these by ISO-8859-1, too.
const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// The text that `bytes` stands for, which came with this `Content-Type`.
pub(crate) fn decode(bytes: Vec<u8>, content_type: Option<&[u8]>) -> Result<String> {
    let charset = content_type.and_then(charset_of).unwrap_or_default();
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.to_vec(),
        None => bytes,
    };
    match &*charset.to_ascii_lowercase() {
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(utf8(bytes)),
        "iso-8859-1" | "latin1" | "iso_8859-1" | "windows-1252" | "cp1252" => {
            Ok(bytes.into_iter().map(windows_1252).collect())
        }
        "utf-16" | "utf-16le" => Ok(utf16(&bytes, u16::from_le_bytes)),
        "utf-16be" => Ok(utf16(&bytes, u16::from_be_bytes)),
        _ => {
            let text = "expected text in UTF-8, UTF-16, ISO-8859-1 or windows-1252, \
                        found another charset";
            Err(Error::new(ErrorKind::Decode(text)))
        }
    }
}

fn utf8(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (unit, bytes): (fn([u8; 2]) -> u16, _) = match bytes {
        [0xff, 0xfe, rest @ ..] => (u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => (u16::from_be_bytes, rest),
        _ => (unit, bytes),
    };
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    String::from_utf16_lossy(&units)
}

/// The value of the parameter `charset`.
fn charset_of(content_type: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content_type).ok()?;
    text.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_read_from_the_content_type() {
        let decode = |bytes: &[u8], content_type: &str| {
            decode(bytes.to_vec(), Some(content_type.as_bytes())).ok()
        };
        assert_eq!(decode(b"\xc3\xa9", "text/plain").unwrap(), "\u{e9}");
        assert_eq!(decode(b"\xef\xbb\xbfa", "text/plain").unwrap(), "a");
        assert_eq!(decode(b"a\xff", "text/plain").unwrap(), "a\u{fffd}");
        let latin = "text/html; Charset=\"ISO-8859-1\"";
        assert_eq!(decode(b"\xe9\x80", latin).unwrap(), "\u{e9}\u{20ac}");
        let utf16 = "text/html;charset=utf-16";
        assert_eq!(decode(b"\xfe\xff\0a", utf16).unwrap(), "a");
        assert_eq!(decode(b"a\0", utf16).unwrap(), "a");
        assert!(decode(b"a", "text/html;charset=koi8-r").is_none());
    }
}
