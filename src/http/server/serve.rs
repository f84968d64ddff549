//! The loop of a connection: a head, the handler's answer, the next head.

mod answer;

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

#[cfg(feature = "http2")]
use super::h2;
#[cfg(not(feature = "http2"))]
use super::no_h2 as h2;
use super::{
    access_log::record::{Exchanged, Facts},
    end_reason::EndReason,
    exchange::{Driven, Exchange, Gone},
    message::{handler::Handler, received::Received, request::Request, response::Response},
    phase::Phase,
    refusals::Refused,
    settings::WhenGone,
    trace::{self, RequestSpan},
};
use crate::{
    http::{
        StatusCode,
        error::Error,
        h1::{AnswerTo, RequestHead},
        transport::closing::close_gently,
    },
    time,
};
use answer::{Answered, Next, answer, answer_at_once};

/// The future of an exchange, in a box that it never leaves.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// The input that came instead of a request.
enum NoRequest {
    /// Nothing.
    Idle,
    /// Something else.
    Refused(EndReason),
}

/// The client has left HTTP/1.1.
const LEFT: Gone = Gone(EndReason::ClientGone);

/// The answers that stand in the output, to be sent together.
#[derive(Default)]
struct Gathered {
    count: usize,
}

/// The future of an exchange: serves one connection after the other.
pub(super) async fn serve_all<H: Handler>(exchange: Rc<Exchange>, handler: Rc<H>) {
    let mut received = Received::new(&exchange);
    loop {
        exchange.given().await;
        match serve(&exchange, &*handler, &mut received).await {
            Ok(Next::Request) => {
                if let Some(transport) = exchange.take_transport() {
                    exchange.rest(transport);
                    continue;
                }
            }
            Ok(Next::Close) => {
                let to_come = exchange.bytes_to_come();
                exchange.set_phase(Phase::Closing);
                if let Some(transport) = exchange.take_transport() {
                    close_gently(transport, to_come).await;
                }
            }
            Err(Gone(_)) => h2::begin(&exchange, &handler),
        }
        exchange.end();
    }
}

/// Serves one connection until it is idle or has to end.
async fn serve<H: Handler>(
    exchange: &Rc<Exchange>,
    handler: &H,
    received: &mut Rc<Received>,
) -> Result<Next, Gone> {
    let mut gathered = Gathered::default();
    if let Some(last) = Rc::get_mut(received) {
        last.head.begin_connection();
    }
    let idle_empty_lines = exchange.empty_line_count();
    let mut empty_lines = idle_empty_lines;
    let came_last = loop {
        let storage = renew(exchange, received, std::mem::take(&mut empty_lines));
        let read = match look_for_head(exchange, storage) {
            Some(read) => read,
            None => wait_for_head(exchange, storage).await?,
        };
        let next = match read {
            Err(NoRequest::Idle) => break storage.empty_line_count(),
            Err(NoRequest::Refused(reason)) if h2::is_wanted(exchange, reason) => return Err(LEFT),
            Err(NoRequest::Refused(reason)) => refuse(exchange, storage, reason),
            Ok(()) => {
                let span = Received::begin_span(exchange, received);
                let (request, mut record) = begin(exchange, received);
                // The answer is written once, where it is, since it is large. An async function
                // around this would cost a request 55 instructions.
                let mut driven = None;
                let ended = {
                    let mut answer = pin!(span.around(handler.handle(request)));
                    let poll = |context: &mut Context<'_>| {
                        Poll::Ready(exchange.poll_inside(answer.as_mut(), context, &mut driven))
                    };
                    // Most handlers answer at once.
                    if poll_fn(poll).await {
                        Ok(())
                    } else {
                        drive(exchange, answer, &mut driven, &mut gathered).await
                    }
                };
                note_error(&span, &mut record, &mut driven);
                let answered = match answer_at_once(exchange, &received.head, &mut driven) {
                    Some(answered) => Ok(answered),
                    None => write_late(exchange, received, ended, &mut driven, &mut gathered).await,
                };
                finish(exchange, received, record, &answered);
                end_span(exchange, span, &answered);
                forget(exchange, received);
                end(driven);
                answered?.2
            }
        };
        if next == Next::Close || !exchange.is_body_over() && !exchange.skip_promised().await? {
            exchange.flush().await?;
            return Ok(Next::Close);
        }
        // To look for a head as well would cost a request 60 instructions.
        if exchange.has_no_input() {
            break 0;
        }
        if gathered.is_enough(exchange) {
            exchange.flush().await?;
        }
    };
    if !rest(exchange, came_last, idle_empty_lines) {
        settle(exchange).await?;
    }
    Ok(Next::Request)
}

