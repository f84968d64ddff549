//! How a connection is served: the loop of an exchange, read from the top.
//!
//! A head is read, the handler answers it, the answer is written, and then it is decided whether
//! another request may come. Answers gather and are sent when no complete request is left in the
//! input, or the handler waits, or there is much of them.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    BodyError, BodyWriter, Error, Handler, RejectReason, Request, Response, Result, StatusCode,
    activity::Phase,
    exchange::{Driven, Exchange, Gone, WhenGone},
    exchanged::{Exchanged, tell_refused},
    h1::{AnswerTo, BodyLength, RequestHead, ResponseEncoder, ResponseFraming},
    received::Received,
    response_body::{MakeProducer, MakeTunnel, ResponseBody},
    transport::Transport,
    upgrade::{Upgraded, WayBack},
};
use crate::time;

/// How long a connection that ends with an answer is read on, so that the client sees the answer
/// and not a reset.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// A client that uploads sees the answer only if we read on: what it has under way alone fills the
/// socket's buffers, which may hold several megabytes.
const LINGER_BYTES_MAX: usize = 64 << 20;

/// The future of an exchange, in a box that it never leaves.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// What follows an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

/// What came instead of a request.
enum NoRequest {
    /// Nothing.
    Idle,
    /// Something else.
    Refused(RejectReason),
}

/// The future of an exchange: serves one connection after the other.
pub(super) async fn serve_all<H: Handler>(exchange: Rc<Exchange>, handler: Rc<H>) {
    let mut received = Received::new(&exchange);
    loop {
        poll_fn(|_| match &*exchange.transport.borrow() {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        })
        .await;
        match serve(&exchange, &*handler, &mut received).await {
            Ok(Next::Request) => {
                let transport = exchange.transport.take();
                if let Some(transport) = transport {
                    exchange.rest(transport);
                    continue;
                }
            }
            Ok(Next::Close) => {
                exchange.phase.set(Phase::Closing);
                let transport = exchange.transport.take();
                if let Some(transport) = transport {
                    close_gently(transport).await;
                }
            }
            Err(Gone(_)) => {}
        }
        exchange.end();
    }
}

