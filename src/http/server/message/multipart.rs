//! A form with files in a request's body.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;

use super::{body::Body, content_type, request::Request};
use crate::http::{
    StatusCode,
    error::{Error, Result},
    error_kind::ErrorKind,
    multipart::{Limits, MultipartError, Parsed, Parser, PartHead, boundary, safe_file_name},
};

/// Characters of a part's name that an error tells.
const NAME_CHARS: usize = 64;

/// A body of `multipart/form-data`: the form of a page with files (RFC 7578). Made by
/// [`Request::multipart`].
///
/// The parts come one after the other, in the order of the form, and are pulled as the body is:
/// what the handler does not read stays with the client. Nothing is held in memory but the head of
/// one part and the piece that was received last.
///
/// A part that is dropped is skipped. When all that is wanted is here the value may be dropped with
/// the rest unread.
///
/// # Limits
///
/// [`limit`](Self::limit) is for the whole body, whose default is
/// [`Limits::body_bytes_max`](crate::http::Limits::body_bytes_max), a mebibyte: a form with files
/// nearly always needs its own. [`part_bytes_max`](Self::part_bytes_max) is for each part,
/// [`parts_max`](Self::parts_max) for their number, and [`head_bytes_max`](Self::head_bytes_max)
/// for the head of each. An excess is 413.
///
/// # Examples
///
/// ```
/// use annulus::{fs::File, http::{self, Request, StatusCode}};
///
/// /// Takes a form with a `title` and any number of files called `photo`.
/// async fn album(mut request: Request) -> http::Result<String> {
///     let mut form = request.multipart()?.limit(100 << 20);
///     let (mut title, mut photos) = (None, 0);
///     while let Some(mut part) = form.next_part().await? {
///         match part.name() {
///             "title" => title = Some(part.text(1000).await?),
///             "photo" => {
///                 // A name of our own: two clients may send the same.
///                 let file = File::create(format!("/srv/photos/{photos}.jpg")).await?;
///                 let mut len = 0;
///                 while let Some(piece) = part.next().await? {
///                     let count = piece.len() as u64;
///                     file.write_all_at(piece, len).await.map_err(|error| error.error)?;
///                     len += count;
///                 }
///                 photos += 1;
///             }
///             _ => {} // It is skipped.
///         }
///     }
///     let title = title.ok_or(StatusCode::UNPROCESSABLE_ENTITY)?;
///     Ok(format!("{title}: {photos} photos"))
/// }
/// # let _ = album;
/// ```
pub struct Multipart {
    body: Body,
    parser: Parser,
    /// Received bytes that the parser has not taken.
    piece: Bytes,
    /// The head of the part that it is in or behind.
    head: PartHead,
    /// Whether it is in a part, whose rest is skipped when the next one is asked for.
    in_part: bool,
}

/// A step on the way through the body.
enum Step {
    Head,
    Data(Bytes),
    PartEnd,
    End,
}

impl Multipart {
    /// Sets the limit on the size of the whole body, in place of
    /// [`Limits::body_bytes_max`](crate::http::Limits::body_bytes_max).
    #[must_use]
    pub fn limit(mut self, bytes_max: u64) -> Self {
        self.body = self.body.limit(bytes_max);
        self
    }

    /// Sets the limit on the wait for each piece, in place of
    /// [`Timeouts::body`](crate::http::Timeouts::body).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.body = self.body.timeout(timeout);
        self
    }

    /// Sets the limit on the number of parts, 100 by default.
    #[must_use]
    pub fn parts_max(mut self, parts_max: usize) -> Self {
        self.parser.limits_mut().parts_max = parts_max;
        self
    }

    /// Sets the limit on the head of each part, 8 KiB by default. It bounds the names.
    #[must_use]
    pub fn head_bytes_max(mut self, bytes_max: usize) -> Self {
        self.parser.limits_mut().head_bytes_max = bytes_max;
        self
    }

    /// Sets a limit on the bytes of each part. There is none by default but that of the body.
    #[must_use]
    pub fn part_bytes_max(mut self, bytes_max: u64) -> Self {
        self.parser.limits_mut().part_bytes_max = bytes_max;
        self
    }

    /// Receives up to the next part, and returns it; none after the last one. The rest of the part
    /// before is skipped.
    ///
    /// # Errors
    ///
    /// - 400 for a body that is no `multipart/form-data`, 413 for one that is over a limit, 415 for
    ///   a part in base64 or another encoding: [`ErrorKind::Multipart`] has the reason, and the
    ///   text names the part. The same error comes again from then on.
    /// - Those of [`Body::next`](crate::http::Body::next).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next_part(&mut self) -> Result<Option<Part<'_>>> {
        loop {
            match poll_fn(|context| self.poll_step(context)).await? {
                Step::Head => return Ok(Some(Part { multipart: self })),
                Step::Data(_) | Step::PartEnd => {}
                Step::End => return Ok(None),
            }
        }
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<Step>> {
        loop {
            let parsed = self.parser.parse(&self.piece);
            let (taken, parsed) = parsed.map_err(|error| self.refusal(error))?;
            let bytes = self.piece.split_to(taken);
            let step = match parsed {
                Parsed::More => {
                    self.piece = ready!(self.poll_more(context))?;
                    continue;
                }
                Parsed::Head(head) => {
                    (self.head, self.in_part) = (head, true);
                    Step::Head
                }
                Parsed::Data => Step::Data(bytes),
                Parsed::Held(place) => {
                    Step::Data(Bytes::copy_from_slice(&self.parser.delimiter()[place]))
                }
                Parsed::PartEnd => {
                    self.in_part = false;
                    Step::PartEnd
                }
                Parsed::End => Step::End,
            };
            return Poll::Ready(Ok(step));
        }
    }

    /// The next piece of the body, which has to have one.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let piece = ready!(Pin::new(&mut self.body).poll_next(context)).transpose()?;
        Poll::Ready(piece.map(Bytes::from).ok_or_else(|| {
            let error = self.parser.end();
            self.refusal(error)
        }))
    }

    /// An error that names the part.
    fn refusal(&self, error: MultipartError) -> Error {
        let reason = format!("{}{error}", self.place());
        Error::other(error.status(), ErrorKind::Multipart(error), reason)
    }

    /// `part 3, "name": `.
    fn place(&self) -> String {
        match self.parser.part() {
            0 => String::new(),
            number if self.in_part => {
                let name: String = self.head.name().chars().take(NAME_CHARS).collect();
                format!("part {number}, {name:?}: ")
            }
            number => format!("part {number}: "),
        }
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart")
            .field("part", &self.parser.part())
            .finish_non_exhaustive()
    }
}

