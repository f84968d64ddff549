//! A slow reader of whole bodies, which the parser is compared with.

use super::play::{BOUNDARY, Part, Told};
use crate::http::multipart::{Limits, MultipartError, PartHead};

/// The parts of a whole body, as [`play`](super::play::play) tells them.
pub(super) fn expected(input: &[u8], limits: Limits) -> Told {
    let mut parts = Vec::new();
    let outcome = read(input, limits, &mut parts);
    (parts, outcome)
}

fn read(input: &[u8], limits: Limits, parts: &mut Vec<Part>) -> Result<(), MultipartError> {
    // The first boundary may stand at the beginning, as if a line ended there.
    let text = [b"\r\n", input].concat();
    let delimiter = [b"\r\n--", BOUNDARY].concat();
    let mut at = find(&text, &delimiter).ok_or(MultipartError::UnexpectedEnd)?;
    loop {
        at = match end_of_boundary_line(&text[at + delimiter.len()..])? {
            Some(count) => at + delimiter.len() + count,
            None => return Ok(()),
        };
        if parts.len() == limits.parts_max {
            return Err(MultipartError::TooManyParts);
        }
        let (head, len) = head(&text[at..], limits)?;
        let mut part = Part::new(&head);
        // The line end of the head may be that of the boundary.
        let from = at + len - 2;
        let end = find(&text[from..], &delimiter).map(|end| from + end);
        let data = match end {
            Some(end) => &text[(at + len).min(end)..end],
            None => &text[at + len..without_start(&text, at + len, &delimiter)],
        };
        let left = usize::try_from(limits.part_bytes_max).unwrap_or(usize::MAX);
        part.bytes = data[..data.len().min(left)].to_vec();
        parts.push(part);
        if data.len() > left {
            return Err(MultipartError::PartTooLarge);
        }
        at = end.ok_or(MultipartError::UnexpectedEnd)?;
    }
}

/// Where `text` ends, without what may be the beginning of a delimiter.
fn without_start(text: &[u8], start: usize, delimiter: &[u8]) -> usize {
    let from = text.len().saturating_sub(delimiter.len() - 1);
    let at = (from..text.len()).find(|&at| delimiter.starts_with(&text[at..]));
    at.unwrap_or(text.len()).max(start)
}

/// How long the rest of a boundary's line is; none when the boundary is the closing one.
fn end_of_boundary_line(rest: &[u8]) -> Result<Option<usize>, MultipartError> {
    if rest.starts_with(b"--") {
        return Ok(None);
    }
    let blanks = rest
        .iter()
        .take_while(|&&byte| byte == b' ' || byte == b'\t');
    let blanks = blanks.count();
    match &rest[blanks.min(64)..] {
        [b'\r', b'\n', ..] => Ok(Some(blanks + 2)),
        [] | [b'\r'] => Err(MultipartError::UnexpectedEnd),
        [b'-'] if blanks == 0 => Err(MultipartError::UnexpectedEnd),
        _ => Err(MultipartError::BoundaryLine),
    }
}

/// A head, and its length with the empty line.
fn head(text: &[u8], limits: Limits) -> Result<(PartHead, usize), MultipartError> {
    let mut head = PartHead::default();
    let mut start = 0;
    loop {
        let end = text[start..].iter().position(|&byte| byte == b'\n');
        let end = end.map(|end| start + end + 1);
        if end.unwrap_or(text.len()) > limits.head_bytes_max {
            return Err(MultipartError::HeadTooLarge);
        }
        let end = end.ok_or(MultipartError::UnexpectedEnd)?;
        head.push(&text[start..end]);
        if head.end_line(start)? {
            return Ok((head, end));
        }
        start = end;
    }
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len())
        .position(|window| window == needle)
}