/// Serves one connection until it is idle or has to end.
async fn serve<H: Handler>(
    exchange: &Rc<Exchange>,
    handler: &H,
    received: &mut Rc<Received>,
) -> std::result::Result<Next, Gone> {
    // Answers that stand in the output, unless they were sent meanwhile.
    let mut gathered = 0;
    let idle_empty_lines = exchange.empty_line_count();
    if let Some(last) = Rc::get_mut(received) {
        last.head.begin_connection();
    }
    let mut empty_lines = idle_empty_lines;
    loop {
        // A handler that kept its request has the old one, and this exchange makes another.
        if Rc::get_mut(received).is_none() {
            *received = Received::new(exchange);
        }
        let current = Rc::get_mut(received).expect("nobody else has it");
        let storage = &mut current.head;
        storage.renew();
        storage.set_empty_line_count(std::mem::take(&mut empty_lines));
        let read = match look_for_head(exchange, storage) {
            Some(read) => read,
            None => wait_for_head(exchange, storage).await?,
        };
        match read {
            Ok(()) => {}
            Err(NoRequest::Idle) => {
                if storage.empty_line_count() != idle_empty_lines {
                    exchange.set_empty_line_count(storage.empty_line_count());
                }
                if !exchange.post() {
                    exchange.flush().await?;
                    exchange.settle().await?;
                }
                return Ok(Next::Request);
            }
            Err(NoRequest::Refused(reason)) => {
                tell_refused(exchange, reason);
                if reason.closes() {
                    exchange.refuse(reason, AnswerTo::unreadable());
                } else {
                    // It was understood as a message, so it is certain where the next one begins.
                    begin(exchange, storage);
                    let mut answer_to = AnswerTo::request(storage);
                    answer_to.keeps_alive &=
                        !exchange.shared.is_stopping() && exchange.can_skip_body();
                    exchange.refuse(reason, answer_to);
                    if answer_to.keeps_alive && skip_body(exchange).await? {
                        if !gathers_more(exchange, &mut gathered) {
                            exchange.flush().await?;
                        }
                        continue;
                    }
                }
                exchange.flush().await?;
                return Ok(Next::Close);
            }
        }
        let number = begin(exchange, storage);
        current.begin(number);
        let is_logged = exchange.shared.settings.access_log.is_some();
        let mut exchanged = is_logged.then(Exchanged::begin);
        let request = Request::new(Rc::clone(received));
        exchange.phase.set(Phase::Handler);
        // It is written once, where it is: an answer is large.
        let mut driven = None;
        let handled = {
            let mut answer = pin!(handler.handle(request));
            let poll = |context: &mut Context<'_>| {
                Poll::Ready(exchange.poll_inside(answer.as_mut(), context, &mut driven))
            };
            // Most handlers answer at once.
            if poll_fn(poll).await {
                Ok(())
            } else {
                let late = exchange.drive(answer).await;
                late.map(|late| driven = Some(late))
            }
        };
        let answered = match handled {
            Ok(()) => {
                if let (Some(exchanged), Some(Driven::Done(response))) =
                    (&mut exchanged, &mut driven)
                {
                    exchanged.error = response.take_error();
                }
                match answer_at_once(exchange, &received.head, &mut driven) {
                    Some(answered) => {
                        // A copied body may be a buffer of the kernel's, and is not kept while
                        // anything is waited for.
                        drop(driven);
                        Ok(answered)
                    }
                    None => answer(exchange, &received.head, number, driven).await,
                }
            }
            Err(gone) => Err(gone),
        };
        exchange.retire();
        if let Some(exchanged) = exchanged {
            let (status, reason) = match &answered {
                Ok((status, reason, _)) => (Some(*status), *reason),
                Err(Gone(reason)) => (None, Some(*reason)),
            };
            exchanged.tell(exchange, &received.head, status, reason);
        }
        match &answered {
            // Counted where it was found, since an answer may be written behind its exchange.
            Ok((_, None, _)) | Err(Gone(RejectReason::WriteTimeout)) => {}
            Ok((_, Some(reason), _)) | Err(Gone(reason)) => exchange.shared.count_refusal(*reason),
        }
        let (_, _, next) = answered?;
        exchange.shared.count_answer();
        let skips = !exchange.body.borrow().is_end();
        if next == Next::Close || skips && !skip_body(exchange).await? {
            exchange.flush().await?;
            return Ok(Next::Close);
        }
        if !gathers_more(exchange, &mut gathered) {
            exchange.flush().await?;
        }
    }
}

/// Whether one more answer stays in the output, to be sent with others, or by who finds that no
/// request is left.
#[inline]
fn gathers_more(exchange: &Exchange, gathered: &mut usize) -> bool {
    *gathered += 1;
    let pipelined_max = exchange.shared.settings.rules.limits.pipelined_max;
    let is_enough = exchange.outgoing.is_much() || *gathered >= pipelined_max;
    if is_enough && !exchange.input.borrow().is_empty() {
        *gathered = 0;
        return false;
    }
    true
}

/// Takes the head out of the input and begins the body behind it.
fn begin(exchange: &Exchange, head: &RequestHead) -> u64 {
    exchange.input.borrow_mut().consume(head.consumed());
    let settings = &exchange.shared.settings;
    let bytes_max = settings.rules.limits.body_bytes_max;
    exchange
        .body
        .borrow_mut()
        .begin(head.body_length(), bytes_max);
    exchange.when_gone.set(settings.when_gone());
    exchange.outgoing.begin_answer();
    exchange
        .pull
        .begin(head.expects_continue(), &settings.timeouts)
}

