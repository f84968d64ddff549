//! The head of a request.

#[cfg(feature = "http2")]
mod stream;

use std::{fmt, mem, str};

use ::http::{HeaderMap, Method, Uri, Version, request, uri::InvalidUri};

use super::{
    BodyLength, Fields, HeadScanner, RequestError, Rules,
    diagnosis::{check_begun_request, diagnose_request},
    framing::Framing,
    host::is_host,
    request_line::RequestLine,
    rules::FIELDS_LIMIT,
    scan::{HeadKind, is_past_empty_lines},
    span::Span,
    target::{TargetForm, TargetParts, split_target},
    token::list,
};

/// In the place of a request line's length: nothing is known of the fields.
const UNKNOWN: usize = usize::MAX;
/// As many fields as a program's requests have.
const FEW_FIELD_COUNT: usize = 6;
/// More fields than nearly every browser's request has, with those that proxies add.
const MANY_FIELD_COUNT: usize = 24;
/// The longest `Host` that is remembered.
const LAST_HOST_BYTES_MAX: usize = 64;

/// A head has more fields than there are slots.
struct TooMany;

/// The head of a request: method, target, version, fields, and what they say about framing.
///
/// It owns all it tells about, so that no receive buffer is held while a handler runs. It is made
/// to be recycled: reading into one that has been used allocates nothing, unless this head is the
/// largest so far or its method is a long one that is not registered.
#[derive(Clone)]
pub(crate) struct RequestHead {
    scanner: HeadScanner,
    /// The fields, and the bytes of the whole head from its request line on.
    fields: Fields,
    method: Method,
    is_http10: bool,
    /// It was written from one of HTTP/2.
    is_http2: bool,
    /// Where the target is in the head.
    target: Span,
    /// Whether the target is ASCII and has no query and no fragment.
    is_plain: bool,
    /// The parts of the target.
    parts: TargetParts,
    framing: Framing,
    body_length: BodyLength,
    consumed: usize,
    /// The length of the request line, or [`UNKNOWN`].
    ///
    /// Invariant: between two reads, what is behind it in the bytes is nothing, or the fields whose
    /// places and framing are known. A read that fails in between goes through `forget`.
    line_len: usize,
    /// The last `Host` that was found to be one. Survives [`clear`](Self::clear), since it says
    /// nothing of any request.
    last_host: Vec<u8>,
}

impl RequestHead {
    /// An empty head, ready to read one.
    pub(crate) fn new() -> Self {
        Self {
            scanner: HeadScanner::new(HeadKind::Request),
            fields: Fields::default(),
            method: Method::GET,
            is_http10: false,
            is_http2: false,
            target: Span::default(),
            is_plain: true,
            parts: TargetParts::default(),
            framing: Framing::default(),
            body_length: BodyLength::None,
            consumed: 0,
            line_len: UNKNOWN,
            last_host: Vec::new(),
        }
    }

    /// Forgets everything about the request that was read.
    fn clear(&mut self) {
        self.scanner.reset();
        self.forget();
    }

    fn forget(&mut self) {
        self.fields.clear();
        self.method = Method::GET;
        self.is_http10 = false;
        self.body_length = BodyLength::None;
        self.target = Span::default();
        self.is_plain = true;
        self.parts = TargetParts::default();
        self.framing = Framing::default();
        self.consumed = 0;
        self.line_len = UNKNOWN;
    }

    /// Makes it ready for the next head, of the same connection. The facts of the last one stay
    /// until that one is read.
    #[inline]
    pub(crate) fn renew(&mut self) {
        if !self.scanner.is_fresh() {
            self.scanner.reset();
        }
    }

    /// Makes it ready for the heads of another connection, which are not compared with those
    /// before: the time that takes would tell one client how much of another's fields it has
    /// guessed.
    #[inline]
    pub(crate) fn begin_connection(&mut self) {
        self.line_len = UNKNOWN;
    }

