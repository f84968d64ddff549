//! Finds the exact error in a head that cannot be split.
//!
//! Splitting is made for heads that are right and tells little about the others. This looks at
//! the lines again, in order, which costs nothing while heads are right. It looks at the start line
//! of an incomplete head, too: a peer that speaks another protocol often sends one line, or less,
//! and waits.

use std::str;

use super::{
    HeadError, Leniency, RequestError, ResponseError, Rules,
    fields::FieldLine,
    scan::StartLine,
    token::{is_text_byte, is_token},
};

/// Finds the error in `head`, a whole request head.
#[cold]
pub(super) fn diagnose_request(head: &[u8], leniency: Leniency) -> RequestError {
    let mut lines = lines(head);
    let line = lines.next().unwrap_or_default();
    if let Err(reason) = check_request_line(line, leniency) {
        return reason;
    }
    diagnose_fields(lines).map_or(RequestError::RequestLineInvalid, RequestError::Head)
}

/// Finds the error in `head`, a whole response head.
#[cold]
pub(super) fn diagnose_response(head: &[u8]) -> ResponseError {
    let mut lines = lines(head);
    let line = lines.next().unwrap_or_default();
    if let Err(error) = check_status_line(line) {
        return error;
    }
    diagnose_fields(lines).map_or(ResponseError::StatusLineInvalid, ResponseError::Head)
}

/// Finds the error in a request line, also in one of which only the beginning has arrived.
#[cold]
pub(super) fn check_begun_request(line: StartLine<'_>, rules: &Rules) -> Result<(), RequestError> {
    check_request_bytes(line, rules)?;
    if !line.is_complete {
        return Ok(());
    }
    // Text in the target is no matter of the line alone: it is judged with the whole head.
    let leniency = Leniency {
        raw_utf8_target: true,
        ..rules.leniency
    };
    check_request_line(line.content, leniency)
}

/// Finds the error in a status line, also in one of which only the beginning has arrived.
#[cold]
pub(super) fn check_begun_response(line: StartLine<'_>) -> Result<(), ResponseError> {
    const START: &[u8] = b"HTTP/";
    let start = &line.content[..line.content.len().min(START.len())];
    if !START.starts_with(start) {
        return Err(ResponseError::VersionInvalid);
    }
    if line.is_complete {
        check_status_line(line.content)
    } else {
        Ok(())
    }
}

/// Looks for bytes that no request line has, among those before its limits.
fn check_request_bytes(line: StartLine<'_>, rules: &Rules) -> Result<(), RequestError> {
    let is_control = |byte: &u8| matches!(byte, 0..=0x08 | 0x0B..=0x1F | 0x7F);
    let limits = &rules.limits;
    let bytes_max = limits.start_line_bytes_max.min(rules.head_bytes_max());
    let content = &line.content[..line.content.len().min(bytes_max)];
    let start = &content[..content.len().min(limits.method_bytes_max.saturating_add(1))];
    let method_len = start.iter().position(|&byte| byte == b' ');
    let method = &start[..method_len.unwrap_or(start.len())];
    if method
        .iter()
        .any(|byte| is_control(byte) || !byte.is_ascii())
    {
        return Err(RequestError::Head(HeadError::MethodInvalid));
    }
    // A method over its limit is the scanner's to tell.
    let Some(method_len) = method_len else {
        return Ok(());
    };
    let unseen = line.seen.clamp(method_len, content.len());
    let Some(offset) = content[unseen..].iter().position(is_control) else {
        return Ok(());
    };
    let target = &content[method_len + 1..unseen + offset];
    Err(if target.contains(&b' ') {
        RequestError::VersionInvalid
    } else {
        RequestError::TargetInvalid
    })
}

fn diagnose_fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<HeadError> {
    lines
        .filter(|line| !line.is_empty())
        .find_map(|line| FieldLine::parse(line).err())
}

/// The lines of `head` without their ends.
pub(super) fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn check_request_line(line: &[u8], leniency: Leniency) -> Result<(), RequestError> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(RequestError::RequestLineInvalid);
    };
    if method.is_empty() || target.is_empty() || version.is_empty() {
        return Err(RequestError::RequestLineInvalid);
    }
    if !is_token(method) {
        return Err(RequestError::Head(HeadError::MethodInvalid));
    }
    if target.iter().any(|&byte| matches!(byte, 0..=b' ' | 0x7F)) {
        return Err(RequestError::TargetInvalid);
    }
    let utf8_allowed = leniency.raw_utf8_target && str::from_utf8(target).is_ok();
    if !target.is_ascii() && !utf8_allowed {
        return Err(RequestError::TargetNotAscii);
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            match (method, *major) {
                (_, b'1') => Ok(()),
                (b"PRI", b'2') => Err(RequestError::Http2Preface),
                _ => Err(RequestError::VersionUnsupported),
            }
        }
        _ => Err(RequestError::VersionInvalid),
    }
}

fn check_status_line(line: &[u8]) -> Result<(), ResponseError> {
    let (version, rest) = line.split_at(line.len().min(8));
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => {}
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(ResponseError::VersionUnsupported);
        }
        _ => return Err(ResponseError::VersionInvalid),
    }
    match rest {
        [b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Ok(()),
        [
            b' ',
            b'1'..=b'9',
            b'0'..=b'9',
            b'0'..=b'9',
            b' ',
            reason @ ..,
        ] if reason.iter().all(|&byte| is_text_byte(byte)) => Ok(()),
        [b' ', b'0', b'0'..=b'9', b'0'..=b'9']
        | [b' ', b'0', b'0'..=b'9', b'0'..=b'9', b' ', ..] => Err(ResponseError::StatusInvalid),
        _ => Err(ResponseError::StatusLineInvalid),
    }
}

/// The place of the minor version in the status line of `head`, when the version is HTTP/1.2 to
/// HTTP/1.9. Such a message is to be read as HTTP/1.1 (RFC 9110, section 2.5).
#[cold]
pub(super) fn newer_minor_version(head: &[u8]) -> Option<usize> {
    match head {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', ..] => Some(7),
        _ => None,
    }
}