/// Reads the head that is here into `storage`; none when it is not complete.
#[inline]
fn look_for_head(
    exchange: &Exchange,
    storage: &mut RequestHead,
) -> Option<std::result::Result<(), NoRequest>> {
    let input = exchange.input.borrow();
    if input.is_empty() {
        return Some(Err(NoRequest::Idle));
    }
    match storage.read(input.bytes(), &exchange.shared.settings.rules) {
        Ok(Some(_)) if exchange.shared.settings.serves(storage) => Some(Ok(())),
        Ok(Some(_)) => Some(Err(NoRequest::Refused(RejectReason::Misdirected))),
        Ok(None) => None,
        Err(reason) => Some(Err(NoRequest::Refused(reason))),
    }
}

/// Waits for the rest of a head that has begun. Of the input only empty lines are consumed: a client
/// that has sent nothing else is idle.
async fn wait_for_head(
    exchange: &Exchange,
    storage: &mut RequestHead,
) -> std::result::Result<std::result::Result<(), NoRequest>, Gone> {
    let mut deadline = None;
    loop {
        if storage.is_at_start() {
            let mut input = exchange.input.borrow_mut();
            input.consume(storage.take_empty_lines());
            if input.is_empty() {
                return Ok(Err(NoRequest::Idle));
            }
        }
        exchange.phase.set(Phase::Head);
        exchange.input.borrow_mut().copy_out();
        exchange.flush().await?;
        if deadline.is_none() {
            deadline = time::now().checked_add(exchange.shared.settings.timeouts.head);
        }
        if !exchange.receive(deadline).await? {
            return Ok(Err(NoRequest::Refused(RejectReason::HeadTimeout)));
        }
        if let Some(read) = look_for_head(exchange, storage) {
            return Ok(read);
        }
    }
}

/// What became of an answer: its status, why it was not the handler's, and what follows it.
type Answered = (StatusCode, Option<RejectReason>, Next);

/// Adds the answer that most handlers give to the output, and takes it: one whose body is here.
#[inline]
fn answer_at_once(
    exchange: &Exchange,
    head: &RequestHead,
    driven: &mut Option<Driven<Response>>,
) -> Option<Answered> {
    let Some(Driven::Done(response)) = driven else {
        return None;
    };
    let mut answer_to = AnswerTo::request(head);
    let status = response.status_code();
    if status.is_informational() || answer_to.is_connect {
        return None;
    }
    let failed = exchange.pull.failed();
    answer_to.keeps_alive &=
        failed.is_none() && !exchange.shared.is_stopping() && exchange.can_skip_body();
    let keeps_alive = write_whole(exchange, response, answer_to)?;
    Some((
        status,
        failed.map(RejectReason::Body),
        next_after(keeps_alive),
    ))
}

/// Writes any other answer, to the output or beyond.
async fn answer(
    exchange: &Rc<Exchange>,
    head: &RequestHead,
    number: u64,
    driven: Option<Driven<Response>>,
) -> std::result::Result<Answered, Gone> {
    let mut answer_to = AnswerTo::request(head);
    if exchange.shared.is_stopping() || exchange.pull.failed().is_some() {
        answer_to.keeps_alive = false;
    }
    let Some(Driven::Done(mut response)) = driven else {
        return Ok(refuse(exchange, RejectReason::HandlerFailed, answer_to));
    };
    let status = response.status_code();
    let reason = exchange.pull.failed().map(RejectReason::Body);
    let body = response.take_body();
    if status.is_informational() || answer_to.is_connect && status.is_success() {
        return match body {
            ResponseBody::Tunnel(make)
                if answer_to.is_connect || status == StatusCode::SWITCHING_PROTOCOLS =>
            {
                // The tunnel begins behind the request, whose body nobody can read any more.
                exchange.retire();
                exchange.ask_for_body()?;
                if !exchange.can_skip_body() || !skip_body(exchange).await? {
                    let error = exchange.pull.failed().unwrap_or(BodyError::TooLarge);
                    return Ok(refuse(exchange, RejectReason::Body(error), answer_to));
                }
                encode(exchange, &response, None, answer_to);
                exchange.flush().await?;
                tunnel(exchange, make).await?;
                Ok((status, None, Next::Close))
            }
            // Neither ends an exchange: what follows would be taken for its answer, or for a
            // tunnel's bytes.
            _ if answer_to.is_connect => Ok(refuse(
                exchange,
                RejectReason::ConnectUnsupported,
                answer_to,
            )),
            _ => Ok(refuse(exchange, RejectReason::HandlerFailed, answer_to)),
        };
    }
    match body {
        ResponseBody::Producer(make) => {
            // The body of the request may still be read by who writes the answer.
            exchange.outgoing.mark_head();
            let framing = encode(exchange, &response, None, answer_to);
            produce(exchange, head, number, make, framing, (status, reason)).await
        }
        ResponseBody::Bytes(_) | ResponseBody::Tunnel(_) => {
            Ok(refuse(exchange, RejectReason::HandlerFailed, answer_to))
        }
    }
}

