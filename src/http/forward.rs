//! Sends a request's body on to another server.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{client, server::Body};

/// The body of a request that a server has received, sent on as it comes: with its length, or in
/// chunks where it has none.
impl From<Body> for client::Body {
    fn from(body: Body) -> Self {
        match body.bytes_left() {
            Some(0) => Self::none(),
            Some(len) => Self::stream(Onward(body)).sized(len),
            None => Self::stream(Onward(body)),
        }
    }
}

/// A received body on its way to another server.
struct Onward(Body);

impl Stream for Onward {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(Pin::new(&mut self.0).poll_next(context));
        Poll::Ready(piece.map(|piece| Ok(piece?.into())))
    }
}
