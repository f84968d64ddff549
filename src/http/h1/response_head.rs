//! The head of a response.

use std::{
    fmt,
    mem::{self, MaybeUninit},
};

use ::http::{HeaderMap, Method, StatusCode, Version};

use super::{
    BodyLength, Fields, HeadScanner, ResponseError, Rules,
    diagnosis::{check_begun_response, diagnose_response, newer_minor_version},
    framing::{Framing, parse_length},
    rules::FIELDS_LIMIT,
    scan::{HeadKind, is_past_empty_lines},
};

/// The head of a response: status, version, fields, and what they say about framing.
///
/// It owns all it tells about and is made to be recycled, as [`RequestHead`](super::RequestHead).
#[derive(Clone)]
pub(crate) struct ResponseHead {
    scanner: HeadScanner,
    /// The fields, and the bytes of the whole head from its status line on.
    fields: Fields,
    status: StatusCode,
    is_http10: bool,
    framing: Framing,
    body_length: BodyLength,
    is_tunnel: bool,
}

impl ResponseHead {
    /// An empty head, ready to read one.
    pub(crate) fn new() -> Self {
        Self {
            scanner: HeadScanner::new(HeadKind::Response),
            fields: Fields::default(),
            status: StatusCode::OK,
            is_http10: false,
            framing: Framing::default(),
            body_length: BodyLength::None,
            is_tunnel: false,
        }
    }

