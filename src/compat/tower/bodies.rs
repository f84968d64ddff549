//! Bodies of the crate `http-body` made of ours, and ours made of them.

use std::{
    cell::Cell,
    error,
    future::poll_fn,
    io, iter,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};

use crate::{
    http::{
        BodyWriter, Cause, Error, HeaderMap, HeaderValue, Response, StatusCode, client, header,
    },
    task::ThreadBound,
};

/// A bound body is a body, and is polled on its own thread only.
///
/// Feature: `tower`.
impl<B: Body + Unpin + 'static> Body for ThreadBound<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(self.get_mut().get_mut()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.get().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.get().size_hint()
    }
}

/// The body of a [client's response](client::Response) as a body of the crate `http-body`: data,
/// and after it the trailers if there are some.
///
/// Feature: `tower`.
#[derive(Debug)]
pub struct ClientBody {
    stream: client::BodyStream,
    is_over: bool,
}

impl ClientBody {
    /// Returns the response that it belongs to.
    #[must_use]
    pub fn response(&self) -> &client::Response {
        self.stream.response()
    }
}

impl From<client::Response> for ClientBody {
    fn from(response: client::Response) -> Self {
        Self {
            stream: response.into_stream(),
            is_over: false,
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = client::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, client::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let piece = ready!(Pin::new(&mut self.stream).poll_next(context));
        let Some(piece) = piece else {
            self.is_over = true;
            let trailers = self.response().trailers();
            let frame = (!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers)));
            return Poll::Ready(frame);
        };
        self.is_over = piece.is_err();
        Poll::Ready(Some(piece.map(|piece| Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
            || self.response().bytes_left() == Some(0) && self.response().trailers().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.response().bytes_left() {
            Some(bytes) => SizeHint::with_exact(bytes),
            None => SizeHint::default(),
        }
    }
}

/// A body after a first look.
enum Looked<B> {
    /// It is here.
    Whole(Bytes),
    /// It comes in frames.
    Frames(Frames<B>),
}

/// A body of which the first data may be here.
struct Frames<B> {
    body: Pin<Box<B>>,
    first: Option<Bytes>,
    len: Option<u64>,
    /// It has ended, or has failed.
    is_over: bool,
}

/// The next frame of a body, or its error; none at its end.
type NextFrame<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

impl<B: Body> Frames<B> {
    /// The next frame. A body that is over is not polled again.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<NextFrame<B>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(self.body.as_mut().poll_frame(context));
        self.is_over = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }
}

/// Takes a body that is here, as most of a known length are.
fn look<B>(body: B) -> Result<Looked<B>, B::Error>
where
    B: Body,
{
    if body.is_end_stream() {
        return Ok(Looked::Whole(Bytes::new()));
    }
    let len = body.size_hint().exact();
    let mut frames = Frames {
        body: Box::pin(body),
        first: None,
        len,
        is_over: false,
    };
    // One that is not here is polled again, by a task that can be woken.
    let mut context = Context::from_waker(Waker::noop());
    let Some(len) = len else {
        return Ok(Looked::Frames(frames));
    };
    let Poll::Ready(frame) = frames.poll_frame(&mut context) else {
        return Ok(Looked::Frames(frames));
    };
    let data = match frame.transpose()?.map(Frame::into_data) {
        Some(Ok(mut data)) => data.copy_to_bytes(data.remaining()),
        // A body of a known length has no room for trailers.
        Some(Err(_)) | None => Bytes::new(),
    };
    if data.len() as u64 == len {
        return Ok(Looked::Whole(data));
    }
    frames.first = Some(data);
    Ok(Looked::Frames(frames))
}

impl Response {
    /// Makes an answer of a response of the `http` crate with a body of any kind.
    ///
    /// Feature: `tower`.
    ///
    /// A body whose length is known is sent with that length; any other is sent in chunks, with its
    /// trailers to clients that said `TE: trailers`. It is polled as fast as the client reads, and
    /// dropped when the client leaves. An error of it cuts the connection, or becomes a 500 when
    /// nothing was sent yet. A `Response` of which the whole body is here comes by
    /// [`From`](#impl-From<Response<B>>-for-Response), without this feature.
    ///
    /// The version and the extensions are left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Request, Response};
    ///
    /// /// Sends the request's body back as it comes, its trailers included.
    /// async fn echo(mut request: Request) -> Response {
    ///     let body = request.take_body(); // any body of the crate `http-body`
    ///     Response::from_http_body(http::Response::new(body))
    /// }
    /// # let _ = echo;
    /// ```
    #[must_use]
    pub fn from_http_body<B>(response: ::http::Response<B>) -> Self
    where
        B: Body + 'static,
        B::Error: Into<Cause>,
    {
        let (parts, body) = response.into_parts();
        let frames = match look(body) {
            Ok(Looked::Whole(bytes)) => {
                return Self::new(parts.status)
                    .with_fields(parts.headers)
                    .with_body(bytes);
            }
            Ok(Looked::Frames(frames)) => frames,
            Err(error) => return Self::failed(into_error(error.into())),
        };
        let len = frames.len;
        let mut response = Self::writer(async move |out| frames.write(out).await)
            .with_status(parts.status)
            .with_fields(parts.headers);
        if let Some(len) = len {
            let has_len = response.field_list().iter();
            if !has_len
                .map(|(name, _)| name)
                .any(|name| *name == header::CONTENT_LENGTH)
            {
                response = response.with_field(header::CONTENT_LENGTH, HeaderValue::from(len));
            }
        }
        response
    }
}

impl<B> Frames<B>
where
    B: Body + 'static,
    B::Error: Into<Cause>,
{
    /// Writes the body as that of an answer.
    async fn write(mut self, mut out: BodyWriter) -> Result<(), Error> {
        if let Some(data) = self.first.take() {
            out.write(data).await?;
        }
        while let Some(frame) = poll_fn(|context| self.poll_frame(context)).await {
            let frame = frame.map_err(|error| into_error(error.into()))?;
            match frame.into_data() {
                Ok(mut data) => out.write(data.copy_to_bytes(data.remaining())).await?,
                Err(frame) => {
                    let mut last_name = None;
                    for (name, value) in frame.into_trailers().into_iter().flatten() {
                        last_name = name.or(last_name);
                        if let Some(name) = &last_name {
                            out.add_trailer(name.clone(), value);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl client::Body {
    /// Makes a request's body of a body of the crate `http-body`.
    ///
    /// Feature: `tower`.
    ///
    /// One that is here as a whole is sent as bytes are, again if need be. Any other goes once:
    /// with its length if that is known, else in chunks and with its trailers. An error of it fails
    /// the request, and is the cause of the request's error.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::client::Body;
    ///
    /// let body = Body::from_http_body("text".to_owned()); // `http_body::Body` for `String`
    /// # drop(body);
    /// ```
    #[must_use]
    pub fn from_http_body<B>(body: B) -> Self
    where
        B: Body + 'static,
        B::Error: Into<Cause>,
    {
        let frames = match look(body) {
            Ok(Looked::Whole(bytes)) if bytes.is_empty() => return Self::none(),
            Ok(Looked::Whole(bytes)) => return bytes.into(),
            Ok(Looked::Frames(frames)) => frames,
            Err(error) => return Self::stream(Failed(Some(error.into()))),
        };
        let len = frames.len;
        let trailers = Rc::new(Cell::new(None));
        let body = Self::stream(Pieces {
            frames,
            trailers: Rc::clone(&trailers),
        });
        match len {
            Some(len) => body.sized(len),
            None => body.with_trailers(move || trailers.take().unwrap_or_default()),
        }
    }
}

/// The data of a body as a stream.
struct Pieces<B> {
    frames: Frames<B>,
    /// The trailers that came at its end.
    trailers: Rc<Cell<Option<HeaderMap>>>,
}

impl<B> Stream for Pieces<B>
where
    B: Body,
    B::Error: Into<Cause>,
{
    type Item = Result<Bytes, Cause>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(data) = self.frames.first.take() {
            return Poll::Ready(Some(Ok(data)));
        }
        loop {
            let frame = match ready!(self.frames.poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(mut data) => {
                    let data = data.copy_to_bytes(data.remaining());
                    return Poll::Ready(Some(Ok(data)));
                }
                Err(frame) => {
                    let mut trailers = self.trailers.take().unwrap_or_default();
                    trailers.extend(frame.into_trailers().into_iter().flatten());
                    self.trailers.set(Some(trailers));
                }
            }
        }
    }
}

/// A body that has failed at the first look.
struct Failed(Option<Cause>);

impl Stream for Failed {
    type Item = Result<Bytes, Cause>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

/// The error of a service or a body as that of a handler. One of this crate's, or around one, has
/// the status of that; any other is 500.
pub(super) fn into_error(cause: Cause) -> Error {
    let cause = match cause.downcast::<Error>() {
        Ok(error) => return *error,
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<client::Error>() {
        Ok(error) => return (*error).into(),
        Err(cause) => cause,
    };
    let first: &(dyn error::Error + 'static) = &*cause;
    let mut causes = iter::successors(Some(first), |cause| cause.source());
    let status = causes.find_map(status_of);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Error::new(status, "the service failed").with_source(cause)
}

/// The status of an error of this crate, which may be in an I/O error.
fn status_of(cause: &(dyn error::Error + 'static)) -> Option<StatusCode> {
    let inner = cause.downcast_ref::<io::Error>();
    let inner = inner.and_then(io::Error::get_ref);
    let ours = match inner {
        Some(inner) => inner.downcast_ref::<Error>(),
        None => cause.downcast_ref::<Error>(),
    };
    ours.map(Error::status)
}
