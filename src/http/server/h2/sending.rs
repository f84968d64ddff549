//! Polls the handler of a stream, and sends its answer as fast as the client reads.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use ::h2::{Reason, SendStream, server::SendResponse};
use ::http::Response as Head;
use bytes::Bytes;

use super::answer::interim;
use crate::{
    http::{
        HeaderMap, HeaderName, HeaderValue,
        server::{
            end_reason::EndReason,
            exchange::{Driven, Exchange, Gone},
            phase::Phase,
            settings::WhenGone,
        },
    },
    time,
};

/// The answer of a stream on its way.
pub(super) struct Sending<'a> {
    exchange: &'a Rc<Exchange>,
    stage: Stage,
}

/// How far the answer is.
enum Stage {
    /// Its head was not sent.
    Before(SendResponse<Bytes>),
    /// Its head is sent with the first bytes.
    Head(SendResponse<Bytes>, Head<()>),
    Body(SendStream<Bytes>),
    Over,
}

impl<'a> Sending<'a> {
    pub(super) fn new(exchange: &'a Rc<Exchange>, respond: SendResponse<Bytes>) -> Self {
        Self {
            exchange,
            stage: Stage::Before(respond),
        }
    }

    /// Polls `future` to its end. Its output is sent whenever it waits; when the client has
    /// reset the stream meanwhile, the future is left.
    pub(super) async fn drive<F: Future + ?Sized>(
        &mut self,
        future: Pin<&mut F>,
    ) -> Result<Driven<F::Output>, Gone> {
        let mut future = future;
        let mut driven = None;
        loop {
            let is_done = poll_fn(|context| {
                let exchange = self.exchange;
                if exchange.poll_inside(future.as_mut(), context, &mut driven) {
                    return Poll::Ready(Ok(true));
                }
                if !exchange.outgoing().is_empty() {
                    return Poll::Ready(Ok(false));
                }
                exchange.register(context);
                if exchange.when_gone() == WhenGone::GoOn || self.poll_reset(context).is_pending() {
                    return Poll::Pending;
                }
                Poll::Ready(Err(Gone(EndReason::ClientGone)))
            });
            if is_done.await? {
                return Ok(driven.expect("it is there when the future has ended"));
            }
            self.flush().await?;
        }
    }

