//! Serves the streams of a connection, one after the other.
//!
//! A lane is a future that never ends, as an exchange of HTTP/1.1 is: it waits for a stream, serves
//! it, says how that ended, and waits for the next. So its storage, its handler's included, is used
//! again.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use ::h2::{Reason, RecvStream, server::SendResponse};
use ::http::{Request as Head, request::Parts};
use bytes::Bytes;

use super::{
    answer::{self, DateValue},
    request,
    sending::Sending,
    upload::{Upload, UploadStream},
};
use crate::http::{
    HeaderValue, Method, StatusCode,
    error::Error,
    h1::{BodyLength, RequestHead},
    header,
    server::{
        access_log::record::{Exchanged, Facts},
        end_reason::EndReason,
        exchange::{Driven, Exchange, Gone},
        message::{
            body_writer::BodyWriter,
            handler::Handler,
            received::Received,
            request::Request,
            response::Response,
            response_body::{MakeProducer, ResponseBody},
        },
        phase::Phase,
        refusals::Refused,
        trace::{self, ConnectionId, RequestSpan},
        worker_shared::Shared,
    },
    transport::Transport,
};

/// A stream that is to be served.
pub(super) type Asked = (Head<RecvStream>, SendResponse<Bytes>);

/// The future of a lane, in a box that it never leaves.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// The status of an answer, and the reason where it was not the handler's.
type Answered = Result<(StatusCode, Option<EndReason>), Gone>;

/// The end of a stream, as its connection counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was answered.
    Answered,
    /// Its client has reset it, or the connection is gone.
    Reset,
    /// It came to another end.
    Otherwise,
}

/// The state that the future of a lane and its connection share.
pub(super) struct Lane {
    pub(super) exchange: Rc<Exchange>,
    upload: Rc<Upload>,
    date: Rc<DateValue>,
    asked: Cell<Option<Asked>>,
    ended: Cell<Option<Ended>>,
}

impl Lane {
    /// Makes a lane of the connection `below`.
    pub(super) fn new(
        shared: &Rc<Shared>,
        date: &Rc<DateValue>,
        below: &Transport,
        span: ConnectionId,
    ) -> Rc<Self> {
        let upload = Rc::<Upload>::default();
        let exchange = Exchange::new(Rc::clone(shared));
        exchange.set_span(span);
        let stream = UploadStream(Rc::clone(&upload));
        exchange.attach(Transport::of_stream(stream, below));
        Rc::new(Self {
            exchange,
            upload,
            date: Rc::clone(date),
            asked: Cell::new(None),
            ended: Cell::new(None),
        })
    }

    /// Gives it a stream, which its next poll begins to serve.
    pub(super) fn give(&self, asked: Asked) {
        self.asked.set(Some(asked));
    }

    pub(super) fn take_ended(&self) -> Option<Ended> {
        self.ended.take()
    }

    fn is_logged(&self) -> bool {
        self.exchange.shared().settings.access_log.is_some()
    }
}

/// The future of a lane.
pub(super) async fn serve_all<H: Handler>(lane: Rc<Lane>, handler: Rc<H>) {
    let mut received = Received::new(&lane.exchange);
    loop {
        let asked = poll_fn(|_| lane.asked.take().map_or(Poll::Pending, Poll::Ready));
        let (head, respond) = asked.await;
        let ended = serve(&lane, &*handler, &mut received, head, respond).await;
        forget(&lane.exchange, &mut received);
        lane.upload.end();
        lane.exchange.end_stream();
        lane.ended.set(Some(ended));
    }
}

/// Serves one stream.
async fn serve<H: Handler>(
    lane: &Lane,
    handler: &H,
    received: &mut Rc<Received>,
    head: Head<RecvStream>,
    respond: SendResponse<Bytes>,
) -> Ended {
    let exchange = &lane.exchange;
    let mut sending = Sending::new(exchange, respond);
    let (parts, body) = head.into_parts();
    match begin(lane, received, &parts, body) {
        Ok(()) => {}
        Err(Unserved::Malformed) => {
            sending.reset(Reason::PROTOCOL_ERROR);
            return Ended::Reset;
        }
        Err(Unserved::For(reason)) => {
            // It was read if the connection might stay in HTTP/1.1.
            let head = (!reason.closes()).then_some(&received.head);
            return refuse(lane, &parts, head, &mut sending, reason).await;
        }
    }
    let span = Received::begin_span(exchange, received);
    let record = lane.is_logged().then(Exchanged::begin);
    let request = Request::new(Rc::clone(received));
    let driven = {
        let answer = pin!(span.around(handler.handle(request)));
        sending.drive(answer).await
    };
    let mut record = record;
    let answered = match driven {
        Ok(Driven::Done(mut response)) => {
            span.note_error(|| response.error());
            if let Some(record) = &mut record {
                record.error = response.take_error();
            }
            answer(lane, received, &mut sending, response).await
        }
        Ok(Driven::Panicked) => fail(lane, received, &mut sending).await,
        Err(gone) => Err(gone),
    };
    finish(lane, received, record, span, answered)
}

