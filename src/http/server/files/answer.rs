//! The answer to a request for a file that was found.

use std::{
    hash::{BuildHasher as _, RandomState},
    ops::Range,
};

use bytes::Bytes;

use super::found::Found;
use crate::http::{
    HeaderValue, StatusCode, header,
    representation::{
        conditions::{Verdict, evaluate},
        ranges::{Wanted, wanted},
    },
    server::message::{
        body_writer::BodyWriter, file_body::Content, request::Request, response::Response,
        response::unix_seconds,
    },
};

/// Answers by the request's conditions and ranges.
pub(super) fn answer(request: &Request, found: &Found) -> Response {
    let fields = request.head().fields();
    let verdict = evaluate(request.method(), fields, found.validators(), unix_seconds());
    let len = found.version.len;
    let wanted = match verdict {
        Verdict::NotModified => return whole(found).into_not_modified(),
        Verdict::Failed => return Response::new(StatusCode::PRECONDITION_FAILED),
        Verdict::Proceed { with_range: true } => wanted(fields, len),
        Verdict::Proceed { with_range: false } => Wanted::Whole,
    };
    match wanted {
        Wanted::Whole => whole(found),
        Wanted::Nothing => Response::new(StatusCode::RANGE_NOT_SATISFIABLE)
            .with_field(header::CONTENT_RANGE, content_range(None, len)),
        Wanted::Parts(mut parts) => match parts.pop() {
            Some(part) if parts.is_empty() => one_part(found, part),
            last => {
                parts.extend(last);
                several_parts(found, parts)
            }
        },
    }
}

/// Answers with all of it.
pub(super) fn whole(found: &Found) -> Response {
    let response = with_content(&found.content, 0..found.version.len);
    response
        .with_all_fields(found.content_type.clone(), found.fields.clone())
        .with_length_of(&found.content, found.version.len)
}

fn one_part(found: &Found, part: Range<u64>) -> Response {
    let range = content_range(Some(&part), found.version.len);
    let len = part.end - part.start;
    with_content(&found.content, part)
        .with_all_fields(found.content_type.clone(), found.fields.clone())
        .with_length_of(&found.content, len)
        .with_status(StatusCode::PARTIAL_CONTENT)
        .with_field(header::CONTENT_RANGE, range)
}

fn with_content(content: &Content, part: Range<u64>) -> Response {
    match content {
        Content::Bytes(bytes) => Response::new(StatusCode::OK)
            .with_body(bytes.slice(part.start as usize..part.end as usize)),
        Content::File(_) => {
            let content = content.clone();
            Response::writer(async move |mut out: BodyWriter| content.write(&mut out, part).await)
        }
    }
}

impl Response {
    /// Promises the length of a body that is written in pieces.
    fn with_length_of(self, content: &Content, len: u64) -> Self {
        match content {
            Content::Bytes(_) => self,
            Content::File(_) => self.with_field(header::CONTENT_LENGTH, len.into()),
        }
    }
}

/// RFC 9110, section 14.6.
fn several_parts(found: &Found, parts: Vec<Range<u64>>) -> Response {
    let boundary = boundary();
    let heads: Vec<Bytes> = parts
        .iter()
        .enumerate()
        .map(|(index, part)| {
            let before = if index == 0 { "" } else { "\r\n" };
            let range = content_range(Some(part), found.version.len);
            let mut head = format!("{before}--{boundary}\r\nContent-Type: ").into_bytes();
            head.extend_from_slice(found.content_type.as_bytes());
            head.extend_from_slice(b"\r\nContent-Range: ");
            head.extend_from_slice(range.as_bytes());
            head.extend_from_slice(b"\r\n\r\n");
            head.into()
        })
        .collect();
    let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let heads_bytes: usize = heads.iter().map(Bytes::len).sum();
    let parts_bytes: u64 = parts.iter().map(|part| part.end - part.start).sum();
    let len = (heads_bytes + end.len()) as u64 + parts_bytes;
    let content = found.content.clone();
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    let content_type = HeaderValue::try_from(content_type).expect("it is visible ASCII");
    Response::writer(async move |mut out: BodyWriter| {
        for (head, part) in heads.into_iter().zip(parts) {
            out.write(head).await?;
            content.write(&mut out, part).await?;
        }
        out.write(end).await
    })
    .with_all_fields(content_type, found.fields.clone())
    .with_field(header::CONTENT_LENGTH, len.into())
    .with_status(StatusCode::PARTIAL_CONTENT)
}

/// A line that no file has but by chance.
fn boundary() -> String {
    let state = RandomState::new();
    format!("{:016x}{:016x}", state.hash_one(0), state.hash_one(1))
}

fn content_range(part: Option<&Range<u64>>, len: u64) -> HeaderValue {
    let text = match part {
        Some(part) => format!("bytes {}-{}/{len}", part.start, part.end - 1),
        None => format!("bytes */{len}"),
    };
    HeaderValue::try_from(text).expect("it is visible ASCII")
}