    /// Reads the head at the start of `bytes`. Returns the number of bytes that belong to it, or
    /// `None` while it is incomplete.
    ///
    /// As long as it is incomplete call again with the same bytes and more behind them. After any
    /// other result the next call reads another head. The rules are the same for all of them.
    ///
    /// # Errors
    ///
    /// Why the request must be refused. When the reason does not close the connection, then the
    /// head was read nevertheless: [`consumed`](Self::consumed), [`body_length`](Self::body_length)
    /// and [`keeps_alive`](Self::keeps_alive) say how to go on.
    #[inline]
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
    ) -> Result<Option<usize>, RequestError> {
        // Most heads arrive whole and are fine, and then the tokenizer finds their end by itself.
        // Every other head goes to the scanner, from the first byte on.
        if self.scanner.is_fresh() && !rules.leniency.lenient_lf {
            if let Some(len) = self.split_first(bytes, rules) {
                self.consumed = len;
                self.body_length = BodyLength::None;
                self.judge(rules)?;
                return Ok(Some(len));
            }
        }
        self.read_with_scanner(bytes, rules)
    }

    /// Whether not one byte of the next head was seen, but for empty lines before it.
    pub(crate) fn is_at_start(&self) -> bool {
        self.scanner.is_at_start()
    }

    /// The bytes of the empty lines that were seen before the head, which the next
    /// [`read`](Self::read) is not to be given again. The lines stay counted.
    pub(crate) fn take_empty_lines(&mut self) -> usize {
        self.scanner.take_empty_lines()
    }

    /// How many empty lines came before the head that is being read.
    pub(crate) fn empty_line_count(&self) -> usize {
        self.scanner.empty_line_count()
    }

    /// Counts on from `count` empty lines that came before the head.
    pub(crate) fn set_empty_line_count(&mut self, count: usize) {
        self.scanner.set_empty_line_count(count);
    }

    /// Reads a head that is incomplete, late, or wrong, line by line.
    #[cold]
    fn read_with_scanner(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
    ) -> Result<Option<usize>, RequestError> {
        if self.scanner.is_fresh() {
            // A first look may have taken over parts of it.
            self.forget();
        }
        let next = self.scanner.next_in_start_line();
        let scanned = self.scanner.scan(bytes, rules);
        if let (Some(next), true) = (next, is_past_empty_lines(&scanned)) {
            let line = self.scanner.start_line(bytes, next);
            if let Err(reason) = check_begun_request(line, rules) {
                self.clear();
                return Err(reason);
            }
        }
        match scanned {
            Ok(None) => Ok(None),
            Ok(Some(span)) => {
                self.clear();
                self.consumed = span.end;
                self.fields.bytes.extend_from_slice(&bytes[span]);
                self.split_copy(rules)?;
                self.judge(rules)?;
                Ok(Some(self.consumed))
            }
            Err(error) => {
                self.clear();
                Err(RequestError::Head(error))
            }
        }
    }

    /// Splits the head at the start of `bytes` into its parts, without judging them, and copies it.
    /// Returns its length.
    ///
    /// There is none for every head that the scanner would not pass, or not yet.
    #[inline]
    fn split_first(&mut self, bytes: &[u8], rules: &Rules) -> Option<usize> {
        let line = RequestLine::parse(bytes, rules)?;
        let (before, line_len) = (self.line_len, line.len);
        self.take_line(line);
        // A client that sends several requests at once repeats the fields, with the same values.
        let known = self.fields.bytes.get(before..).unwrap_or_default();
        let len = line_len + known.len();
        if !known.is_empty()
            && bytes[line_len..].starts_with(known)
            && len <= rules.head_bytes_max()
        {
            if line_len == before {
                self.fields.bytes[..line_len].copy_from_slice(&bytes[..line_len]);
            } else {
                self.fields.bytes.clear();
                self.fields.bytes.extend_from_slice(&bytes[..len]);
                self.fields.places.shift(before, line_len);
            }
            return Some(len);
        }
        let len = self.split_rest(bytes, line_len, rules)?;
        self.fields.bytes.clear();
        self.fields.bytes.extend_from_slice(&bytes[..len]);
        Some(len)
    }

    /// Splits the head at the start of `bytes` into its parts, without judging and copying them.
    /// Returns its length, if the scanner would pass it.
    fn split(&mut self, bytes: &[u8], rules: &Rules) -> Option<usize> {
        let line = RequestLine::parse(bytes, rules)?;
        let line_len = line.len;
        self.take_line(line);
        self.split_rest(bytes, line_len, rules)
    }

    #[inline]
    fn take_line(&mut self, line: RequestLine) {
        self.method = line.method;
        self.is_http10 = line.is_http10;
        self.target = line.target;
        self.is_plain = line.is_plain;
        self.line_len = line.len;
        self.parts = TargetParts::default();
    }

    /// Splits the bytes after the request line's `line_len` bytes.
    #[inline]
    fn split_rest(&mut self, bytes: &[u8], line_len: usize, rules: &Rules) -> Option<usize> {
        // The slots of the fields have to be set up for each head, so they are few for those who
        // sent few the last time.
        let split = if self.fields.len() <= FEW_FIELD_COUNT {
            self.split_fields::<FEW_FIELD_COUNT>(bytes, line_len, rules)
        } else {
            Err(TooMany)
        };
        split.unwrap_or_else(|TooMany| self.split_many(bytes, line_len, rules))
    }

    /// The same for a head with more fields.
    #[inline(never)]
    fn split_many(&mut self, bytes: &[u8], line_len: usize, rules: &Rules) -> Option<usize> {
        let split = self.split_fields::<MANY_FIELD_COUNT>(bytes, line_len, rules);
        split.unwrap_or_else(|TooMany| self.split_most(bytes, line_len, rules))
    }

    /// The same for a head with even more.
    #[cold]
    fn split_most(&mut self, bytes: &[u8], line_len: usize, rules: &Rules) -> Option<usize> {
        let split = self.split_fields::<FIELDS_LIMIT>(bytes, line_len, rules);
        split.unwrap_or_default()
    }

    /// Splits the bytes after the request line's `line_len` bytes, when that has at most `N`
    /// fields.
    #[inline]
    fn split_fields<const N: usize>(
        &mut self,
        bytes: &[u8],
        line_len: usize,
        rules: &Rules,
    ) -> Result<Option<usize>, TooMany> {
        let mut slots = [httparse::EMPTY_HEADER; N];
        match httparse::parse_headers(&bytes[line_len..], &mut slots) {
            Ok(httparse::Status::Complete((len, slices))) => {
                Ok(self.take_fields(bytes, line_len + len, slices, rules))
            }
            Err(httparse::Error::TooManyHeaders) => Err(TooMany),
            Ok(httparse::Status::Partial) | Err(_) => Ok(None),
        }
    }

    /// Takes over the `slices` of the fields of a head of `len` bytes.
    #[inline]
    fn take_fields(
        &mut self,
        bytes: &[u8],
        len: usize,
        slices: &[httparse::Header<'_>],
        rules: &Rules,
    ) -> Option<usize> {
        if len > rules.head_bytes_max() || slices.len() > rules.fields_max() {
            return None;
        }
        let framing = &mut self.framing;
        *framing = Framing::default();
        let mut is_strict = bytes[..len].ends_with(b"\r\n\r\n");
        is_strict &= self.fields.places.set(bytes, slices, |index, name, value| {
            framing.note(index, name, value, rules.leniency);
        });
        (is_strict || rules.leniency.lenient_lf).then_some(len)
    }

    /// Splits the copy of a head that the scanner found.
    #[cold]
    fn split_copy(&mut self, rules: &Rules) -> Result<(), RequestError> {
        let bytes = mem::take(&mut self.fields.bytes);
        let len = self.split(&bytes, rules);
        self.fields.bytes = bytes;
        if len == Some(self.fields.bytes.len()) {
            return Ok(());
        }
        let reason = diagnose_request(&self.fields.bytes, rules.leniency);
        self.clear();
        Err(reason)
    }

    /// Holds the head against what RFC 9110 and RFC 9112 say about its parts.
    #[inline]
    fn judge(&mut self, rules: &Rules) -> Result<(), RequestError> {
        // First what makes it uncertain where the message ends.
        self.body_length = self.framing.body_length(self.is_http10)?;
        // Its content would be taken for a body by some and for a tunnel's first bytes by others.
        if !self.body_length.is_empty() && self.method == Method::CONNECT {
            return Err(RequestError::ConnectWithContent);
        }
        let target = self.target.of(&self.fields.bytes);
        if !self.is_plain && !rules.leniency.raw_utf8_target && !target.is_ascii() {
            return Err(RequestError::TargetNotAscii);
        }
        if self.framing.expects_other {
            return Err(RequestError::ExpectationUnknown);
        }
        // From here on only the meaning is at stake.
        split_target(target, self.is_plain, &self.method, &mut self.parts)?;
        self.check_host()
    }

    /// Holds the `Host` fields against RFC 9112, section 3.2.
    #[inline]
    fn check_host(&mut self) -> Result<(), RequestError> {
        match self.framing.host_count {
            0 if self.is_http10 => Ok(()),
            0 => Err(RequestError::HostMissing),
            1 => match self.fields.value_at(usize::from(self.framing.host_index)) {
                [] if self.parts.form == TargetForm::Absolute => Ok(()),
                // Nearly all requests of a server name the same one.
                host if !host.is_empty() && *host == *self.last_host => Ok(()),
                host if is_host(host) => {
                    if host.len() <= LAST_HOST_BYTES_MAX {
                        self.last_host.clear();
                        self.last_host.extend_from_slice(host);
                    }
                    Ok(())
                }
                _ => Err(RequestError::HostInvalid),
            },
            _ => Err(RequestError::HostRepeated),
        }
    }

    /// The method, whose case matters: `get` is not `GET`.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The version: HTTP/1.0, HTTP/2, or HTTP/1.1 for all others.
    pub(crate) fn version(&self) -> Version {
        if self.is_http10 {
            Version::HTTP_10
        } else if self.is_http2 {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        }
    }

    /// Whether the version is HTTP/1.0.
    pub(super) fn is_http10(&self) -> bool {
        self.is_http10
    }

    /// The target as it was sent.
    pub(crate) fn target(&self) -> &str {
        str::from_utf8(self.target_bytes()).expect("a target that is not UTF-8 was refused")
    }

    /// The path, still percent-encoded: `/` when an absolute target has none, `*` for the server
    /// as a whole, empty for a `CONNECT`.
    pub(crate) fn path(&self) -> &str {
        match &self.target()[self.parts.path.range()] {
            "" if self.parts.form == TargetForm::Absolute => "/",
            path => path,
        }
    }

    /// The path as bytes, which a search for it does not have to check.
    #[inline]
    pub(crate) fn path_bytes(&self) -> &[u8] {
        match self.parts.path.of(self.target_bytes()) {
            b"" if self.parts.form == TargetForm::Absolute => b"/",
            path => path,
        }
    }

    /// The query behind the question mark, still percent-encoded.
    pub(crate) fn query(&self) -> Option<&str> {
        self.parts.query.map(|query| &self.target()[query.range()])
    }

    /// The host with its optional port that the request is for: from the target when it names
    /// one, else from `Host`. Only HTTP/1.0 may leave it out.
    pub(crate) fn authority(&self) -> Option<&str> {
        let bytes = match self.parts.form {
            TargetForm::Absolute | TargetForm::Authority => {
                self.parts.authority.of(self.target_bytes())
            }
            _ if self.framing.host_count == 0 => return None,
            _ => self.fields.value_at(usize::from(self.framing.host_index)),
        };
        // A malformed one was refused, so a caller that asks all the same gets none.
        str::from_utf8(bytes).ok()
    }

    /// The fields.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The value of the first field called `name`, whatever the case.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name)
    }

    /// The values of all fields called `name`, whatever the case.
    pub(crate) fn field_all<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields.get_all(name)
    }

    /// How the length of the body is told.
    pub(crate) fn body_length(&self) -> BodyLength {
        self.body_length
    }

    /// Whether the client wants the connection to stay open.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.framing.keeps_alive(self.is_http10)
    }

    /// Whether the client waits for `100 Continue` before it sends the body. Never from HTTP/1.0,
    /// and never without a body.
    pub(crate) fn expects_continue(&self) -> bool {
        self.framing.expects_continue && !self.is_http10 && !self.body_length.is_empty()
    }

    /// The protocols that the client offers to change to: none unless the `Connection` field
    /// names `upgrade` as well, and none from HTTP/1.0.
    pub(crate) fn upgrades(&self) -> impl Iterator<Item = &str> {
        let asked = self.framing.upgrade && !self.is_http10;
        let values = asked.then(|| self.fields.get_all("upgrade"));
        values
            .into_iter()
            .flatten()
            .flat_map(list)
            .filter_map(|name| str::from_utf8(name).ok())
    }

    /// Whether the client offers to change to all of the protocols in `value`, of which there is at
    /// least one.
    pub(crate) fn offers(&self, value: &[u8]) -> bool {
        let is_offered = |protocol: &[u8]| {
            self.upgrades()
                .any(|offered| offered.as_bytes().eq_ignore_ascii_case(protocol))
        };
        list(value).next().is_some() && list(value).all(is_offered)
    }

    /// Whether the client accepts trailers in a chunked answer.
    pub(crate) fn accepts_trailers(&self) -> bool {
        self.fields
            .get_all("te")
            .flat_map(list)
            .any(|name| name.eq_ignore_ascii_case(b"trailers"))
    }

    /// Number of bytes from the start of what was given to the end of the head.
    pub(crate) fn consumed(&self) -> usize {
        self.consumed
    }

    /// The fields as a map of the `http` crate.
    pub(crate) fn to_header_map(&self) -> HeaderMap {
        self.fields.to_header_map()
    }

    /// The head as the `http` crate has it.
    ///
    /// # Errors
    ///
    /// `Uri` refuses some characters that are sent in practice, `<`, `>` and backticks among them.
    pub(crate) fn to_parts(&self) -> Result<request::Parts, InvalidUri> {
        let (mut parts, ()) = ::http::Request::new(()).into_parts();
        parts.method = self.method.clone();
        parts.uri = self.target().parse::<Uri>()?;
        parts.version = self.version();
        parts.headers = self.to_header_map();
        Ok(parts)
    }

    fn target_bytes(&self) -> &[u8] {
        self.target.of(&self.fields.bytes)
    }
}

impl Default for RequestHead {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &self.target())
            .field("version", &self.version())
            .field("fields", &self.fields)
            .field("body_length", &self.body_length)
            .finish_non_exhaustive()
    }
}