    /// Ready when the client has reset the stream, or is gone.
    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Before(respond) | Stage::Head(respond, _) => {
                respond.poll_reset(context).map(drop)
            }
            Stage::Body(stream) => stream.poll_reset(context).map(drop),
            Stage::Over => Poll::Ready(()),
        }
    }

    /// Sends what the handler has written: interim answers, or a part of the body.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        let outgoing = self.exchange.outgoing();
        if let Stage::Before(respond) = &mut self.stage {
            let bytes = outgoing.take_pieces().concat();
            for head in interim(&bytes) {
                respond.send_informational(head).map_err(gone)?;
            }
            return Ok(());
        }
        outgoing.set_sending(true);
        while !outgoing.is_empty() {
            for piece in outgoing.take_pieces() {
                self.send(piece, false).await?;
            }
        }
        outgoing.set_sending(false);
        outgoing.wake_writer();
        Ok(())
    }

    /// Sends an answer without a body.
    pub(super) fn send_empty(&mut self, head: Head<()>) -> Result<(), Gone> {
        let mut respond = self.take_respond()?;
        respond.send_response(head, true).map_err(gone)?;
        Ok(())
    }

    /// Notes the head of an answer, which is sent with the first bytes of its body.
    pub(super) fn begin_body(&mut self, head: Head<()>) -> Result<(), Gone> {
        self.stage = Stage::Head(self.take_respond()?, head);
        Ok(())
    }

    /// Takes the place of an answer of which nothing was sent.
    fn take_respond(&mut self) -> Result<SendResponse<Bytes>, Gone> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Before(respond) | Stage::Head(respond, _) => Ok(respond),
            Stage::Body(_) | Stage::Over => Err(Gone(EndReason::ClientGone)),
        }
    }

    /// Sends the head if that was not done.
    fn stream(&mut self) -> Result<&mut SendStream<Bytes>, Gone> {
        if let Stage::Head(..) = &self.stage {
            if let Stage::Head(mut respond, head) = mem::replace(&mut self.stage, Stage::Over) {
                let stream = respond.send_response(head, false).map_err(gone)?;
                self.stage = Stage::Body(stream);
            }
        }
        match &mut self.stage {
            Stage::Body(stream) => Ok(stream),
            _ => Err(Gone(EndReason::ClientGone)),
        }
    }

    /// Sends a part of the body as far as the client's windows allow, and waits for the rest.
    pub(super) async fn send(&mut self, mut data: Bytes, is_end: bool) -> Result<(), Gone> {
        loop {
            let stream = self.stream()?;
            stream.reserve_capacity(data.len());
            let mut room = stream.capacity();
            if room == 0 && !data.is_empty() {
                room = self.wait_for_room().await?;
            }
            let piece = data.split_to(room.min(data.len()));
            let is_last = data.is_empty();
            let sent = self.stream()?.send_data(piece, is_end && is_last);
            sent.map_err(gone)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Waits until the client takes more, for as long as a write may.
    async fn wait_for_room(&mut self) -> Result<usize, Gone> {
        let exchange = self.exchange;
        let limit = exchange.shared().settings.timeouts.write;
        // None: the deadline does not fit an `Instant`, so there is no limit.
        let deadline = time::now().checked_add(limit);
        let before = exchange.phase();
        exchange.set_phase(Phase::Writing);
        let room = poll_fn(|context| {
            let room = self.poll_room(context)?;
            if room.is_pending() && is_over(exchange, deadline, context) {
                return Poll::Ready(Err(Gone(EndReason::WriteTimeout)));
            }
            room.map(Ok)
        });
        let room = room.await;
        exchange.set_phase(before);
        if room == Err(Gone(EndReason::WriteTimeout)) {
            exchange.shared().count_refusal(EndReason::WriteTimeout);
            self.reset(Reason::CANCEL);
        }
        room
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Result<Poll<usize>, Gone> {
        let stream = self.stream()?;
        loop {
            match stream.poll_capacity(context) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Some(Ok(_))) => match stream.capacity() {
                    0 => {}
                    room => return Ok(Poll::Ready(room)),
                },
                Poll::Ready(Some(Err(_)) | None) => return Err(Gone(EndReason::ClientGone)),
            }
        }
    }

    /// Ends the body, with trailers if there are any.
    pub(super) fn finish(&mut self, trailers: Vec<(HeaderName, HeaderValue)>) -> Result<(), Gone> {
        let stream = self.stream()?;
        if trailers.is_empty() {
            return stream.send_data(Bytes::new(), true).map_err(gone);
        }
        let mut fields = HeaderMap::with_capacity(trailers.len());
        for (name, value) in trailers {
            fields.append(name, value);
        }
        stream.send_trailers(fields).map_err(gone)
    }

    /// Ends the stream so that the client sees that something is missing.
    pub(super) fn reset(&mut self, reason: Reason) {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Before(mut respond) | Stage::Head(mut respond, _) => respond.send_reset(reason),
            Stage::Body(mut stream) => stream.send_reset(reason),
            Stage::Over => {}
        }
    }

    /// Takes back an answer of which nothing was sent; false when it is too late.
    pub(super) fn take_back(&mut self) -> bool {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Before(respond) | Stage::Head(respond, _) => {
                self.stage = Stage::Before(respond);
                true
            }
            stage => {
                self.stage = stage;
                false
            }
        }
    }
}

/// Whether `deadline` has passed, which wakes the context's task.
fn is_over(exchange: &Exchange, deadline: Option<Instant>, context: &mut Context<'_>) -> bool {
    deadline.is_some_and(|deadline| exchange.poll_timer(deadline, context).is_ready())
}

/// The stream was reset, or the connection is gone.
fn gone(_: ::h2::Error) -> Gone {
    Gone(EndReason::ClientGone)
}
