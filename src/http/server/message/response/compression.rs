//! Answers that are compressed for clients that accept it.

use std::{cell::RefCell, io, rc::Rc};

use bytes::Bytes;

use super::Response;
use crate::{
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        compression::{Lent, is_compressible},
        h1::{BodyEncoder, BodyLength, PromiseBroken},
        header,
        representation::coding::{Accepted, Coding},
        server::message::{
            body_writer::{BodyWriter, Recode},
            handler::Handler,
            request::Request,
            response_body::{MakeProducer, ResponseBody},
        },
    },
    task,
};

/// The least size of a body that is compressed, where it is known.
const BODY_BYTES_MIN: usize = 1024;
/// A larger body is compressed in pieces, as the client takes them.
const WHOLE_BYTES_MAX: usize = 131_072;
/// The size of such a piece.
const PIECE_BYTES_MAX: usize = 32_768;
/// Answers of one thread that are compressed at a time.
const STREAMS_MAX: usize = 64;

/// Settings of compressed answers: which codings there are, for which answers, and how hard they
/// try.
///
/// Feature: `compress`.
///
/// An answer is compressed when the client accepts a coding by `Accept-Encoding`, with its weights
/// (RFC 9110, section 12.5.3), when its type is one that becomes smaller (text, JSON, XML, scripts,
/// WebAssembly and the like), and when it has at least 1 KiB or is written in pieces. It says
/// `Vary: Accept-Encoding` then, also to clients that accept none, and its strong `ETag` becomes a
/// weak one.
///
/// Left as they are: answers that have a `Content-Encoding` or a `Content-Range` already, those
/// with `Cache-Control: no-transform` or a digest of their content, 204, 205, 206 and 304,
/// upgrades, and server-sent events unless [`event_streams`](Self::event_streams) asks for them. To
/// HEAD the fields are those of GET, without a length.
///
/// A body up to 128 KiB is compressed at once and has a length. A larger one is compressed piece by
/// piece, as the client takes it, and other tasks have their turn in between. Each write of a
/// [`BodyWriter`] is flushed, so that the client sees it at once; large writes are compressed
/// better than small ones.
///
/// # Memory
///
/// An encoder takes 0.4 MiB for gzip, 2.3 MiB for brotli and 1.9 MiB for zstd at the default
/// levels, while its answer is under way and never for an idle connection. A thread keeps up to
/// four of gzip and zstd to use them again. [`streams_max`](Self::streams_max) bounds the number:
/// 64 at a time on each thread, and further answers go out as they are.
///
/// # Security
///
/// The length of a compressed answer tells something about its content. Where an answer has both a
/// secret, such as a token against forged requests, and text that a stranger can choose, such as a
/// search term, that stranger can guess the secret from the lengths of many answers (BREACH).
/// Leave such answers uncompressed, or give the secret another form in each answer.
///
/// # Examples
///
/// It is a layer for a router, and [`around`](Self::around) is for any handler:
///
/// ```
/// use annulus::http::{Coding, Compression, Request, Router};
///
/// let compression = Compression::new().level(Coding::Gzip, 6).also("application/x-own");
/// let pages = Router::new()
///     .get("/", async |_| "text\n".repeat(1000))
///     .layer(compression.clone());
/// let service = compression.around(async |request: Request| request.path().repeat(1000));
/// ```
#[derive(Clone, Debug)]
pub struct Compression {
    /// The one that is liked best first, with their levels.
    codings: Vec<(Coding, u32)>,
    bytes_min: usize,
    also: Vec<String>,
    has_event_streams: bool,
    streams_max: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl Compression {
    /// Makes the settings that are told above: of codings that a client likes equally well, zstd
    /// (with the feature `compress-zstd`) goes before gzip, and gzip before brotli, which takes
    /// some twice the time for nearly the same size.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            codings: vec![(Coding::Zstd, 3), (Coding::Gzip, 4), (Coding::Brotli, 4)],
            bytes_min: BODY_BYTES_MIN,
            also: Vec::new(),
            has_event_streams: false,
            streams_max: STREAMS_MAX,
        }
    }

    /// Sets the codings that are used, the one that is liked best first.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn codings(mut self, codings: &[Coding]) -> Self {
        let known = Self::new().codings.into_iter().chain(self.codings);
        let known: Vec<_> = known.collect();
        let level = |coding: &Coding| {
            let of_coding = known.iter().rev().find(|(known, _)| known == coding);
            of_coding.map_or(0, |(_, level)| *level)
        };
        self.codings = codings
            .iter()
            .map(|coding| (*coding, level(coding)))
            .collect();
        self
    }

    /// Sets the level of a coding: 1 to 9 for gzip (4 by default), 0 to 11 for brotli (4), 1 to 19
    /// for zstd (3). Higher ones take more time for a smaller answer.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn level(mut self, coding: Coding, level: u32) -> Self {
        for (known, of_known) in &mut self.codings {
            if *known == coding {
                *of_known = level;
            }
        }
        self
    }

    /// Sets the least size of a body that is compressed, where its length is known; 1 KiB by
    /// default.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn bytes_min(mut self, bytes_min: usize) -> Self {
        self.bytes_min = bytes_min;
        self
    }

    /// Adds a type of content that is compressed, such as `application/x-own`.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn also(mut self, media_type: impl Into<String>) -> Self {
        self.also.push(media_type.into());
        self
    }

    /// Sets whether server-sent events are compressed; false by default, since each open stream has
    /// an encoder then. Streams of topics never are.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn event_streams(mut self, are_compressed: bool) -> Self {
        self.has_event_streams = are_compressed;
        self
    }

    /// Sets how many answers of one thread are compressed at a time; 64 by default.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn streams_max(mut self, streams_max: usize) -> Self {
        self.streams_max = streams_max;
        self
    }

    /// Makes a handler whose answers are those of `handler`, compressed.
    ///
    /// Feature: `compress`.
    pub fn around(self, handler: impl Handler) -> impl Handler {
        async move |request: Request| -> Response {
            let again = request.again();
            self.apply(handler.handle(request).await, &again)
        }
    }

    /// Compresses one answer to `request`.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn apply(&self, mut response: Response, request: &Request) -> Response {
        if response.status == StatusCode::NOT_MODIFIED {
            response.stays_encoded(request);
        }
        if !self.fits(&response) {
            return response;
        }
        let accepted = Accepted::by(request.head().fields());
        let here = response.bytes_here().map(Bytes::len);
        let bytes_min = match accepted.refuses_identity() {
            true => 1,
            false => self.bytes_min.max(1),
        };
        if here.is_some_and(|len| len < bytes_min) {
            return response;
        }
        response.add_vary();
        let offered: Vec<Coding> = self.codings.iter().map(|(coding, _)| *coding).collect();
        for coding in accepted.best_of(&offered) {
            let level = self.codings.iter().find(|(known, _)| *known == coding);
            let level = level.map_or(0, |(_, level)| *level);
            // None: this build has no such coding, or too many answers are under way.
            if let Some(encoder) = Lent::new(coding, level, self.streams_max) {
                return response.encode(encoder, coding, *request.method() == Method::HEAD);
            }
        }
        response
    }

    /// Whether such an answer is compressed.
    fn fits(&self, response: &Response) -> bool {
        let status = response.status;
        let has_content = !status.is_informational()
            && !matches!(
                status,
                StatusCode::NO_CONTENT
                    | StatusCode::RESET_CONTENT
                    | StatusCode::PARTIAL_CONTENT
                    | StatusCode::NOT_MODIFIED
            );
        let has_body = matches!(
            response.body,
            ResponseBody::Bytes(_) | ResponseBody::Producer(_)
        );
        let content_type = response.content_type.as_ref().map(HeaderValue::as_bytes);
        let fits_type = content_type.is_some_and(|found| {
            is_compressible(found, &self.also) || self.has_event_streams && is_event_stream(found)
        });
        has_content && has_body && fits_type && !response.fields.iter().any(forbids)
    }
}

