//! A response, from its head to its body.

pub(super) mod charset;
#[cfg(feature = "compress")]
pub(super) mod compress;
mod copy;
mod decode;
#[cfg(not(feature = "compress"))]
pub(super) mod no_compress;

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;

use super::{
    error::{Error, ErrorKind, Result},
    exchange::{Exchange, message::Message},
    shared::Shared,
    timings::Timings,
    url::Url,
};
use crate::{
    budget,
    http::{
        HeaderMap, StatusCode, Version,
        h1::{BodyLength, ResponseHead},
        transport::upgraded::Upgraded,
    },
    io::{ByteRead, Reader},
    pool::ManagedBuf,
    time,
};
use decode::Decode;
#[cfg(not(feature = "compress"))]
pub(super) use no_compress as compress;

const CONTENT_ENCODING: &str = "content-encoding";
/// A body that the client skips is read up to this size to keep its connection.
const SKIPPED_BYTES_MAX: u64 = 64 << 10;
/// How long such a body is waited for.
const SKIP_TIMEOUT: Duration = Duration::from_millis(100);
/// About how many decoded bytes are given out at once.
const DECODED_BYTES_MAX: usize = 64 << 10;
/// First memory for a body of unknown length, and the most that a length is believed at first.
const RESERVED_BYTES_MAX: u64 = 1 << 20;

/// A response: its head, which is complete, and its body, which the caller pulls.
///
/// The head is read lazily: no map of fields is built unless [`field_map`](Self::field_map) is
/// called. A body that is small enough to have come with the head has freed its connection already;
/// dropping the response while more of the body is to come closes the connection.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{Client, StatusCode};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let client = Client::new();
///     let response = client.get("http://127.0.0.1:8080/notes/7").send().await?;
///     if response.status() == StatusCode::NOT_FOUND {
///         println!("there is no such note");
///         return Ok(());
///     }
///     let mut response = response.error_for_status()?;
///     if let Some(kind) = response.field("content-type") {
///         println!("{}", kind.escape_ascii());
///     }
///     let mut total = 0;
///     while let Some(piece) = response.next().await? {
///         total += piece.len(); // one piece at a time; `text` and `bytes` collect all of them
///     }
///     println!("{total} bytes in {:?}", response.timings().total);
///     Ok(())
/// })
/// # }
/// ```
pub struct Response {
    /// Always there, until it is dropped.
    exchange: Option<Box<Exchange>>,
    shared: Rc<Shared>,
    decoding: Option<Box<Decoding>>,
}

/// Decompresses a body.
struct Decoding {
    decoder: Box<dyn Decode>,
    /// The codings that it undoes.
    codings: Vec<&'static str>,
    /// Bytes that were received and not decoded yet.
    piece: ManagedBuf,
    /// The decoder has more without another byte.
    has_more: bool,
    is_over: bool,
}

