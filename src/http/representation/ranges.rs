//! Ranges of bytes (RFC 9110, section 14).

use std::ops::Range;

use crate::http::h1::{Fields, trim};

/// The ranges of one request that are answered by their parts. With more, all is sent: many small
/// ranges cost far more than what they save.
pub(crate) const RANGES_MAX: usize = 8;

/// The part of a representation that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: the request has no `Range`, or one that is ignored.
    Whole,
    /// Ranges in ascending order that do not overlap, none of them empty: at least one and at most
    /// [`RANGES_MAX`].
    Parts(Vec<Range<u64>>),
    /// None that is there: 416.
    Nothing,
}

/// The part that a request asks for of a representation that is `len` bytes long. A `Range` that is
/// malformed or of another unit is ignored.
pub(crate) fn wanted(fields: &Fields, len: u64) -> Wanted {
    let mut values = fields.get_all("range");
    match (values.next(), values.next()) {
        (Some(value), None) => parse(value, len).unwrap_or(Wanted::Whole),
        _ => Wanted::Whole,
    }
}

fn parse(value: &[u8], len: u64) -> Option<Wanted> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    let (mut count, mut is_whole) = (0, false);
    for spec in set.split(|&byte| byte == b',').map(trim) {
        // A list may have empty elements (RFC 9110, section 5.6.1).
        if spec.is_empty() {
            continue;
        }
        count += 1;
        let Some(part) = place(spec, len)? else {
            continue;
        };
        let is_behind = parts.last().is_none_or(|last| last.end <= part.start);
        is_whole |= !is_behind || part.is_empty() || parts.len() == RANGES_MAX;
        if !is_whole {
            parts.push(part);
        }
    }
    match (count, is_whole, parts.len()) {
        (0, ..) => None,
        (_, true, _) => Some(Wanted::Whole),
        (_, false, 0) => Some(Wanted::Nothing),
        _ => Some(Wanted::Parts(parts)),
    }
}

/// The place of one range, or none when nothing of it is there; fails when it is malformed.
fn place(spec: &[u8], len: u64) -> Option<Option<Range<u64>>> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let count = number(last)?;
        return Some((count > 0).then(|| len.saturating_sub(count)..len));
    }
    let first = number(first)?;
    let last = match last {
        [] => u64::MAX,
        last => number(last)?,
    };
    if first > last {
        return None;
    }
    Some((first < len).then(|| first..last.saturating_add(1).min(len)))
}

/// A number, and the largest for all that is larger.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(10)?;
        number = number.saturating_mul(10).saturating_add(digit.into());
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{RequestHead, Rules};

    #[expect(
        clippy::single_range_in_vec_init,
        reason = "ranges are the values here"
    )]
    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        use Wanted::{Nothing, Parts, Whole};
        let table: &[(&str, Wanted)] = &[
            ("bytes=0-0", Parts(vec![0..1])),
            ("bytes=0-99", Parts(vec![0..100])),
            ("bytes=0-100", Parts(vec![0..100])),
            ("bytes=99-", Parts(vec![99..100])),
            ("bytes=0-", Parts(vec![0..100])),
            ("bytes=-1", Parts(vec![99..100])),
            ("bytes=-100", Parts(vec![0..100])),
            ("bytes=-1000", Parts(vec![0..100])),
            ("BYTES=5-6", Parts(vec![5..7])),
            ("bytes= 5-6 ", Parts(vec![5..7])),
            ("bytes=,5-6,,", Parts(vec![5..7])),
            ("bytes=000000000000000000000005-6", Parts(vec![5..7])),
            ("bytes=5-99999999999999999999999999", Parts(vec![5..100])),
            ("bytes=0-1,4-5", Parts(vec![0..2, 4..6])),
            ("bytes=0-1, 2-3 ,\t-5", Parts(vec![0..2, 2..4, 95..100])),
            ("bytes=0-1,200-300", Parts(vec![0..2])),
            ("bytes=200-300,0-1", Parts(vec![0..2])),
            (
                "bytes=0-1,2-3,4-5,6-7,8-9,10-11,12-13,14-15",
                Parts((0..8).map(|i| 2 * i..2 * i + 2).collect()),
            ),
            // Too many, overlapping, or in another order.
            ("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16", Whole),
            ("bytes=0-5,5-6", Whole),
            ("bytes=4-5,0-1", Whole),
            ("bytes=0-,-1", Whole),
            // Nothing is there.
            ("bytes=100-", Nothing),
            ("bytes=100-200", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=200-300,400-500", Nothing),
            ("bytes=99999999999999999999999999-", Nothing),
            // Malformed.
            ("", Whole),
            ("bytes", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes=-", Whole),
            ("bytes=--1", Whole),
            ("bytes=5", Whole),
            ("bytes=6-5", Whole),
            ("bytes=a-b", Whole),
            ("bytes=0x0-5", Whole),
            ("bytes=+1-5", Whole),
            ("bytes=1 - 5", Whole),
            ("bytes=0-1,x", Whole),
            ("bytes=0-1;5-6", Whole),
            ("bytes:0-1", Whole),
            ("items=0-1", Whole),
            (" bytes=0-1", Whole),
        ];
        for (value, expected) in table {
            let found = parse(value.as_bytes(), 100).unwrap_or(Whole);
            assert_eq!(found, *expected, "{value}");
        }
    }

    #[test]
    fn two_fields_of_ranges_count_as_none() {
        for (lines, expected) in [
            ("", Wanted::Whole),
            ("Range: bytes=-0\r\n", Wanted::Nothing),
            ("Range: bytes=-0\r\nRange: bytes=-0\r\n", Wanted::Whole),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let mut head = RequestHead::new();
            head.read(text.as_bytes(), &Rules::default()).unwrap();
            assert_eq!(wanted(head.fields(), 100), expected, "{lines}");
        }
    }

    #[test]
    fn nothing_is_there_of_an_empty_representation_but_its_end() {
        assert_eq!(parse(b"bytes=0-", 0), Some(Wanted::Nothing));
        assert_eq!(parse(b"bytes=0-0", 0), Some(Wanted::Nothing));
        // The last five of no bytes are all of them, which no `Content-Range` can say.
        assert_eq!(parse(b"bytes=-5", 0), Some(Wanted::Whole));
    }

    #[test]
    fn parts_are_as_a_slow_oracle_finds_them() {
        for first in 0..12_u64 {
            for last in first..12 {
                for len in 0..10_u64 {
                    let value = format!("bytes={first}-{last}");
                    let bytes: Vec<u64> =
                        (0..len).filter(|&at| first <= at && at <= last).collect();
                    let found = match parse(value.as_bytes(), len).unwrap() {
                        Wanted::Nothing => Vec::new(),
                        Wanted::Parts(parts) => parts.into_iter().flatten().collect(),
                        Wanted::Whole => panic!("{value} of {len}"),
                    };
                    assert_eq!(found, bytes, "{value} of {len}");
                }
            }
        }
    }
}
