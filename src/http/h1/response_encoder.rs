//! Writes the head of a response.

use ::http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING, UPGRADE},
};

use super::{
    AnswerTo, BodyLength,
    date::DATE_LINE_LEN,
    framing::parse_length,
    token::list,
    write::{write_content_length, write_field, write_number},
};

/// The interim response that asks for the body.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes the head of one response: first the status, then the fields, then the framing.
///
/// Names and values are types that cannot hold CR, LF or NUL, and the reason phrase is always our
/// own, so nothing that a handler says can end a line. Framing and `Connection` are decided here:
/// what a handler says about them is heard but not copied.
///
/// It writes interim responses as well. The caller sends them to HTTP/1.1 only, and has a final
/// one follow.
#[derive(Debug)]
pub(crate) struct ResponseEncoder<'a> {
    out: &'a mut Vec<u8>,
    status: StatusCode,
    answer_to: AnswerTo,
    has_date: bool,
    has_upgrade: bool,
    /// The length that the handler promised.
    promised: Option<u64>,
}

/// The framing of the body after a head that was written, and what comes after the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseFraming {
    /// The framing in which the body is to be sent. `None` means that not a byte may follow,
    /// whatever the handler has.
    pub(crate) body: BodyLength,
    /// Whether the connection stays open after the response.
    pub(crate) keeps_alive: bool,
}

impl<'a> ResponseEncoder<'a> {
    /// Begins a response at the end of `out`.
    #[inline]
    pub(crate) fn new(out: &'a mut Vec<u8>, status: StatusCode, answer_to: AnswerTo) -> Self {
        if status == StatusCode::OK {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        } else {
            write_status_line(out, status);
        }
        Self {
            out,
            status,
            answer_to,
            has_date: false,
            has_upgrade: false,
            promised: None,
        }
    }

    /// Adds a field.
    ///
    /// `Connection: close` closes the connection, its other options are not sent on. A
    /// `Content-Length` counts where there is no body to measure: in a stream it is a promise, in
    /// an answer to `HEAD` and in a 304 it is the length of what is left out. `Transfer-Encoding`
    /// is ignored. A `Date` takes the place of ours.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == CONTENT_LENGTH {
            self.promised = self.promised.or(parse_length(value.as_bytes()).ok());
        } else if *name == CONNECTION {
            if list(value.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"close")) {
                self.answer_to.keeps_alive = false;
            }
        } else if *name == TRANSFER_ENCODING || (*name == DATE && self.has_date) {
            // Not the handler's to say, or said before.
        } else {
            self.has_date |= *name == DATE;
            self.has_upgrade |= *name == UPGRADE;
            write_field(self.out, name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// Adds a `Content-Type` field, which is never one of those that mean something here.
    #[inline]
    pub(crate) fn content_type(&mut self, value: &HeaderValue) {
        self.out.extend_from_slice(b"Content-Type: ");
        self.out.extend_from_slice(value.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Ends the head. The body has `body_len` bytes, or as many as come when that is `None`. The
    /// date line is the one of `DateCache`.
    #[inline]
    pub(crate) fn finish(
        mut self,
        body_len: Option<u64>,
        date_line: &[u8; DATE_LINE_LEN],
    ) -> ResponseFraming {
        let AnswerTo {
            is_head,
            is_connect,
            is_http10,
            mut keeps_alive,
        } = self.answer_to;
        if self.status.is_informational() {
            return self.finish_informational();
        }
        let is_tunnel = is_connect && self.status.is_success();
        let body = if is_tunnel || self.status == StatusCode::NO_CONTENT {
            BodyLength::None
        } else if self.status == StatusCode::RESET_CONTENT {
            // RFC 9110, section 15.3.6.
            write_content_length(self.out, 0);
            BodyLength::None
        } else if is_head || self.status == StatusCode::NOT_MODIFIED {
            // A body that is here is the one of a GET. An empty one may stand for what is left out.
            let here = body_len.filter(|&length| length > 0);
            let known = if is_head && self.status != StatusCode::NOT_MODIFIED {
                here.or(self.promised).or(body_len)
            } else {
                // A 304 may tell the length of the representation. Nothing says that it is this
                // one.
                self.promised.map(|promised| here.unwrap_or(promised))
            };
            if let Some(length) = known {
                write_content_length(self.out, length);
            }
            BodyLength::None
        } else if let Some(length) = body_len.or(self.promised) {
            write_content_length(self.out, length);
            BodyLength::Sized(length)
        } else if is_http10 {
            keeps_alive = false;
            BodyLength::UntilClose
        } else {
            self.out
                .extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            BodyLength::Chunked
        };
        if !is_tunnel {
            self.write_connection(keeps_alive);
        }
        if !self.has_date {
            self.out.extend_from_slice(date_line);
        }
        self.out.extend_from_slice(b"\r\n");
        ResponseFraming { body, keeps_alive }
    }

    /// An interim response has no body, and nothing that is about the final one.
    #[cold]
    fn finish_informational(self) -> ResponseFraming {
        if self.status == StatusCode::SWITCHING_PROTOCOLS {
            self.out.extend_from_slice(b"Connection: upgrade\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
        ResponseFraming {
            body: BodyLength::None,
            keeps_alive: self.answer_to.keeps_alive,
        }
    }

    #[inline]
    fn write_connection(&mut self, keeps_alive: bool) {
        let line: &[u8] = match (self.has_upgrade, keeps_alive, self.answer_to.is_http10) {
            (false, true, false) => return,
            (false, true, true) => b"Connection: keep-alive\r\n",
            (false, false, _) => b"Connection: close\r\n",
            (true, true, false) => b"Connection: upgrade\r\n",
            (true, true, true) => b"Connection: upgrade, keep-alive\r\n",
            (true, false, _) => b"Connection: upgrade, close\r\n",
        };
        self.out.extend_from_slice(line);
    }
}

/// Writes the status line. A status that has no registered reason gets an empty one, whose space
/// must stay (RFC 9112, section 4).
pub(super) fn write_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(out, u64::from(status.as_u16()));
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}