impl Response {
    /// The response of an exchange that has yet to begin.
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        Self {
            exchange: Some(shared.take_exchange()),
            shared: Rc::clone(shared),
            decoding: None,
        }
    }

    pub(super) fn exchange_mut(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("it is taken when dropped")
    }

    fn exchange(&self) -> &Exchange {
        self.exchange.as_ref().expect("it is taken when dropped")
    }

    pub(super) fn head(&self) -> &ResponseHead {
        &self.exchange().head
    }

    /// It is what the caller of `message` gets.
    pub(super) fn arrive(&mut self, mut message: Box<Message>) {
        if message.options.decompresses && self.field(CONTENT_ENCODING).is_some() {
            self.begin_decoding();
        }
        message.forget();
        self.exchange_mut().message = Some(message);
    }

    /// Begins to undo the codings of the body, if it is a whole one and all of them are known.
    ///
    /// Not inlined: decoders are made on the stack, and every request's frame would have 48 KB.
    #[inline(never)]
    fn begin_decoding(&mut self) {
        let head = &mut self.exchange_mut().head;
        // A part of a coded body cannot be decoded.
        if head.body_length() == BodyLength::None || head.status() == StatusCode::PARTIAL_CONTENT {
            return;
        }
        let codings = head.fields().elements(CONTENT_ENCODING);
        let Some((decoder, codings)) = compress::decoder(codings) else {
            return;
        };
        // They speak of the body that came, and the caller gets another one.
        head.remove(CONTENT_ENCODING);
        head.remove("content-length");
        self.decoding = Some(Box::new(Decoding {
            decoder,
            codings,
            piece: ManagedBuf::empty(),
            has_more: false,
            is_over: false,
        }));
    }

    /// Whether the body is decompressed. `Content-Encoding` and `Content-Length`, which spoke of
    /// the body as it came, are not among the fields then, so that fields and body fit together.
    ///
    /// A body is left as it came, with its fields, when [`Request::decompress`] or the client says
    /// so, when one of its codings is unknown, and when it is a part of a whole (206).
    ///
    /// [`Request::decompress`]: super::Request::decompress
    #[must_use]
    pub fn was_decoded(&self) -> bool {
        self.decoding.is_some()
    }

    /// Returns the codings that are undone, in the order in which the server has applied them; none
    /// when the body is given out as it came.
    #[must_use]
    pub fn decoded_codings(&self) -> &[&'static str] {
        self.decoding
            .as_ref()
            .map_or(&[], |decoding| &decoding.codings)
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.exchange().head.status()
    }

    /// Returns the version: 1.0 or 1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.exchange().head.version()
    }

    /// Returns the first field called `name`, in any case, without the blanks around its value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.exchange().head.field(name)
    }

    /// Returns all fields called `name`, in order.
    pub fn field_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.exchange().head.fields().get_all(name)
    }

    /// Returns the names, as they were sent, and values of all fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.exchange().head.fields().iter()
    }

    /// Returns all fields as a map, which is built anew at each call.
    #[must_use]
    pub fn field_map(&self) -> HeaderMap {
        self.exchange().head.to_header_map()
    }

    /// Returns the URL that it came from, after all redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        let message = self.exchange().message.as_ref();
        let message = message.expect("it is set before the caller has the response");
        &message.url
    }

    /// Returns the times that the steps of the request took.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.exchange().timings()
    }

    /// Returns the number of bytes of the body that were not pulled yet, when that is known. A
    /// compressed body does not tell.
    #[must_use]
    pub fn bytes_left(&self) -> Option<u64> {
        match self.decoding {
            None => self.exchange().bytes_left(),
            Some(_) => None,
        }
    }

    /// Returns the trailers of a chunked body, once it was pulled to its end. Those that have no
    /// meaning there are left out.
    #[must_use]
    pub fn trailers(&self) -> HeaderMap {
        self.exchange().decoder().trailers().to_header_map()
    }

    /// Returns the response, or the response as the error when its status says that the request has
    /// failed (400 and above).
    ///
    /// # Errors
    ///
    /// The response itself, whose body may say why. With `?` it becomes an [`Error`] or an
    /// [`io::Error`].
    pub fn error_for_status(self) -> std::result::Result<Self, Self> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() {
            Err(self)
        } else {
            Ok(self)
        }
    }

    /// Receives the next piece of the body, or `None` at its end.
    ///
    /// # Errors
    ///
    /// The body breaks the protocol or is cut off, the connection fails, a time limit passes.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<ManagedBuf>> {
        poll_fn(|context| self.poll_next_counted(context)).await
    }

    /// The next piece, as one of the operations of a task's poll.
    fn poll_next_counted(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<ManagedBuf>>> {
        if self.exchange_mut().put_off.waits(context) {
            return Poll::Pending;
        }
        let polled = self.poll_next_piece(context);
        if polled.is_ready() {
            budget::spend();
        }
        polled
    }

    fn poll_next_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<ManagedBuf>>> {
        let exchange = self.exchange.as_mut().expect("it is taken when dropped");
        let rules = &self.shared.rules;
        let Some(decoding) = &mut self.decoding else {
            return exchange.poll_piece(rules, context);
        };
        loop {
            if decoding.has_more || !decoding.piece.is_empty() {
                let mut out = Vec::new();
                let step = decoding
                    .decoder
                    .decode(&decoding.piece, &mut out, DECODED_BYTES_MAX)
                    .map_err(|error| exchange.in_body(error))?;
                decoding.piece.advance(step.used);
                decoding.has_more = step.has_more;
                if !out.is_empty() {
                    return Poll::Ready(Ok(Some(ManagedBuf::own(out))));
                }
                continue;
            }
            if decoding.is_over {
                return Poll::Ready(Ok(None));
            }
            match ready!(exchange.poll_piece(rules, context))? {
                Some(piece) => decoding.piece = piece,
                None => {
                    decoding.is_over = true;
                    decoding
                        .decoder
                        .finish()
                        .map_err(|error| exchange.in_body(error))?;
                }
            }
        }
    }

    /// Receives the whole body into memory.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next), and [`ErrorKind::TooLarge`] when it is larger than 10 MiB, or what
    /// the client says instead.
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        self.collect().await
    }

    pub(super) async fn collect(&mut self) -> Result<Vec<u8>> {
        let bytes_max = self.exchange().limits.bytes_max;
        let kind = ErrorKind::TooLarge { bytes_max };
        let left = self.bytes_left();
        if left.is_some_and(|left| left > bytes_max) {
            return Err(self.exchange().in_body(Error::new(kind)));
        }
        let Some(first) = self.next().await? else {
            return Ok(Vec::new());
        };
        let mut bytes = first.into_vec();
        if bytes.len() as u64 > bytes_max {
            return Err(self.exchange().in_body(Error::new(kind)));
        }
        let more = self.bytes_left().unwrap_or(0).min(RESERVED_BYTES_MAX);
        bytes.reserve_exact(more as usize);
        while let Some(piece) = self.next().await? {
            if (bytes.len() + piece.len()) as u64 > bytes_max {
                return Err(self.exchange().in_body(Error::new(kind)));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Receives the whole body as text, in the charset that `Content-Type` names, or UTF-8. Bytes
    /// that are no character of it become U+FFFD.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and for a charset other than UTF-8, UTF-16, ISO-8859-1 and
    /// windows-1252.
    ///
    /// # Cancel safety
    ///
    /// As [`bytes`](Self::bytes).
    pub async fn text(mut self) -> Result<String> {
        let bytes = self.collect().await?;
        let text = charset::decode(bytes, self.field("content-type"));
        text.map_err(|error| error.asking(self.url()))
    }

    /// Returns the body as a reader, which joins its pieces.
    #[must_use]
    pub fn reader(self) -> Reader<BodyPieces> {
        Reader::new(BodyPieces {
            response: Box::new(self),
        })
    }

    /// Returns the body as a stream of its pieces.
    #[must_use]
    pub fn into_stream(self) -> BodyStream {
        BodyStream { response: self }
    }

    /// Returns the connection, after a response that has changed its protocol: 101 to a request
    /// that asked for that by [`Request::upgrade`](super::Request::upgrade), or success to
    /// `CONNECT`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoUpgrade`] when the response did not do that.
    pub fn upgrade(mut self) -> Result<Upgraded> {
        match self.exchange_mut().take_upgraded() {
            Some(mut connection) => {
                let unread = connection.input.take_all();
                Ok(Upgraded::of_client(connection.transport, unread))
            }
            None => Err(Error::new(ErrorKind::NoUpgrade(self.status())).asking(self.url())),
        }
    }

    /// Reads what is left of the body, so that its connection can be used again, if that is worth
    /// it: the connection stays, the body is small and it comes soon.
    pub(super) async fn skip_small_body(&mut self) {
        let exchange = self.exchange();
        let is_small = exchange.bytes_left().unwrap_or(0) <= SKIPPED_BYTES_MAX;
        if exchange.is_complete() || !is_small || !exchange.may_stay() {
            return;
        }
        let skip = async {
            let mut skipped = 0;
            while let Ok(Some(piece)) = self.next().await {
                skipped += piece.len() as u64;
                if skipped > SKIPPED_BYTES_MAX {
                    return;
                }
            }
        };
        // A new connection costs less than a long wait.
        let _ = time::timeout(SKIP_TIMEOUT, skip).await;
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.shared.recycle(exchange);
        }
    }
}

/// The error of [`Response::error_for_status`].
impl From<Response> for Error {
    fn from(refused: Response) -> Self {
        Self::new(ErrorKind::Status(refused.status())).asking(refused.url())
    }
}

/// The error of [`Response::error_for_status`].
impl From<Response> for io::Error {
    fn from(refused: Response) -> Self {
        Error::from(refused).into()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchange = self.exchange();
        f.debug_struct("Response")
            .field("head", &exchange.head)
            .field("is_complete", &exchange.is_complete())
            .finish_non_exhaustive()
    }
}

/// The pieces of a response's body, for a [`Reader`]. Made by [`Response::reader`].
pub struct BodyPieces {
    response: Box<Response>,
}

impl ByteRead for BodyPieces {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let piece = ready!(self.response.poll_next_counted(context))?;
        Poll::Ready(Ok(piece.unwrap_or_else(ManagedBuf::empty)))
    }
}

impl fmt::Debug for BodyPieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyPieces").finish_non_exhaustive()
    }
}

/// The body of a response as a stream. Made by [`Response::into_stream`].
#[derive(Debug)]
pub struct BodyStream {
    response: Response,
}

impl BodyStream {
    /// Returns the response, for example for its [trailers](Response::trailers) after the end.
    #[must_use]
    pub fn response(&self) -> &Response {
        &self.response
    }
}

impl Stream for BodyStream {
    type Item = Result<ManagedBuf>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut()
            .response
            .poll_next_counted(context)
            .map(Result::transpose)
    }
}
