//! The body of a handler's answer, as services give it out.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::http::response::Parts;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    http::{
        BodyWriter, Error, Response,
        detached::{Detached, Lease, MakeProducer, Piece, Pieces},
    },
    task::ThreadBound,
};

/// The body of a [handler's](crate::http::Handler) answer as a body of the crate `http-body`. It is
/// `Send`, and stays on its thread.
///
/// Feature: `tower`.
///
/// An answer that is written in pieces is written as it is polled. Dropping it drops the handler's
/// function that writes.
pub struct AnswerBody(ThreadBound<Answer>);

struct Answer {
    state: State,
    /// The length that the answer's fields promise.
    promised: Option<u64>,
    /// The request may be read until the answer is written.
    lease: Option<Lease>,
}

enum State {
    Whole(Bytes),
    /// It is to be written.
    Begins(Box<MakeProducer>, Detached),
    Pieces(Pieces),
    Over,
}

impl AnswerBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::new(State::Whole(bytes), None, None)
    }

    pub(super) fn written(
        make: Box<MakeProducer>,
        detached: Detached,
        promised: Option<u64>,
        lease: Option<Lease>,
    ) -> Self {
        Self::new(State::Begins(make, detached), promised, lease)
    }

    fn new(state: State, promised: Option<u64>, lease: Option<Lease>) -> Self {
        Self(ThreadBound::new(Answer {
            state,
            promised,
            lease,
        }))
    }

    /// Whether it can be answered as if no service had been in between.
    pub(super) fn is_untouched(&self) -> bool {
        let answer = self.0.get();
        answer.lease.is_none() && matches!(answer.state, State::Whole(_) | State::Begins(..))
    }

    /// The answer with this body, which is untouched.
    pub(super) fn into_response(self, parts: Parts) -> Response {
        let answer = match self.0.into_inner().state {
            State::Whole(bytes) => Response::new(parts.status).with_body(bytes),
            State::Begins(make, _) => {
                Response::writer(async move |out: BodyWriter| make(out).await)
                    .with_status(parts.status)
            }
            State::Pieces(_) | State::Over => unreachable!("it is untouched"),
        };
        answer.with_fields(parts.headers)
    }
}

impl Answer {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            match mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Whole(bytes) => {
                    self.promised = None;
                    let frame = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)));
                    return Poll::Ready(frame);
                }
                State::Begins(make, detached) => {
                    self.state = State::Pieces(detached.pieces(make, self.promised));
                }
                State::Pieces(mut pieces) => {
                    let polled = pieces.poll_next(context);
                    if !matches!(polled, Poll::Ready(None | Some(Err(_)))) {
                        self.state = State::Pieces(pieces);
                    }
                    let frame = match ready!(polled) {
                        Some(Ok(Piece::Data(data))) => {
                            self.promised = self.promised.map(|left| left - data.len() as u64);
                            Some(Ok(Frame::data(data)))
                        }
                        Some(Ok(Piece::Trailers(fields))) => Some(Ok(Frame::trailers(fields))),
                        Some(Err(error)) => Some(Err(error)),
                        None => None,
                    };
                    if matches!(self.state, State::Over) {
                        self.lease = None;
                    }
                    return Poll::Ready(frame);
                }
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.get_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0.get().state {
            State::Whole(bytes) => bytes.is_empty(),
            State::Begins(..) => false,
            State::Pieces(pieces) => pieces.is_over(),
            State::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let answer = self.0.get();
        match (&answer.state, answer.promised) {
            (State::Whole(bytes), _) => SizeHint::with_exact(bytes.len() as u64),
            (State::Over, _) => SizeHint::with_exact(0),
            (State::Begins(..) | State::Pieces(_), Some(left)) => SizeHint::with_exact(left),
            (State::Begins(..) | State::Pieces(_), None) => SizeHint::default(),
        }
    }
}

/// An empty body.
impl Default for AnswerBody {
    fn default() -> Self {
        Self::whole(Bytes::new())
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").finish_non_exhaustive()
    }
}
