//! The body of a request.

use std::{
    fmt,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{
    error::{Error, ErrorKind},
    url::push_form_pair,
};
use crate::{
    fs::File,
    http::{HeaderMap, error::Cause, h1::BodyLength},
};

/// Bytes of a file that are read at once.
const FILE_PIECE_BYTES: u64 = 64 << 10;

/// The body of a request: bytes, a stream or a file.
///
/// Bytes can be sent again, after a redirect or on another connection; a stream or a file goes
/// once.
///
/// # Examples
///
/// ```
/// use annulus::http::client::Body;
/// use futures_util::stream;
///
/// let text = Body::from("some text");
/// let form = Body::form([("name", "value")]);
/// let pieces = stream::iter([Ok("a"), std::io::Result::Ok("b")]);
/// let chunked = Body::stream(pieces);
/// # drop((text, form, chunked));
/// ```
#[derive(Default)]
pub struct Body {
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    #[default]
    None,
    Bytes(Bytes),
    Chunked(Bytes),
    Stream {
        pieces: Pieces,
        len: Option<u64>,
        trailers: Option<MakeTrailers>,
    },
    /// A stream that was sent.
    Gone,
}

/// Pieces of a body that come one by one.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// Makes the trailers of a body, once that was sent.
pub(super) type MakeTrailers = Box<dyn FnOnce() -> HeaderMap>;

/// A body that is about to be sent.
#[derive(Default)]
pub(super) enum Source {
    #[default]
    None,
    Bytes(Bytes),
    Pieces(Pieces, Option<MakeTrailers>),
}

impl Body {
    /// Makes a request without a body.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes a body from a stream of pieces: anything that turns into [`Bytes`]. It is sent in
    /// chunks, unless [`sized`](Self::sized) tells its length. An error of the stream fails the
    /// request, and is the cause of the request's error.
    #[must_use]
    pub fn stream<B, E>(pieces: impl Stream<Item = Result<B, E>> + 'static) -> Self
    where
        B: Into<Bytes>,
        E: Into<Cause>,
    {
        Self {
            kind: Kind::Stream {
                pieces: Box::pin(IntoPieces {
                    stream: Box::pin(pieces),
                }),
                len: None,
                trailers: None,
            },
        }
    }

    /// Makes a body of bytes that are sent in chunks, as a stream of unknown length is.
    #[must_use]
    pub fn chunked(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Chunked(bytes.into()),
        }
    }

    /// Sets the length of a stream. One that gives more or less fails the request.
    #[must_use]
    pub fn sized(mut self, bytes: u64) -> Self {
        if let Kind::Stream { len, .. } = &mut self.kind {
            *len = Some(bytes);
        }
        self
    }

    /// Adds trailers to a body that is sent in chunks. `make` is called once all of it was sent, so
    /// it can return a checksum of the body, for example. Any other body has no room for trailers,
    /// and `make` is not called. Fields that have no meaning there are left out, as are those that
    /// a server needs beforehand.
    ///
    /// A body with trailers goes once, as a stream does.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{HeaderMap, HeaderValue, client::Body};
    ///
    /// let body = Body::chunked("some text").with_trailers(|| {
    ///     let mut fields = HeaderMap::new();
    ///     fields.insert("x-checksum", HeaderValue::from_static("93a5"));
    ///     fields
    /// });
    /// # drop(body);
    /// ```
    #[must_use]
    pub fn with_trailers(mut self, make: impl FnOnce() -> HeaderMap + 'static) -> Self {
        if let Kind::Chunked(bytes) = self.kind {
            self.kind = Kind::Stream {
                pieces: Box::pin(Once((!bytes.is_empty()).then_some(bytes))),
                len: None,
                trailers: None,
            };
        }
        if let Kind::Stream { trailers, .. } = &mut self.kind {
            *trailers = Some(Box::new(make));
        }
        self
    }

    /// Makes a body of pairs as `application/x-www-form-urlencoded`, whose `Content-Type` the
    /// request has to name; [`Request::form`](super::Request::form) does both.
    #[must_use]
    pub fn form<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut text = String::new();
        for (name, value) in pairs {
            if !text.is_empty() {
                text.push('&');
            }
            push_form_pair(&mut text, name.as_ref(), value.as_ref());
        }
        text.into()
    }

    /// Makes a body of the content of a file, with the length that it has now.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or is no regular file.
    pub async fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path).await?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let text = "expected a regular file, found another kind";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let pieces = FilePieces {
            file: Rc::new(file),
            read: None,
            offset: 0,
            end: metadata.len(),
        };
        Ok(Self::stream(pieces).sized(metadata.len()))
    }

    /// How its length is told.
    pub(super) fn length(&self) -> BodyLength {
        match &self.kind {
            Kind::None | Kind::Gone => BodyLength::None,
            Kind::Bytes(bytes) => BodyLength::Sized(bytes.len() as u64),
            Kind::Stream { len: Some(len), .. } => BodyLength::Sized(*len),
            Kind::Chunked(_) | Kind::Stream { len: None, .. } => BodyLength::Chunked,
        }
    }

    /// Whether it can be sent, for the first time or again.
    pub(super) fn is_here(&self) -> bool {
        !matches!(self.kind, Kind::Gone)
    }

    /// The source of the bytes to send. A stream can be taken once.
    pub(super) fn source(&mut self) -> Result<Source, Error> {
        match &self.kind {
            Kind::None => Ok(Source::None),
            Kind::Bytes(bytes) => Ok(Source::Bytes(bytes.clone())),
            Kind::Chunked(bytes) => {
                let bytes = (!bytes.is_empty()).then(|| bytes.clone());
                Ok(Source::Pieces(Box::pin(Once(bytes)), None))
            }
            Kind::Gone => {
                let text = "expected a body, found a stream that was sent before";
                Err(Error::new(ErrorKind::Request(text)))
            }
            Kind::Stream { .. } => match std::mem::replace(&mut self.kind, Kind::Gone) {
                Kind::Stream {
                    pieces, trailers, ..
                } => Ok(Source::Pieces(pieces, trailers)),
                _ => unreachable!("it was a stream just now"),
            },
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self {
            kind: Kind::Bytes(bytes.into()),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("length", &self.length())
            .finish_non_exhaustive()
    }
}

/// A stream whose items are turned into pieces.
struct IntoPieces<S> {
    stream: Pin<Box<S>>,
}

impl<S, B, E> Stream for IntoPieces<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<Cause>,
{
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.stream.as_mut().poll_next(context));
        Poll::Ready(piece.map(|piece| match piece {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(match error.into().downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            }),
        }))
    }
}

/// A stream of one piece.
struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

type FileRead = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>>>>;

/// A file's content, piece by piece.
struct FilePieces {
    file: Rc<File>,
    read: Option<FileRead>,
    offset: u64,
    end: u64,
}

impl Stream for FilePieces {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let left = this.end - this.offset;
        if left == 0 {
            return Poll::Ready(None);
        }
        let read = this.read.get_or_insert_with(|| {
            let (file, offset) = (Rc::clone(&this.file), this.offset);
            let len = left.min(FILE_PIECE_BYTES) as usize;
            Box::pin(async move {
                let (_, bytes) = file.read_at(Vec::with_capacity(len), offset).await?;
                Ok(bytes)
            })
        });
        let result = ready!(read.as_mut().poll(context));
        this.read = None;
        Poll::Ready(match result {
            // It has become shorter: the sized body says so.
            Ok(bytes) if bytes.is_empty() => None,
            Ok(mut bytes) => {
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                this.offset += bytes.len() as u64;
                Some(Ok(bytes.into()))
            }
            Err(error) => Some(Err(error)),
        })
    }
}
