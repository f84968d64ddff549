//! The answer that most handlers give.

use ::http::{HeaderValue, StatusCode};

use super::{
    AnswerTo, BodyLength, ResponseEncoder, ResponseFraming, date::DATE_LINE_LEN,
    write::write_number,
};

/// Writes whole answers whose body is at hand and whose only field is `Content-Type`, as
/// [`ResponseEncoder`] would.
///
/// The usual one, `200 OK` on a connection that stays open, differs from the last of its type in
/// length and date only: what stands before them is kept.
#[derive(Debug)]
pub(crate) struct PlainEncoder {
    content_type: HeaderValue,
    /// The usual head up to the length.
    head: Vec<u8>,
}

impl PlainEncoder {
    pub(crate) fn new() -> Self {
        Self {
            content_type: HeaderValue::from_static(""),
            head: Vec::new(),
        }
    }

    /// Adds an answer to `out`. The date line is the one of `DateCache`.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        content_type: &HeaderValue,
        body: &[u8],
        answer_to: AnswerTo,
        date_line: &[u8; DATE_LINE_LEN],
    ) -> ResponseFraming {
        const USUAL: AnswerTo = AnswerTo {
            is_head: false,
            is_connect: false,
            is_http10: false,
            keeps_alive: true,
        };
        if status != StatusCode::OK || answer_to != USUAL {
            return encode_unusual(out, status, content_type, body, answer_to, date_line);
        }
        if self.head.is_empty() || !is_same(&self.content_type, content_type) {
            self.renew(content_type);
        }
        out.reserve(self.head.len() + DATE_LINE_LEN + 32 + body.len());
        out.extend_from_slice(&self.head);
        write_number(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(date_line);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        ResponseFraming {
            body: BodyLength::Sized(body.len() as u64),
            keeps_alive: true,
        }
    }

    #[cold]
    fn renew(&mut self, content_type: &HeaderValue) {
        self.content_type = content_type.clone();
        self.head.clear();
        self.head
            .extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: ");
        self.head.extend_from_slice(content_type.as_bytes());
        self.head.extend_from_slice(b"\r\nContent-Length: ");
    }
}

/// Whether two values are the same, which nearly always come from the same place.
#[inline]
fn is_same(one: &HeaderValue, other: &HeaderValue) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    std::ptr::eq(one, other) || one == other
}

fn encode_unusual(
    out: &mut Vec<u8>,
    status: StatusCode,
    content_type: &HeaderValue,
    body: &[u8],
    answer_to: AnswerTo,
    date_line: &[u8; DATE_LINE_LEN],
) -> ResponseFraming {
    out.reserve(160 + content_type.len() + body.len());
    let mut encoder = ResponseEncoder::new(out, status, answer_to);
    encoder.content_type(content_type);
    let framing = encoder.finish(Some(body.len() as u64), date_line);
    if framing.body != BodyLength::None {
        out.extend_from_slice(body);
    }
    framing
}