/// Drops the parameters and the values that the request got on its way, if it got any.
fn forget(exchange: &Rc<Exchange>, received: &mut Rc<Received>) {
    if received.has_more.get() {
        match Rc::get_mut(received) {
            Some(current) => current.forget(),
            None => *received = Received::new(exchange),
        }
    }
}

/// Why a stream is not served.
enum Unserved {
    /// It breaks a rule of HTTP/2.
    Malformed,
    /// It is answered so.
    For(EndReason),
}

/// Begins the request whose head is `parts`.
fn begin(
    lane: &Lane,
    received: &mut Rc<Received>,
    parts: &Parts,
    body: RecvStream,
) -> Result<(), Unserved> {
    let exchange = &lane.exchange;
    // A handler that has kept its request has the old one.
    if Rc::get_mut(received).is_none() {
        *received = Received::new(exchange);
    }
    let current = Rc::get_mut(received).expect("this is the only owner");
    current.head.renew();
    let bytes = request::head(parts).map_err(|_| Unserved::Malformed)?;
    let length = request::body_length(&parts.headers, &body);
    lane.upload.begin(body, length);
    let number = exchange
        .begin_stream(&mut current.head, bytes, length)
        .map_err(|error| Unserved::For(error.into()))?;
    current.begin(number);
    exchange.set_phase(Phase::Handler);
    if exchange.shared().settings.serves_host(&current.head) {
        Ok(())
    } else {
        Err(Unserved::For(EndReason::Misdirected))
    }
}

/// Answers a request that no handler sees.
async fn refuse(
    lane: &Lane,
    parts: &Parts,
    head: Option<&RequestHead>,
    sending: &mut Sending<'_>,
    reason: EndReason,
) -> Ended {
    let exchange = &lane.exchange;
    exchange
        .shared()
        .note_refusal(|| exchange.peer(), reason, head);
    trace::note_refused(exchange.span(), reason, head);
    let request = Refused {
        head,
        extensions: None,
    };
    let response = refusal(exchange, reason, request);
    let is_head = parts.method == Method::HEAD;
    match write_whole(lane, sending, response, is_head).await {
        Ok(()) => Ended::Otherwise,
        Err(_) => Ended::Reset,
    }
}

