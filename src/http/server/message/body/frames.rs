//! The body as a body of the crate `http-body`.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};

use super::{Body, Received};
use crate::http::{HeaderMap, error::Error};

impl Body {
    /// The request that it belongs to.
    pub(crate) fn received(&self) -> &Rc<Received> {
        &self.received
    }

    /// Takes the trailers, after the end. From then on there is nothing left of the body.
    fn take_trailers(&mut self) -> Option<HeaderMap> {
        let trailers = self.trailers();
        if trailers.is_empty() {
            return None;
        }
        self.number = None;
        Some(trailers)
    }
}

/// Data frames, and after them the trailers if there are some, which
/// [`trailers`](Body::trailers) no longer has then.
///
/// Feature: `tower`.
impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match ready!(self.as_mut().poll_next(context)) {
            Some(piece) => Some(piece.map(|piece| Frame::data(piece.into()))),
            None => self
                .take_trailers()
                .map(|fields| Ok(Frame::trailers(fields))),
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self.number {
            None => true,
            // One that is out of date still has its error to give.
            Some(_) if !self.is_current() => false,
            Some(_) => self.bytes_left() == Some(0) && self.trailers().is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.bytes_left() {
            Some(bytes) => SizeHint::with_exact(bytes),
            None => SizeHint::default(),
        }
    }
}