/// A part of a form: a value or a file. [`Multipart::next_part`] gives it.
///
/// It is pulled as the body is. Dropped, its rest is skipped.
pub struct Part<'a> {
    multipart: &'a mut Multipart,
}

impl Part<'_> {
    fn head(&self) -> &PartHead {
        &self.multipart.head
    }

    /// Returns the name of the form's field. Bytes that are no UTF-8 are U+FFFD in it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.head().name()
    }

    /// Returns the name of the file as the client sent it, if the part is a file. It is empty for a
    /// form that was sent without a file in this field.
    ///
    /// It may be any text, `../../etc/passwd` among it: never use it as a path.
    /// [`safe_file_name`](Self::safe_file_name) is for that.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.head().file_name()
    }

    /// Returns the name of the file in a form that stays in its folder when it is joined to one;
    /// none where the part is no file, or nothing is left of the name.
    ///
    /// Folders in front of the name and dots and blanks around it are left out, a control character
    /// becomes an underscore, and the name ends after 255 bytes. Another file of that name may
    /// exist.
    #[must_use]
    pub fn safe_file_name(&self) -> Option<String> {
        safe_file_name(self.file_name()?)
    }

    /// Returns the type of its bytes, as the client says. A part without one is plain text
    /// (RFC 7578, section 4.4).
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        std::str::from_utf8(self.field("content-type")?).ok()
    }

    /// Returns the first field of the part's head called `name`, in any case, without the blanks
    /// around its value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.head().field_all(name).next()
    }

    /// Returns the names, as they were sent, and values of all fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head().fields()
    }

    /// Receives the next piece, or `None` at the end of the part.
    ///
    /// A piece may share its memory with those beside it: keep small ones for long as a `Vec`.
    ///
    /// # Errors
    ///
    /// As [`Multipart::next_part`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|context| self.poll_piece(context)).await
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if !self.multipart.in_part {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(Ok(match ready!(self.multipart.poll_step(context))? {
            Step::Data(bytes) => Some(bytes),
            Step::Head | Step::PartEnd | Step::End => None,
        }))
    }

    /// Receives the rest of the part.
    ///
    /// # Errors
    ///
    /// 413 when it has more than `bytes_max` bytes; the parts behind it can still be read then. And
    /// those of [`Multipart::next_part`].
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    pub async fn bytes(mut self, bytes_max: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            if piece.len() > bytes_max - bytes.len() {
                return Err(self.multipart.refusal(MultipartError::PartTooLarge));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Receives the rest of the part as text.
    ///
    /// # Errors
    ///
    /// 400 when it is no UTF-8, and those of [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    pub async fn text(self, bytes_max: usize) -> Result<String> {
        let Part { multipart } = self;
        let place = multipart.place();
        let bytes = Part { multipart }.bytes(bytes_max).await?;
        String::from_utf8(bytes).map_err(|error| {
            let reason = format!("{place}expected text in UTF-8, found other bytes");
            Error::other(StatusCode::BAD_REQUEST, ErrorKind::Content, reason).with_source(error)
        })
    }
}

/// The pieces of the part.
impl Stream for Part<'_> {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_piece(context).map(Result::transpose)
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name())
            .field("file_name", &self.file_name())
            .finish_non_exhaustive()
    }
}

/// The body as a form with files.
impl Request {
    /// Returns the body as a form with files, whose parts are pulled one after the other.
    ///
    /// # Errors
    ///
    /// 415 when `Content-Type` is not `multipart/form-data`, 400 when it has no boundary between
    /// the parts or one that RFC 2046 does not allow.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::http::{self, Request};
    /// /// Tells the size of each file.
    /// async fn sizes(mut request: Request) -> http::Result<String> {
    ///     let mut form = request.multipart()?.limit(1 << 30);
    ///     let mut answer = String::new();
    ///     while let Some(mut part) = form.next_part().await? {
    ///         let Some(name) = part.safe_file_name() else { continue };
    ///         let mut len = 0;
    ///         while let Some(piece) = part.next().await? {
    ///             len += piece.len();
    ///         }
    ///         answer += &format!("{name} has {len} bytes\n");
    ///     }
    ///     Ok(answer)
    /// }
    /// ```
    pub fn multipart(&mut self) -> Result<Multipart> {
        let found = self.field("content-type");
        let boundary = found.and_then(boundary);
        let boundary = boundary
            .ok_or_else(|| content_type::refused(found, "multipart/form-data"))?
            .map_err(|error| {
                let kind = ErrorKind::Multipart(error);
                Error::other(error.status(), kind, error.to_string())
            })?;
        Ok(Multipart {
            body: self.take_body(),
            parser: Parser::new(&boundary, Limits::default()),
            piece: Bytes::new(),
            head: PartHead::default(),
            in_part: false,
        })
    }
}