fn is_event_stream(content_type: &[u8]) -> bool {
    let start = content_type.get(.."text/event-stream".len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Whether a field says that the content is to stay as it is.
fn forbids((name, value): &(HeaderName, HeaderValue)) -> bool {
    let is_no_transform = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(b"no-transform");
    match name.as_str() {
        "content-encoding" | "content-range" | "content-digest" | "digest" | "content-md5" => true,
        "cache-control" => value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(is_no_transform),
        _ => false,
    }
}

impl Response {
    /// Compresses the answer for the client of `request`, with the settings of
    /// [`Compression::new`], which tells when.
    ///
    /// Feature: `compress`.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Request, Response};
    ///
    /// async fn list(request: Request) -> Response {
    ///     Response::text("a line\n".repeat(1000)).compressed(&request)
    /// }
    /// # let _ = list;
    /// ```
    #[must_use]
    pub fn compressed(self, request: &Request) -> Self {
        Compression::new().apply(self, request)
    }

    fn add_vary(&mut self) {
        let says = |value: &HeaderValue| {
            value.as_bytes().split(|&byte| byte == b',').any(|part| {
                let part = part.trim_ascii();
                part == b"*" || part.eq_ignore_ascii_case(b"accept-encoding")
            })
        };
        let mut fields = self.fields.iter();
        if !fields.any(|(name, value)| *name == header::VARY && says(value)) {
            let value = HeaderValue::from_static("accept-encoding");
            self.fields.push((header::VARY, value));
        }
    }

    fn encode(mut self, mut encoder: Lent, coding: Coding, is_head: bool) -> Self {
        match std::mem::take(&mut self.body) {
            _ if is_head => self.body = ResponseBody::Producer(nothing()),
            ResponseBody::Bytes(bytes) if bytes.len() <= WHOLE_BYTES_MAX => {
                match whole(&mut encoder, &bytes) {
                    Some(encoded) => self.body = ResponseBody::Bytes(encoded),
                    None => {
                        self.body = ResponseBody::Bytes(bytes);
                        return self;
                    }
                }
            }
            ResponseBody::Bytes(bytes) => {
                self.body = ResponseBody::Producer(in_pieces(encoder, bytes));
            }
            ResponseBody::Producer(make) => {
                let is_length = |(name, _): &&(_, _)| *name == header::CONTENT_LENGTH;
                let promised = self.fields.iter().find(is_length);
                let promised = promised.map(|(_, value)| length(value));
                self.body = ResponseBody::Producer(recoded(encoder, make, promised));
            }
            body => {
                self.body = body;
                return self;
            }
        }
        self.fields
            .retain(|(name, _)| *name != header::CONTENT_LENGTH && *name != header::ACCEPT_RANGES);
        for (name, value) in &mut self.fields {
            if *name == header::ETAG {
                *value = weakened(value);
            }
        }
        self.fields.push((header::CONTENT_ENCODING, coding.value()));
        self
    }

    /// Gives a 304 the fields of the compressed answer that the client has, which it knows by a
    /// weak tag (RFC 9110, section 15.4.5): with the strong one, a cache would not find that
    /// answer to refresh it (RFC 9111, section 4.3.4).
    fn stays_encoded(&mut self, request: &Request) {
        let mut tags = self.fields.iter_mut();
        let Some((_, tag)) = tags.find(|(name, _)| *name == header::ETAG) else {
            return;
        };
        let weak = weakened(tag);
        let is_weak = |part: &[u8]| part.trim_ascii() == weak.as_bytes();
        let mut known = request.field_all("if-none-match");
        if known.any(|field| field.split(|&byte| byte == b',').any(is_weak)) {
            *tag = weak;
            self.add_vary();
        }
    }
}

/// The weak form of a tag, which it may have already.
fn weakened(tag: &HeaderValue) -> HeaderValue {
    match tag.as_bytes() {
        [b'W', b'/', ..] => tag.clone(),
        strong => {
            let weak = [b"W/", strong].concat();
            HeaderValue::from_bytes(&weak).expect("it was a value before")
        }
    }
}

/// The body of an answer to HEAD, which is never written.
fn nothing() -> Box<MakeProducer> {
    Box::new(|_| Box::pin(async { Ok(()) }))
}

/// The whole body; none when it does not become smaller.
fn whole(encoder: &mut Lent, bytes: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(bytes.len() / 3);
    encoder.write(bytes, &mut out).ok()?;
    encoder.finish(&mut out).ok()?;
    (out.len() < bytes.len()).then(|| out.into())
}

/// Writes a large body that is here.
fn in_pieces(mut encoder: Lent, bytes: Bytes) -> Box<MakeProducer> {
    Box::new(move |mut out| {
        out.note_end();
        Box::pin(async move {
            for piece in bytes.chunks(PIECE_BYTES_MAX) {
                let mut encoded = Vec::new();
                encoder.write(piece, &mut encoded)?;
                out.write(encoded).await?;
                task::yield_now().await;
            }
            let mut encoded = Vec::new();
            encoder.finish(&mut encoded)?;
            out.write(encoded).await
        })
    })
}

/// The length that a handler promises, if it is one.
fn length(value: &HeaderValue) -> BodyLength {
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map_or(BodyLength::UntilClose, BodyLength::Sized)
}

/// Compresses what `make` writes, whose length may be `promised`. The compressed body has none, so
/// the promise is checked here: a client that gets less would take it for the whole.
fn recoded(
    encoder: Lent,
    make: Box<MakeProducer>,
    promised: Option<BodyLength>,
) -> Box<MakeProducer> {
    Box::new(move |mut out: BodyWriter| {
        if promised.is_some() {
            out.note_end();
        }
        let promised = promised.unwrap_or(BodyLength::UntilClose);
        let recoding = Rc::new(RefCell::new(Recoding {
            encoder,
            promise: BodyEncoder::new(promised),
        }));
        let inner = make(out.recoded(Rc::clone(&recoding) as _));
        Box::pin(async move {
            inner.await?;
            let encoded = recoding.borrow_mut().finish()?;
            out.write(encoded).await
        })
    })
}

/// A body on its way through an encoder.
struct Recoding {
    encoder: Lent,
    /// Counts the bytes that are taken.
    promise: BodyEncoder,
}

impl Recoding {
    fn finish(&mut self) -> io::Result<Vec<u8>> {
        let promise = std::mem::replace(&mut self.promise, BodyEncoder::new(BodyLength::None));
        let mut out = Vec::new();
        promise.finish(&mut out).map_err(broken)?;
        self.encoder.finish(&mut out)?;
        Ok(out)
    }
}

fn broken(error: PromiseBroken) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl Recode for RefCell<Recoding> {
    fn recode(&self, data: &[u8]) -> io::Result<Bytes> {
        let mut recoding = self.borrow_mut();
        recoding.promise.frame(data.len()).map_err(broken)?;
        let (encoder, mut out) = (&mut recoding.encoder, Vec::new());
        encoder.write(data, &mut out)?;
        encoder.flush(&mut out)?;
        Ok(out.into())
    }
}