fn next_after(keeps_alive: bool) -> Next {
    if keeps_alive {
        Next::Request
    } else {
        Next::Close
    }
}

/// Answers by ourselves, and closes.
fn refuse(exchange: &Exchange, reason: RejectReason, answer_to: AnswerTo) -> Answered {
    let answer_to = AnswerTo {
        keeps_alive: false,
        ..answer_to
    };
    exchange.refuse(reason, answer_to);
    (reason.status(), Some(reason), Next::Close)
}

/// Adds a whole answer to the output, if its body is here; returns whether the connection stays open.
fn write_whole(exchange: &Exchange, response: &mut Response, answer_to: AnswerTo) -> Option<bool> {
    let body = response.bytes_here()?;
    let body_len = body.len() as u64;
    if let (Some(content_type), [], true) = (
        response.content_type(),
        response.field_list(),
        body.len() < COPIED_BYTES_MAX,
    ) {
        let output = &mut *exchange.outgoing.bytes.borrow_mut();
        let status = response.status_code();
        let shared = &exchange.shared;
        let framing = shared.encode_plain(output, status, content_type, body, answer_to);
        if framing.body != BodyLength::None {
            exchange.outgoing.body_bytes.set(body_len);
        }
        return Some(framing.keeps_alive);
    }
    let framing = encode(exchange, response, Some(body_len), answer_to);
    if framing.body != BodyLength::None && body_len > 0 {
        let body = response.take_bytes().expect("its length was taken");
        exchange.outgoing.push(body);
    }
    Some(framing.keeps_alive)
}

/// A body up to this size is copied behind its head.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// Adds the head of an answer to the output.
fn encode(
    exchange: &Exchange,
    response: &Response,
    body_len: Option<u64>,
    answer_to: AnswerTo,
) -> ResponseFraming {
    let output = &mut *exchange.outgoing.bytes.borrow_mut();
    let mut encoder = ResponseEncoder::new(output, response.status_code(), answer_to);
    if let Some(content_type) = response.content_type() {
        encoder.content_type(content_type);
    }
    for (name, value) in response.field_list() {
        encoder.field(name, value);
    }
    encoder.finish(body_len, &exchange.shared.date_line())
}

