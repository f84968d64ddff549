//! The body of a request on its way to another server.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;

use crate::http::{client, server::Body};

/// The body of a request that a server has received, sent on as it comes: with its length, or in
/// chunks where it has none. Trailers follow on chunks.
impl From<Body> for client::Body {
    fn from(body: Body) -> Self {
        OnwardBody::new(body).to_client()
    }
}

/// A body that is sent on, and may be offered to several servers until one has taken a piece of it.
#[derive(Clone)]
pub(super) struct OnwardBody(Option<Rc<Shared>>);

struct Shared {
    body: RefCell<Body>,
    is_begun: Cell<bool>,
}

impl OnwardBody {
    pub(super) fn new(body: Body) -> Self {
        if body.bytes_left() == Some(0) {
            return Self(None);
        }
        Self(Some(Rc::new(Shared {
            body: RefCell::new(body),
            is_begun: Cell::new(false),
        })))
    }

    /// Whether a piece of it was taken, so that another server would miss that.
    pub(super) fn is_begun(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.is_begun.get())
    }

    pub(super) fn to_client(&self) -> client::Body {
        let Some(shared) = &self.0 else {
            return client::Body::none();
        };
        let len = shared.body.borrow().bytes_left();
        let body = client::Body::stream(Pieces(Rc::clone(shared)));
        match len {
            Some(len) => body.sized(len),
            None => {
                let shared = Rc::clone(shared);
                body.with_trailers(move || shared.body.borrow().trailers())
            }
        }
    }
}

/// The pieces of a received body.
struct Pieces(Rc<Shared>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.body.borrow_mut();
        let piece = ready!(Pin::new(&mut *body).poll_next(context));
        self.0.is_begun.set(true);
        Poll::Ready(piece.map(|piece| Ok(piece?.into())))
    }
}