/// The place of the next request. A handler that has kept its request has the old one, and the
/// exchange makes another. `empty_lines` have come before it.
#[inline]
fn renew<'a>(
    exchange: &Rc<Exchange>,
    received: &'a mut Rc<Received>,
    empty_lines: usize,
) -> &'a mut RequestHead {
    if Rc::get_mut(received).is_none() {
        *received = Received::new(exchange);
    }
    let head = &mut Rc::get_mut(received).expect("this is the only owner").head;
    head.renew();
    head.set_empty_line_count(empty_lines);
    head
}

/// Leaves a connection on which no further request has come, but `empty_lines`. False if what was
/// gathered for it has to be waited for first.
#[inline]
fn rest(exchange: &Exchange, empty_lines: usize, idle_empty_lines: usize) -> bool {
    if empty_lines != idle_empty_lines {
        exchange.set_empty_line_count(empty_lines);
    }
    exchange.post()
}

/// Sends what was gathered, and waits until the kernel has taken it.
async fn settle(exchange: &Exchange) -> Result<(), Gone> {
    exchange.flush().await?;
    exchange.settle().await
}

/// Answers a request that no handler sees.
fn refuse(exchange: &Exchange, head: &RequestHead, reason: EndReason) -> Next {
    // It was read if the connection may stay.
    let known = (!reason.closes()).then_some(head);
    let shared = exchange.shared();
    shared.note_refusal(|| exchange.peer(), reason, known);
    trace::note_refused(exchange.span(), reason, known);
    let refused = Refused {
        head: known,
        extensions: None,
    };
    if reason.closes() {
        exchange.refuse(reason, AnswerTo::unreadable(), refused);
        return Next::Close;
    }
    // It was understood as a message, so it is certain where the next one begins.
    exchange.begin(head);
    let mut answer_to = AnswerTo::request(head);
    answer_to.keeps_alive &= !shared.is_stopping() && exchange.can_skip_body();
    exchange.refuse(reason, answer_to, refused);
    answer::next_after(answer_to.keeps_alive)
}

/// Begins the request whose head was read, and the record of it for the access log.
#[inline]
fn begin(exchange: &Exchange, received: &mut Rc<Received>) -> (Request, Option<Exchanged>) {
    let current = Rc::get_mut(received).expect("no request of it was made yet");
    current.begin(exchange.begin(&current.head));
    let is_logged = exchange.shared().settings.access_log.is_some();
    exchange.set_phase(Phase::Handler);
    let request = Request::new(Rc::clone(received));
    (request, is_logged.then(Exchanged::begin))
}

/// Polls a handler that has to wait to its end.
async fn drive<F: Future<Output = Response>>(
    exchange: &Exchange,
    handler: Pin<&mut F>,
    driven: &mut Option<Driven<Response>>,
    gathered: &mut Gathered,
) -> Result<(), Gone> {
    let late = exchange.drive(handler).await;
    gathered.note_wait(exchange);
    *driven = Some(late?);
    Ok(())
}

/// Drops an answer that was written, if it was not written late.
#[inline(always)]
fn end(driven: Option<Driven<Response>>) {
    if let Some(Driven::Done(response)) = driven {
        response.end();
    }
}

/// Writes an answer that is not whole.
async fn write_late(
    exchange: &Rc<Exchange>,
    received: &Rc<Received>,
    ended: Result<(), Gone>,
    driven: &mut Option<Driven<Response>>,
    gathered: &mut Gathered,
) -> Result<Answered, Gone> {
    ended?;
    let answered = answer(exchange, received, driven.take()).await;
    gathered.note_wait(exchange);
    answered
}

/// The error that a handler has returned.
fn error_of(driven: &Option<Driven<Response>>) -> Option<&Error> {
    match driven {
        Some(Driven::Done(response)) => response.error(),
        _ => None,
    }
}

/// Tells the span of the error of a failed handler, and moves it to the record of the access log.
#[inline]
fn note_error(
    span: &RequestSpan,
    record: &mut Option<Exchanged>,
    driven: &mut Option<Driven<Response>>,
) {
    span.note_error(|| error_of(driven));
    if let (Some(record), Some(Driven::Done(response))) = (record, driven) {
        record.error = response.take_error();
    }
}

/// The status of the answer, and the reason where it was not the handler's.
#[inline]
fn outcome(answered: &Result<Answered, Gone>) -> (Option<StatusCode>, Option<EndReason>) {
    match answered {
        Ok((status, reason, _)) => (Some(*status), *reason),
        Err(Gone(reason)) => (None, Some(*reason)),
    }
}

/// Ends a request: what the handler has of it is out of date, and the access log and the counters
/// are told.
#[inline]
fn finish(
    exchange: &Exchange,
    received: &Received,
    record: Option<Exchanged>,
    answered: &Result<Answered, Gone>,
) {
    exchange.retire();
    if let Some(record) = record {
        tell_log(exchange, received, record, answered);
    }
    let shared = exchange.shared();
    match answered {
        // Counted where it was found, since an answer may be written after its exchange.
        Ok((_, None, _)) | Err(Gone(EndReason::WriteTimeout)) => {}
        Ok((_, Some(reason), _)) | Err(Gone(reason)) => shared.count_refusal(*reason),
    }
    if answered.is_ok() {
        shared.count_answer();
    }
}