/// The server's own answer to a request: that of its hook, or else a line of text.
fn refusal(exchange: &Exchange, reason: EndReason, request: Refused<'_>) -> Response {
    let shared = exchange.shared();
    let reject = reason.reject();
    let mut response = match shared.refusal_answer(|| exchange.peer(), reason, request) {
        Some(answer) => Response::from(answer),
        None => Response::text(format!("{reason}\n")),
    };
    response = response.with_status(reject.status);
    if let Some(seconds) = reject.retry_after {
        if response.field("retry-after").is_none() {
            response = response.with_field(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
}

/// Answers a request that its handler has left without a usable answer.
async fn refuse_late(
    lane: &Lane,
    received: &Received,
    sending: &mut Sending<'_>,
    reason: EndReason,
) -> Answered {
    let is_head = *received.head.method() == Method::HEAD;
    let request = Refused {
        head: Some(&received.head),
        extensions: Some(received.extensions()),
    };
    let response = refusal(&lane.exchange, reason, request);
    write_whole(lane, sending, response, is_head).await?;
    Ok((reason.status(), Some(reason)))
}

/// Sends the handler's answer.
async fn answer(
    lane: &Lane,
    received: &Rc<Received>,
    sending: &mut Sending<'_>,
    mut response: Response,
) -> Answered {
    let head = &received.head;
    let exchange = &lane.exchange;
    let status = response.status();
    let reason = exchange.body_failed().map(EndReason::from);
    if status.is_informational() {
        return fail(lane, received, sending).await;
    }
    if *head.method() == Method::CONNECT && status.is_success() {
        return refuse_tunnel(lane, received, sending).await;
    }
    let make = match response.take_body() {
        ResponseBody::Bytes(bytes) => {
            let is_head = *head.method() == Method::HEAD;
            write_whole(lane, sending, response.with_body(bytes), is_head).await?;
            return Ok((status, reason));
        }
        ResponseBody::Producer(make) => make,
        ResponseBody::Events(start) => start.into_producer(),
        ResponseBody::Tunnel(_) => return refuse_tunnel(lane, received, sending).await,
    };
    produce(lane, received, sending, &response, make).await?;
    Ok((status, reason))
}

/// Sends an answer whose body is here.
async fn write_whole(
    lane: &Lane,
    sending: &mut Sending<'_>,
    mut response: Response,
    is_head: bool,
) -> Result<(), Gone> {
    let exchange = &lane.exchange;
    if !exchange.outgoing().is_empty() {
        // Interim answers.
        sending.flush().await?;
    }
    let bytes = response.take_bytes().expect("its body is here");
    let (head, body) = head_of(lane, &response, Some(bytes.len() as u64), is_head);
    if body == BodyLength::None || bytes.is_empty() {
        return sending.send_empty(head);
    }
    exchange.outgoing().set_body_bytes(bytes.len() as u64);
    sending.begin_body(head)?;
    sending.send(bytes, true).await
}

fn head_of(
    lane: &Lane,
    response: &Response,
    body_len: Option<u64>,
    is_head: bool,
) -> (::http::Response<()>, BodyLength) {
    let date_line = lane.exchange.shared().date_line();
    answer::head(response, body_len, is_head, &lane.date, date_line)
}

/// Lets the handler write the body of its answer.
async fn produce(
    lane: &Lane,
    received: &Rc<Received>,
    sending: &mut Sending<'_>,
    response: &Response,
    make: Box<MakeProducer>,
) -> Result<(), Gone> {
    let exchange = &lane.exchange;
    let is_head = *received.head.method() == Method::HEAD;
    let (head, body) = head_of(lane, response, None, is_head);
    let is_kept = Rc::strong_count(received) > 1;
    if is_kept && body != BodyLength::None {
        // The handler may read the rest of the request, which its client may be waiting to send.
        exchange.ask_for_body()?;
    }
    if !exchange.outgoing().is_empty() {
        sending.flush().await?;
    }
    if body == BodyLength::None {
        // The client would see nothing of what it writes.
        return sending.send_empty(head);
    }
    exchange.begin_answer_body(body);
    sending.begin_body(head)?;
    let producer = make(BodyWriter::new(Rc::clone(exchange), received.number));
    let mut producer = received.span.around(producer);
    let driven = sending.drive(producer.as_mut()).await?;
    drop(producer);
    let ended = match driven {
        Driven::Done(Ok(())) => {
            sending.flush().await?;
            exchange
                .outgoing()
                .finish_pieces()
                .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR.into())
        }
        Driven::Done(Err(error)) => Err(error),
        Driven::Panicked => Err(Error::from(StatusCode::INTERNAL_SERVER_ERROR)),
    };
    match ended {
        Ok(trailers) => sending.finish(trailers),
        Err(error) => {
            received.span.note_error(&error);
            cut(lane, sending, &error, is_head).await
        }
    }
}

/// Ends an answer whose body has failed: by the error's status if nothing has left yet.
async fn cut(
    lane: &Lane,
    sending: &mut Sending<'_>,
    error: &Error,
    is_head: bool,
) -> Result<(), Gone> {
    if !sending.take_back() {
        sending.reset(Reason::INTERNAL_ERROR);
        return Err(Gone(EndReason::AnswerCut));
    }
    // The bytes that the handler has written go with the answer that it has begun.
    drop(lane.exchange.outgoing().take());
    write_whole(lane, sending, Response::new(error.status()), is_head).await
}

/// Answers in the handler's place, which has failed.
async fn fail(lane: &Lane, received: &Received, sending: &mut Sending<'_>) -> Answered {
    refuse_late(lane, received, sending, EndReason::HandlerFailed).await
}

/// Answers a handler's tunnel, which this version of HTTP has no way for.
async fn refuse_tunnel(lane: &Lane, received: &Received, sending: &mut Sending<'_>) -> Answered {
    refuse_late(lane, received, sending, EndReason::ConnectUnsupported).await
}

/// Ends a request: what the handler has of it is out of date, and the access log, the span and the
/// counters are told.
fn finish(
    lane: &Lane,
    received: &Received,
    record: Option<Exchanged>,
    span: RequestSpan,
    answered: Answered,
) -> Ended {
    let exchange = &lane.exchange;
    exchange.retire();
    let shared = exchange.shared();
    let (status, reason) = match answered {
        Ok((status, reason)) => (Some(status), reason),
        Err(Gone(reason)) => (None, Some(reason)),
    };
    let bytes = exchange.body_bytes();
    if let (Some(mut record), Some(log)) = (record, &shared.settings.access_log) {
        record.extensions = received.extensions().again();
        let peer = exchange.other_end();
        let client = shared.settings.client_addr(peer, Some(&received.head));
        let facts = Facts {
            peer: peer.addr(),
            client,
            bytes,
            status,
            reason,
        };
        record.tell(log, &received.head, facts);
    }
    match reason {
        // Counted where it was found.
        None | Some(EndReason::WriteTimeout) => {}
        Some(reason) => shared.count_refusal(reason),
    }
    span.finish(|| (status, reason), || bytes);
    if status.is_some() {
        shared.count_answer();
        return Ended::Answered;
    }
    match reason {
        Some(EndReason::ClientGone) => Ended::Reset,
        _ => Ended::Otherwise,
    }
}