    /// Forgets everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.scanner.reset();
        self.fields.clear();
        self.framing = Framing::default();
        self.body_length = BodyLength::None;
        self.is_tunnel = false;
    }

    /// Reads the head of an answer to `method` at the start of `bytes`. Returns the number of
    /// bytes that belong to it, or `None` while it is incomplete.
    ///
    /// As long as it is incomplete call again with the same bytes and more behind them. After any
    /// other result the next call reads another head. Interim responses are read as all others:
    /// the caller skips them, limits their number, and knows whether it asked for a 101.
    ///
    /// # Errors
    ///
    /// Why this is no response. The connection must be closed.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        method: &Method,
        rules: &Rules,
    ) -> Result<Option<usize>, ResponseError> {
        let result = self.try_read(bytes, method, rules);
        match result {
            Ok(None) => {}
            Ok(Some(_)) => self.scanner.reset(),
            Err(_) => self.clear(),
        }
        result
    }

    fn try_read(
        &mut self,
        bytes: &[u8],
        method: &Method,
        rules: &Rules,
    ) -> Result<Option<usize>, ResponseError> {
        // As for a request: most heads arrive whole and are fine.
        let mut consumed = None;
        if self.scanner.is_fresh() && !rules.leniency.lenient_lf {
            if let Ok(len) = self.split(bytes, rules) {
                self.fields.bytes.clear();
                self.fields.bytes.extend_from_slice(&bytes[..len]);
                consumed = Some(len);
            }
        }
        if consumed.is_none() {
            let next = self.scanner.next_in_start_line();
            let scanned = self.scanner.scan(bytes, rules);
            if let (Some(next), true) = (next, is_past_empty_lines(&scanned)) {
                check_begun_response(self.scanner.start_line(bytes, next))?;
            }
            let Some(span) = scanned? else {
                return Ok(None);
            };
            consumed = Some(span.end);
            self.fields.clear();
            self.fields.bytes.extend_from_slice(&bytes[span]);
            self.split_copy(rules)?;
        }
        self.is_tunnel = *method == Method::CONNECT && self.status.is_success();
        self.body_length = self.decide_body_length(method)?;
        Ok(consumed)
    }

    /// Splits the copy of the head that the scanner found.
    fn split_copy(&mut self, rules: &Rules) -> Result<(), ResponseError> {
        let mut bytes = mem::take(&mut self.fields.bytes);
        let mut result = self.split(&bytes, rules);
        // HTTP/1.2 to 1.9 are read as HTTP/1.1.
        if result == Err(httparse::Error::Version) {
            if let Some(minor) = newer_minor_version(&bytes) {
                bytes[minor] = b'1';
                result = self.split(&bytes, rules);
            }
        }
        self.fields.bytes = bytes;
        if result == Ok(self.fields.bytes.len()) {
            return Ok(());
        }
        Err(diagnose_response(&self.fields.bytes))
    }

    /// Splits the head at the start of `bytes` into its parts, without judging them. Returns its
    /// length.
    ///
    /// It fails on every head that the scanner would not pass, or not yet.
    fn split(&mut self, bytes: &[u8], rules: &Rules) -> Result<usize, httparse::Error> {
        const REFUSED: httparse::Error = httparse::Error::Token;
        let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELDS_LIMIT];
        let mut response = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut slots,
        )?;
        let (httparse::Status::Complete(len), Some(code), Some(version)) =
            (status, response.code, response.version)
        else {
            return Err(REFUSED);
        };
        let slices = &*response.headers;
        let place = |part: &str| part.as_ptr() as usize - bytes.as_ptr() as usize;
        let line_len = slices.first().map_or(len - 2, |first| place(first.name));
        if len > rules.head_bytes_max()
            || slices.len() > rules.fields_max()
            || line_len > rules.limits.start_line_bytes_max
        {
            return Err(REFUSED);
        }
        // The tokenizer skips empty lines before the status line.
        let mut is_strict = bytes.starts_with(b"HTTP") && bytes[..len].ends_with(b"\r\n\r\n");
        self.status = StatusCode::from_u16(code).map_err(|_| REFUSED)?;
        self.is_http10 = version == 0;
        let framing = &mut self.framing;
        *framing = Framing::default();
        is_strict &= self.fields.places.set(bytes, slices, |index, name, value| {
            framing.note(index, name, value, rules.leniency);
        });
        if !is_strict && !rules.leniency.lenient_lf {
            return Err(REFUSED);
        }
        Ok(len)
    }

    /// RFC 9112, section 6.3.
    fn decide_body_length(&self, method: &Method) -> Result<BodyLength, ResponseError> {
        let without_body = self.is_tunnel
            || *method == Method::HEAD
            || self.status.is_informational()
            || self.status == StatusCode::NO_CONTENT
            || self.status == StatusCode::NOT_MODIFIED;
        // The fields do not count then: they are about another response.
        if without_body {
            return Ok(BodyLength::None);
        }
        match self.framing.body_length(self.is_http10)? {
            BodyLength::None => Ok(BodyLength::UntilClose),
            length => Ok(length),
        }
    }

    /// The status, from 100 to 999.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The version: HTTP/1.0, or HTTP/1.1 for all later ones.
    pub(crate) fn version(&self) -> Version {
        if self.is_http10 {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        }
    }

    /// The fields.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Forgets the fields called `name`, but for what they say about framing.
    pub(crate) fn remove(&mut self, name: &str) {
        self.fields.remove(name);
    }

    /// The value of the first field called `name`, whatever the case.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name)
    }

    /// How the length of the body is told.
    pub(crate) fn body_length(&self) -> BodyLength {
        self.body_length
    }

    /// Whether the connection can be used again after the body.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.body_length != BodyLength::UntilClose
            && !self.is_tunnel
            && self.framing.keeps_alive(self.is_http10)
    }

    /// The seconds for which the server says that it keeps an idle connection open.
    pub(crate) fn keep_alive_seconds(&self) -> Option<u64> {
        self.fields.elements("keep-alive").find_map(|parameter| {
            let (name, value) = parameter.split_at_checked(8)?;
            let seconds = || parse_length(value).ok();
            name.eq_ignore_ascii_case(b"timeout=")
                .then(seconds)
                .flatten()
        })
    }

    /// The fields as a map of the `http` crate.
    pub(crate) fn to_header_map(&self) -> HeaderMap {
        self.fields.to_header_map()
    }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("version", &self.version())
            .field("fields", &self.fields)
            .field("body_length", &self.body_length)
            .finish_non_exhaustive()
    }
}