/// Tells the access log of a request that has ended. One that has become a tunnel has not.
#[cold]
fn tell_log(
    exchange: &Exchange,
    received: &Received,
    mut record: Exchanged,
    answered: &Result<Answered, Gone>,
) {
    let bytes = exchange.body_bytes();
    record.extensions = received.extensions().again();
    if let Some(mut tunnel) = exchange.tunnel() {
        return tunnel.keep_log(record, &received.head, exchange.other_end(), bytes);
    }
    let Some(log) = &exchange.shared().settings.access_log else {
        return;
    };
    let (status, reason) = outcome(answered);
    let peer = exchange.other_end();
    let client = exchange
        .shared()
        .settings
        .client_addr(peer, Some(&received.head));
    let facts = Facts {
        peer: peer.addr(),
        client,
        bytes,
        status,
        reason,
    };
    record.tell(log, &received.head, facts);
}

/// Drops the parameters and the values that the request got on its way, if it got any: an idle
/// connection holds none of them. A task that has kept the request keeps them.
// Once a request, where `begin` would look for them otherwise.
#[inline]
fn forget(exchange: &Rc<Exchange>, received: &mut Rc<Received>) {
    if received.has_more.get() {
        forget_more(exchange, received);
    }
}

#[inline(never)]
fn forget_more(exchange: &Rc<Exchange>, received: &mut Rc<Received>) {
    match Rc::get_mut(received) {
        Some(current) => current.forget(),
        None => *received = Received::new(exchange),
    }
}

/// Ends the span of a request, unless that has become a tunnel, which has the span then.
#[inline(always)]
fn end_span(exchange: &Exchange, span: RequestSpan, answered: &Result<Answered, Gone>) {
    if span.is_open() {
        if let Some(mut tunnel) = exchange.tunnel() {
            return tunnel.keep_span(span, exchange.body_bytes());
        }
    }
    span.finish(|| outcome(answered), || exchange.body_bytes());
}

impl Gathered {
    /// Asks for the answer to be sent at once when no task has watched over the client while its
    /// handler waited: a connection that has ended meanwhile shows then, and the next request is
    /// not begun.
    #[cold]
    fn note_wait(&mut self, exchange: &Exchange) {
        if exchange.when_gone() == WhenGone::GoOn {
            self.count = exchange.shared().settings.rules.limits.pipelined_max;
        }
    }

    /// Counts one more answer, behind which there is more input. True when those that stand in the
    /// output are to be sent.
    #[inline]
    fn is_enough(&mut self, exchange: &Exchange) -> bool {
        self.count += 1;
        let pipelined_max = exchange.shared().settings.rules.limits.pipelined_max;
        let is_enough = exchange.outgoing().is_much() || self.count >= pipelined_max;
        if is_enough {
            self.count = 0;
        }
        is_enough
    }
}

/// Reads the head that is here into `storage`; none when it is not complete.
#[inline]
fn look_for_head(exchange: &Exchange, storage: &mut RequestHead) -> Option<Result<(), NoRequest>> {
    exchange.with_input(|bytes| {
        if bytes.is_empty() {
            return Some(Err(NoRequest::Idle));
        }
        let settings = &exchange.shared().settings;
        match storage.read(bytes, &settings.rules) {
            Ok(Some(_)) if settings.serves(storage) => Some(Ok(())),
            Ok(Some(_)) => Some(Err(NoRequest::Refused(settings.refusal()))),
            Ok(None) => None,
            Err(error) => Some(Err(NoRequest::Refused(error.into()))),
        }
    })
}

/// Waits for the rest of a head that has begun. Of the input only empty lines are consumed: a
/// client that has sent nothing else is idle.
async fn wait_for_head(
    exchange: &Exchange,
    storage: &mut RequestHead,
) -> Result<Result<(), NoRequest>, Gone> {
    let mut deadline = None;
    loop {
        if storage.is_at_start() {
            exchange.consume(storage.take_empty_lines());
            if exchange.has_no_input() {
                return Ok(Err(NoRequest::Idle));
            }
        }
        exchange.set_phase(Phase::Head);
        exchange.copy_out_input();
        exchange.flush().await?;
        if deadline.is_none() {
            deadline = time::now().checked_add(exchange.shared().settings.timeouts.head);
        }
        if !exchange.receive(deadline).await? {
            return Ok(Err(NoRequest::Refused(EndReason::HeadTimeout)));
        }
        if let Some(read) = look_for_head(exchange, storage) {
            return Ok(read);
        }
    }
}