/// Lets the handler write the body of its answer.
async fn produce(
    exchange: &Rc<Exchange>,
    head: &RequestHead,
    number: u64,
    make: Box<MakeProducer>,
    framing: ResponseFraming,
    (status, reason): (StatusCode, Option<RejectReason>),
) -> std::result::Result<Answered, Gone> {
    let ResponseFraming { body, keeps_alive } = framing;
    if body == BodyLength::None {
        // HEAD and 304: nobody would see what it writes.
        let keeps_alive = keeps_alive && exchange.can_skip_body();
        return Ok((status, reason, next_after(keeps_alive)));
    }
    exchange.outgoing.begin(body);
    let has_end = matches!(body, BodyLength::Sized(_));
    if exchange.when_gone.get() == WhenGone::Reset && !has_end {
        // A client that closed its side of a stream without an end has left.
        exchange.when_gone.set(WhenGone::HalfClose);
    }
    let mut producer = make(BodyWriter::new(Rc::clone(exchange), number));
    let driven = exchange.drive(producer.as_mut()).await;
    let ended: Result<()> = match driven {
        Ok(Driven::Done(Ok(()))) => {
            if exchange.outgoing.is_much() {
                exchange.flush().await?;
            }
            exchange
                .outgoing
                .finish(head.accepts_trailers())
                .map_err(|_| Error::from(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Ok(Driven::Done(Err(error))) => Err(error),
        Ok(Driven::Panicked) => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
        Err(gone) => {
            if body == BodyLength::UntilClose {
                cut(exchange);
            }
            return Err(gone);
        }
    };
    drop(producer);
    match ended {
        Ok(()) => Ok((
            status,
            reason,
            next_after(keeps_alive && exchange.can_skip_body()),
        )),
        // Nothing has left yet, so that the client can be told.
        Err(error) if exchange.outgoing.take_back() => {
            let response = Response::new(error.status());
            let mut answer_to = AnswerTo::request(head);
            answer_to.keeps_alive = false;
            encode(exchange, &response, Some(0), answer_to);
            Ok((
                error.status(),
                Some(RejectReason::HandlerFailed),
                Next::Close,
            ))
        }
        Err(_) => {
            // The end must not look like the answer's: chunks lack their last, a length is not
            // reached, and what would be ended by the close is reset.
            if body == BodyLength::UntilClose {
                cut(exchange);
            } else {
                exchange.flush().await?;
            }
            Err(Gone(RejectReason::AnswerCut))
        }
    }
}

fn cut(exchange: &Exchange) {
    let _ = exchange.with_transport(|transport| {
        transport.cut();
        Ok(())
    });
}

/// Hands the connection over, waits until whoever took it is done, and takes it back to be ended,
/// if it was left.
async fn tunnel(exchange: &Rc<Exchange>, make: Box<MakeTunnel>) -> std::result::Result<(), Gone> {
    let Some(transport) = exchange.transport.take() else {
        return Err(Gone(RejectReason::ClientGone));
    };
    exchange.phase.set(Phase::Tunnel);
    let unread = exchange.input.borrow().bytes().to_vec();
    exchange.input.borrow_mut().clear();
    let shared = Rc::clone(&exchange.shared);
    let way_back = WayBack::default();
    let upgraded = Upgraded::new(transport, unread, shared, Rc::clone(&way_back));
    make(upgraded).await;
    exchange.transport.replace(way_back.take());
    Ok(())
}

/// Skips what the handler left of the body; false when the connection has to end for it.
async fn skip_body(exchange: &Exchange) -> std::result::Result<bool, Gone> {
    let mut skipped = 0;
    let mut deadline = None;
    loop {
        if let Some(skipped) = exchange.skip_step(&mut skipped) {
            return Ok(skipped);
        }
        exchange.phase.set(Phase::Body);
        exchange.flush().await?;
        if deadline.is_none() {
            deadline = time::now().checked_add(exchange.shared.settings.timeouts.body);
        }
        if !exchange.receive(deadline).await? {
            return Ok(false);
        }
    }
}

/// Ends the connection so that the client sees what was sent: a close with unread bytes would
/// reset it (RFC 9112, section 9.6).
pub(super) async fn close_gently(transport: Transport) {
    let linger = async {
        if transport.shutdown().await.is_err() {
            return;
        }
        let mut skipped = 0;
        while skipped < LINGER_BYTES_MAX {
            match poll_fn(|context| transport.poll_recv(context)).await {
                Ok(bytes) if !bytes.is_empty() => skipped += bytes.len(),
                _ => return,
            }
        }
    };
    // A client that keeps its side open has had the time to read.
    let _ = time::timeout(LINGER_TIMEOUT, linger).await;
}
