//! The head of a request, written as HTTP/1.1 has it, which its exchange reads.
//!
//! So a request keeps the same rules whichever version it came by, and the handler sees the same
//! type. The pseudo-fields become the request line and `Host` (RFC 9113, section 8.3.1).

use ::h2::RecvStream;
use ::http::{HeaderMap, Method, header, request::Parts};

use crate::http::h1::BodyLength;

/// The room for a usual head.
const HEAD_BYTES: usize = 512;

/// The request breaks a rule of HTTP/2 that the crate `h2` leaves to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The length of the body, in the terms of HTTP/1.1: a body of unknown length counts as one in
/// chunks.
pub(super) fn body_length(fields: &HeaderMap, body: &RecvStream) -> BodyLength {
    if body.is_end_stream() {
        return BodyLength::None;
    }
    let length = fields.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    length.map_or(BodyLength::Chunked, BodyLength::Sized)
}

/// Writes the head.
pub(super) fn head(parts: &Parts) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(HEAD_BYTES);
    let (method, uri, fields) = (&parts.method, &parts.uri, &parts.headers);
    let authority = uri.authority().map(|authority| authority.as_str());
    let target = match uri.path_and_query() {
        _ if *method == Method::CONNECT => authority.ok_or(Malformed)?,
        Some(target) => target.as_str(),
        None => return Err(Malformed),
    };
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    match (authority, fields.get(header::HOST)) {
        // Section 8.3.1: both name the same.
        (Some(authority), Some(host)) if authority.as_bytes() != host.as_bytes() => {
            return Err(Malformed);
        }
        // Userinfo is no part of it.
        (Some(authority), _) if authority.contains('@') => return Err(Malformed),
        (Some(authority), None) => field(&mut out, "host", authority.as_bytes()),
        (_, Some(_)) | (None, None) => {}
    }
    let mut has_cookies = false;
    for (name, value) in fields {
        if *name == header::COOKIE {
            has_cookies = true;
        } else {
            field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    if has_cookies {
        cookies(&mut out, fields);
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// Joins the parts that a client may have made of its cookies (section 8.2.3).
fn cookies(out: &mut Vec<u8>, fields: &HeaderMap) {
    out.extend_from_slice(b"cookie: ");
    for (index, value) in fields.get_all(header::COOKIE).iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
