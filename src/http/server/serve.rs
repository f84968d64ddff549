//! How a connection is served: the loop of an exchange, read from the top.
//!
//! A head is read, the handler answers it, the answer is written, and then it is decided whether
//! another request may come. Answers gather and are sent when no complete request is left in the
//! input, or the handler waits, or there is much of them.

mod answer;
pub(super) mod closing;
mod record;

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use super::{
    exchange::{Driven, Exchange, Gone},
    message::{handler::Handler, received::Received, request::Request},
    phase::Phase,
    settings::WhenGone,
};
use crate::{
    budget,
    http::h1::{AnswerTo, RejectReason, RequestHead},
    time,
};
use answer::{Next, answer, answer_at_once};
use closing::close_gently;
use record::{Exchanged, tell_refused};

/// The future of an exchange, in a box that it never leaves.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()>>>;

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
                let to_come = to_come(&exchange);
                exchange.phase.set(Phase::Closing);
                let transport = exchange.transport.take();
                if let Some(transport) = transport {
                    close_gently(transport, to_come).await;
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
                tell_refused(exchange, reason, storage);
                if reason.closes() {
                    exchange.refuse(reason, AnswerTo::unreadable());
                } else {
                    // It was understood as a message, so it is certain where the next one begins.
                    begin(exchange, storage);
                    let mut answer_to = AnswerTo::request(storage);
                    answer_to.keeps_alive &=
                        !exchange.shared.is_stopping() && exchange.can_skip_body();
                    exchange.refuse(reason, answer_to);
                    if answer_to.keeps_alive && exchange.skip_promised().await? {
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
                note_wait(exchange, &mut gathered);
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
                    None => {
                        let answered = answer(exchange, received, driven).await;
                        note_wait(exchange, &mut gathered);
                        answered
                    }
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
        if next == Next::Close || skips && !exchange.skip_promised().await? {
            exchange.flush().await?;
            return Ok(Next::Close);
        }
        if !gathers_more(exchange, &mut gathered) {
            exchange.flush().await?;
        }
    }
}

/// Has the answer sent at once when nobody has watched over the client while its handler waited: a
/// connection that has ended meanwhile shows then, and the request behind is not begun.
#[cold]
fn note_wait(exchange: &Exchange, gathered: &mut usize) {
    if exchange.when_gone.get() == WhenGone::GoOn {
        *gathered = exchange.shared.settings.rules.limits.pipelined_max;
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
    budget::spend();
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

/// How many bytes the client has yet to send, as far as that is known.
fn to_come(exchange: &Exchange) -> Option<u64> {
    if exchange.phase.get() == Phase::Tunnel {
        return None;
    }
    let left = exchange.body.borrow().left()?;
    // There is more than the body: another request, or what could not be read.
    left.checked_sub(exchange.input.borrow().bytes().len() as u64)
}
