//! The request line (RFC 9112, section 3).

use std::str;

use ::http::Method;

use super::{
    Rules,
    span::Span,
    words::{HIGH, below, equal, first_of},
};

/// A request line in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    /// Where the target is: UTF-8 without blanks and control characters.
    pub(super) target: Span,
    /// Whether the target is ASCII and has no query and no fragment.
    pub(super) is_plain: bool,
    /// Whether the version is HTTP/1.0. HTTP/1.2 and later are read as HTTP/1.1 (RFC 9110,
    /// section 2.5).
    pub(super) is_http10: bool,
    /// Number of bytes with the line end.
    pub(super) len: usize,
}

impl RequestLine {
    /// The line at the start of `bytes`.
    ///
    /// There is none as long as it is incomplete, and when anything about it is wrong: what, is
    /// told by the scanner and by `diagnosis.rs`, which look at the same bytes again.
    #[inline]
    pub(super) fn parse(bytes: &[u8], rules: &Rules) -> Option<Self> {
        let (method, method_len) = match bytes.first_chunk() {
            Some(b"GET ") => (Method::GET, 3),
            _ => parse_method(bytes, rules.limits.method_bytes_max)?,
        };
        let start = method_len + 1;
        let (end, is_plain) = find_target_end(bytes, start)?;
        let behind = bytes.get(end..)?;
        let (version, rest) = behind.split_first_chunk()?;
        if version != b" HTTP/1." {
            return None;
        }
        let (minor, line_end) = rest.split_first()?;
        let end_len = match line_end {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] if rules.leniency.lenient_lf => 1,
            _ => return None,
        };
        let len = end + 9 + end_len;
        let limits = &rules.limits;
        if !minor.is_ascii_digit()
            || end == start
            || method_len > limits.method_bytes_max
            || len > limits.start_line_bytes_max
            || len > rules.head_bytes_max()
            || !is_plain && str::from_utf8(&bytes[start..end]).is_err()
        {
            return None;
        }
        Some(Self {
            method,
            target: Span::between(start, end),
            is_plain,
            is_http10: *minor == b'0',
            len,
        })
    }
}

/// The method that ends before the first space, and its length.
fn parse_method(bytes: &[u8], bytes_max: usize) -> Option<(Method, usize)> {
    let len = bytes
        .iter()
        .take(bytes_max.saturating_add(1))
        .position(|&byte| byte == b' ')?;
    let method = Method::from_bytes(&bytes[..len]).ok()?;
    Some((method, len))
}

/// Where the target that begins at `start` ends: at the first blank or control character. And
/// whether it is plain.
///
/// Eight bytes are looked at together. Behind the target of a complete head there are always as
/// many.
#[inline]
fn find_target_end(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    const DELETE: u8 = 0x7F;
    let mut is_plain = true;
    let mut at = start;
    loop {
        let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        let ends = below(word, b' ' + 1) | equal(word, DELETE);
        let marks = equal(word, b'?') | equal(word, b'#') | word & HIGH;
        if ends != 0 {
            let in_target = (ends & ends.wrapping_neg()) - 1;
            is_plain &= marks & in_target == 0;
            return Some((at + first_of(ends), is_plain));
        }
        is_plain &= marks == 0;
        at += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<RequestLine> {
        RequestLine::parse(line.as_bytes(), &Rules::default())
    }

    #[test]
    fn a_target_ends_at_the_first_byte_that_cannot_be_in_it() {
        for len in 0..40 {
            for at in 0..len {
                for byte in 0..=255 {
                    let mut target = vec![b'a'; len];
                    target[at] = byte;
                    let mut bytes = target.clone();
                    bytes.extend_from_slice(b" HTTP/1.1");
                    let is_end = byte <= b' ' || byte == 0x7F;
                    let is_mark = byte == b'?' || byte == b'#' || byte >= 0x80;
                    assert_eq!(
                        find_target_end(&bytes, 0),
                        Some((if is_end { at } else { len }, !is_mark)),
                        "{target:?}"
                    );
                }
            }
        }
        assert_eq!(find_target_end(b"/ ?", 0), None);
        assert_eq!(find_target_end(b"/ ?#\xFF ?#", 0), Some((1, true)));
    }

    #[test]
    fn whatever_a_line_lacks_it_is_not_taken() {
        let line = "OPTIONS /a/path HTTP/1.1\r\n";
        let parsed = parse(line).unwrap();
        assert_eq!(
            (parsed.method, parsed.target.len(), parsed.len),
            (Method::OPTIONS, 7, line.len())
        );
        assert!(parsed.is_plain && !parsed.is_http10);
        for len in 0..line.len() {
            assert_eq!(parse(&line[..len]), None, "{:?}", &line[..len]);
        }
        for wrong in [
            " / HTTP/1.1\r\n",
            "GET  HTTP/1.1\r\n",
            "GET  / HTTP/1.1\r\n",
            "GET /  HTTP/1.1\r\n",
            "GET /\tHTTP/1.1\r\n",
            "GET / HTTP/2.0\r\n",
            "GET / HTTP/1.x\r\n",
            "GET / HTTP/1.10\r\n",
            "GET / HTTP/1.1\n\r\n",
            "GET / HTTP/1.1\rX\r\n",
            "GET /\x7F HTTP/1.1\r\n",
            "G@T / HTTP/1.1\r\n",
            "\r\nGET / HTTP/1.1\r\n",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert!(parse("GET / HTTP/1.0\r\n").unwrap().is_http10);
        assert!(!parse("GET / HTTP/1.9\r\n").unwrap().is_http10);
    }
}
