//! Encodes the answer that most handlers give.

use ::http::{HeaderValue, StatusCode};

use super::{
    AnswerTo, BodyLength, DateCache, ResponseEncoder, ResponseFraming, write::write_number,
};

const BEFORE_TYPE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: ";
const BEHIND_TYPE: &[u8] = b"\r\nContent-Length: ";

/// Writes whole answers whose body is at hand and whose only field is `Content-Type`, as
/// [`ResponseEncoder`] would.
///
/// The head of the usual one, `200 OK` on a connection that stays open, is kept: the next of its
/// type differs in length and date at most.
#[derive(Debug)]
pub(crate) struct PlainEncoder {
    /// The usual head. It has a copy of the type: a clone would be dropped when the next comes, and
    /// what it runs then is the user's.
    head: Vec<u8>,
    /// The place of the length in `head`.
    length_at: usize,
    /// The body's length and the second that it tells.
    told: Option<(usize, u64)>,
}

impl PlainEncoder {
    pub(crate) fn new() -> Self {
        Self {
            head: Vec::new(),
            length_at: 0,
            told: None,
        }
    }

    /// Adds an answer to `out`.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        content_type: &HeaderValue,
        body: &[u8],
        answer_to: AnswerTo,
        date: &DateCache,
    ) -> ResponseFraming {
        const USUAL: AnswerTo = AnswerTo {
            is_head: false,
            is_connect: false,
            is_http10: false,
            keeps_alive: true,
        };
        if status != StatusCode::OK || answer_to != USUAL {
            return encode_unusual(out, status, content_type, body, answer_to, date);
        }
        if !self.has_type(content_type) {
            self.begin_head(content_type);
        }
        let told = Some((body.len(), date.second()));
        if self.told != told {
            self.finish_head(body.len(), date);
            self.told = told;
        }
        out.reserve(self.head.len() + body.len());
        out.extend_from_slice(&self.head);
        out.extend_from_slice(body);
        ResponseFraming {
            body: BodyLength::Sized(body.len() as u64),
            keeps_alive: true,
        }
    }

    #[inline]
    fn has_type(&self, content_type: &HeaderValue) -> bool {
        // There is no head at first.
        let end = self.length_at.saturating_sub(BEHIND_TYPE.len());
        self.head.get(BEFORE_TYPE.len()..end) == Some(content_type.as_bytes())
    }

    #[cold]
    fn begin_head(&mut self, content_type: &HeaderValue) {
        self.head.clear();
        self.head.extend_from_slice(BEFORE_TYPE);
        self.head.extend_from_slice(content_type.as_bytes());
        self.head.extend_from_slice(BEHIND_TYPE);
        self.length_at = self.head.len();
        self.told = None;
    }

    fn finish_head(&mut self, body_len: usize, date: &DateCache) {
        self.head.truncate(self.length_at);
        write_number(&mut self.head, body_len as u64);
        self.head.extend_from_slice(b"\r\n");
        self.head.extend_from_slice(date.line());
        self.head.extend_from_slice(b"\r\n");
    }
}

fn encode_unusual(
    out: &mut Vec<u8>,
    status: StatusCode,
    content_type: &HeaderValue,
    body: &[u8],
    answer_to: AnswerTo,
    date: &DateCache,
) -> ResponseFraming {
    out.reserve(160 + content_type.len() + body.len());
    let mut encoder = ResponseEncoder::new(out, status, answer_to);
    encoder.content_type(content_type);
    let framing = encoder.finish(Some(body.len() as u64), date.line());
    if framing.body != BodyLength::None {
        out.extend_from_slice(body);
    }
    framing
}
