//! Requests and answers without a connection: those of another server, or of a layer between this
//! one and its handler.

mod source;

use std::{
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{HeaderMap, request};
use bytes::Bytes;

pub(crate) use super::message::response_body::{MakeProducer, ResponseBody};
use super::{
    exchange::Exchange,
    made_request::{encode, refused},
    message::{Body, BodyWriter, Request, received::Received, response_body::Producer},
    settings::Settings,
    timeouts::Timeouts,
    worker_shared::Shared,
};
pub(crate) use crate::http::transport::{tunnelled::MakeTunnel, upgraded::used_by};
use crate::http::{
    StatusCode,
    error::{Cause, Error, Result},
    h1::{BodyLength, Limits},
};
use source::Source;

/// The settings of requests without a connection.
#[derive(Clone)]
pub(crate) struct Detached {
    shared: Rc<Shared>,
}

impl Detached {
    pub(crate) fn new(limits: Limits, timeouts: Timeouts) -> Self {
        let mut settings = Settings::default();
        settings.rules.limits = limits;
        settings.timeouts = timeouts;
        Self {
            shared: Rc::new(Shared::new(settings, Arc::default())),
        }
    }

    /// Makes a request of `parts` and `body`. It is out of date once the lease is dropped.
    pub(crate) fn request<B>(&self, parts: &request::Parts, body: B) -> Result<(Request, Lease)>
    where
        B: http_body::Body + 'static,
        B::Error: Into<Cause>,
    {
        let framing = match body.size_hint().exact() {
            _ if body.is_end_stream() => BodyLength::None,
            Some(0) | None => BodyLength::Chunked,
            Some(len) => BodyLength::Sized(len),
        };
        let source = Source::new(Box::pin(body), framing);
        let exchange = Exchange::new(Rc::clone(&self.shared));
        let mut received = Received::new(&exchange);
        let current = Rc::get_mut(&mut received).expect("it was made just now");
        let bytes = encode(parts, Some(framing));
        let number = exchange
            .begin_detached(&mut current.head, bytes, source.into())
            .map_err(refused)?;
        current.begin(number);
        Ok((Request::new(received), Lease(exchange)))
    }

    /// Makes the body of an answer that `make` writes.
    pub(crate) fn pieces(&self, make: Box<MakeProducer>, promised: Option<u64>) -> Pieces {
        let exchange = Exchange::new(Rc::clone(&self.shared));
        exchange.begin_pieces(promised.map_or(BodyLength::UntilClose, BodyLength::Sized));
        let writer = BodyWriter::new(Rc::clone(&exchange), 0);
        Pieces {
            exchange,
            producer: Some(make(writer)),
            ready: VecDeque::new(),
            trailers: None,
        }
    }

    /// The settings of the request that `body` belongs to.
    pub(crate) fn of(body: &Body) -> Self {
        Self {
            shared: Rc::clone(body.received().exchange.shared()),
        }
    }
}

/// Makes a request of `parts` in place of the one that `body` belongs to.
pub(crate) fn renewed(parts: &request::Parts, body: &Body) -> Result<Request> {
    let before = body.received();
    let mut received = Received::new(&before.exchange);
    let current = Rc::get_mut(&mut received).expect("it was made just now");
    let bytes = encode(parts, None);
    let rules = &before.exchange.shared().settings.rules;
    let read = current.head.read(&bytes, rules).map_err(refused)?;
    assert!(read.is_some(), "the head is complete");
    current.begin(before.number);
    current.span = before.span.clone();
    current.original = Some(Rc::clone(before));
    if current.head.path() == before.head.path() {
        current.params = before.params.take().into();
    }
    Ok(Request::new(received))
}

/// Keeps a request without a connection alive.
pub(crate) struct Lease(Rc<Exchange>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.retire();
        self.0.end();
    }
}

/// The body of an answer while it is written, piece by piece.
pub(crate) struct Pieces {
    exchange: Rc<Exchange>,
    /// None when it has ended.
    producer: Option<Producer>,
    ready: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

/// A part of an answer's body.
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Pieces {
    pub(crate) fn is_over(&self) -> bool {
        self.producer.is_none() && self.ready.is_empty() && self.trailers.is_none()
    }

    /// The next part, or none at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece>>> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Piece::Data(data))));
            }
            if !self.exchange.outgoing().is_empty() {
                self.ready.extend(self.exchange.outgoing().take_pieces());
                continue;
            }
            let Some(producer) = &mut self.producer else {
                let trailers = self.trailers.take();
                return Poll::Ready(trailers.map(|fields| Ok(Piece::Trailers(fields))));
            };
            self.exchange.register(context);
            match producer.as_mut().poll(context) {
                Poll::Pending if self.exchange.outgoing().is_empty() => return Poll::Pending,
                Poll::Pending => {}
                Poll::Ready(written) => {
                    self.producer = None;
                    if let Err(error) = written.and_then(|()| self.finish()) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        let trailers = self.exchange.outgoing().finish_pieces();
        let trailers = trailers
            .map_err(|error| Error::from(StatusCode::INTERNAL_SERVER_ERROR).with_source(error))?;
        if !trailers.is_empty() {
            let mut fields = HeaderMap::with_capacity(trailers.len());
            for (name, value) in trailers {
                fields.append(name, value);
            }
            self.trailers = Some(fields);
        }
        Ok(())
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // A writer that was moved to another task fails from now on.
        self.exchange.retire();
    }
}
