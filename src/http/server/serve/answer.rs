//! Writes an answer: at once, in pieces, or as the beginning of a tunnel.

use std::rc::Rc;

use crate::http::{
    HeaderValue, StatusCode,
    error::{Error, Result},
    h1::{AnswerTo, BodyError, BodyLength, RequestHead, ResponseEncoder, ResponseFraming},
    header,
    server::{
        end_reason::EndReason,
        exchange::{Driven, Exchange, Gone},
        message::{
            body_writer::BodyWriter,
            event_stream::EventStart,
            received::Received,
            response::Response,
            response_body::{MakeProducer, ResponseBody},
        },
        refusals::Refused,
        settings::WhenGone,
    },
};

/// The step after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Request,
    Close,
}

/// The outcome of an answer: its status, the reason if it was not the handler's, and the next step.
pub(crate) type Answered = (StatusCode, Option<EndReason>, Next);

/// Adds the answer that most handlers give to the output, and takes it: one whose body is here.
#[inline]
pub(crate) fn answer_at_once(
    exchange: &Exchange,
    head: &RequestHead,
    driven: &mut Option<Driven<Response>>,
) -> Option<Answered> {
    let Some(Driven::Done(response)) = driven else {
        return None;
    };
    let answer_to = AnswerTo::request(head);
    if response.status().is_informational() || answer_to.is_connect {
        return refuse_connect(exchange, head, response);
    }
    answer_here(exchange, response, answer_to)
}

/// Answers CONNECT by a status that begins no tunnel.
// Apart from the usual answer, which knows then that there is no CONNECT: 20 instructions of a
// pipelined request.
#[cold]
fn refuse_connect(
    exchange: &Exchange,
    head: &RequestHead,
    response: &mut Response,
) -> Option<Answered> {
    let status = response.status();
    if status.is_informational() || status.is_success() {
        return None;
    }
    answer_here(exchange, response, AnswerTo::request(head))
}

#[inline(always)]
fn answer_here(
    exchange: &Exchange,
    response: &mut Response,
    mut answer_to: AnswerTo,
) -> Option<Answered> {
    let status = response.status();
    let has_failed = exchange.body_failed().is_some();
    answer_to.keeps_alive &=
        !has_failed && !exchange.shared().is_stopping() && ends_body(exchange, response);
    let keeps_alive = write_whole(exchange, response, answer_to)?;
    let reason = if has_failed {
        reason_of(exchange)
    } else {
        None
    };
    Some((status, reason, next_after(keeps_alive)))
}

/// The reason that the failure of the request's body is for the end of its connection.
#[cold]
fn reason_of(exchange: &Exchange) -> Option<EndReason> {
    exchange.body_failed().map(EndReason::from)
}

/// Whether the request's body can end after an answer whose body is here. One that is written in
/// pieces may be written from the request's body, which is left alone.
#[inline]
fn ends_body(exchange: &Exchange, response: &Response) -> bool {
    exchange.is_body_over() || response.bytes_here().is_some() && exchange.can_skip_body()
}

/// Writes any other answer, to the output or beyond.
pub(crate) async fn answer(
    exchange: &Rc<Exchange>,
    received: &Rc<Received>,
    driven: Option<Driven<Response>>,
) -> std::result::Result<Answered, Gone> {
    let mut answer_to = AnswerTo::request(&received.head);
    if exchange.shared().is_stopping() || exchange.body_failed().is_some() {
        answer_to.keeps_alive = false;
    }
    let Some(Driven::Done(mut response)) = driven else {
        return Ok(refuse(
            exchange,
            received,
            EndReason::HandlerFailed,
            answer_to,
        ));
    };
    let status = response.status();
    if status.is_informational() || answer_to.is_connect && status.is_success() {
        return leave_http(exchange, received, response, answer_to).await;
    }
    match response.take_body() {
        ResponseBody::Producer(make) => {
            // The handler's code may still have the request or its body, and read from it: the
            // producer, for example, unless that never runs.
            let is_kept = Rc::strong_count(received) > 1;
            let has_body = !answer_to.is_head
                && !matches!(
                    status,
                    StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
                );
            answer_to.keeps_alive &= if is_kept && has_body {
                exchange.may_end_body()
            } else {
                exchange.can_skip_body()
            };
            exchange.outgoing().mark_head();
            let framing = encode(exchange, &response, None, answer_to);
            let outcome = (status, reason_of(exchange));
            produce(exchange, received, make, framing, outcome).await
        }
        ResponseBody::Events(start) => {
            begin_events(exchange, received, response, start, answer_to).await
        }
        ResponseBody::Bytes(_) | ResponseBody::Tunnel(_) => Ok(refuse(
            exchange,
            received,
            EndReason::HandlerFailed,
            answer_to,
        )),
    }
}

/// Writes the head that a tunnel begins after, and hands the connection over.
async fn leave_http(
    exchange: &Exchange,
    received: &Received,
    mut response: Response,
    answer_to: AnswerTo,
) -> std::result::Result<Answered, Gone> {
    let status = response.status();
    let is_upgrade = status == StatusCode::SWITCHING_PROTOCOLS;
    match response.take_body() {
        ResponseBody::Tunnel(_) if is_upgrade && !is_offered(&received.head, &response) => {
            Ok(refuse_upgrade(exchange, received, response, answer_to))
        }
        ResponseBody::Tunnel(make) if is_upgrade || status.is_success() => {
            // The tunnel begins after the request, whose body cannot be read any more.
            exchange.retire();
            exchange.ask_for_body()?;
            if exchange.body_failed().is_some() || !exchange.skip_body().await? {
                let failure = exchange.body_failed();
                let failure = failure.unwrap_or(BodyError::TooLarge.into());
                return Ok(refuse(exchange, received, failure.into(), answer_to));
            }
            encode(exchange, &response, None, answer_to);
            exchange.flush().await?;
            let make = received.span.around_tunnel(make);
            exchange.begin_tunnel(status, make)?;
            Ok((status, None, Next::Close))
        }
        // Neither ends an exchange: what follows would be taken for its answer, or for a tunnel's
        // bytes.
        _ if answer_to.is_connect => Ok(refuse(
            exchange,
            received,
            EndReason::ConnectUnsupported,
            answer_to,
        )),
        _ => Ok(refuse(
            exchange,
            received,
            EndReason::HandlerFailed,
            answer_to,
        )),
    }
}

/// Writes the head of server-sent events, and lets the connection go on as those.
async fn begin_events(
    exchange: &Exchange,
    received: &Received,
    response: Response,
    start: Box<EventStart>,
    mut answer_to: AnswerTo,
) -> std::result::Result<Answered, Gone> {
    let status = response.status();
    if !answer_to.is_head {
        // The body ends with the connection, in chunks as well.
        answer_to.keeps_alive = false;
    }
    exchange.retire();
    exchange.ask_for_body()?;
    if exchange.body_failed().is_some() || !exchange.skip_body().await? {
        let failure = exchange.body_failed();
        let failure = failure.unwrap_or(BodyError::TooLarge.into());
        return Ok(refuse(exchange, received, failure.into(), answer_to));
    }
    let framing = encode(exchange, &response, None, answer_to);
    let is_chunked = match framing.body {
        BodyLength::None => return Ok((status, None, next_after(framing.keeps_alive))),
        BodyLength::Chunked => true,
        // A length that the handler promises is not kept.
        BodyLength::UntilClose | BodyLength::Sized(_) => false,
    };
    exchange.flush().await?;
    let write_timeout = exchange.shared().settings.timeouts.write;
    let make = start.into_tunnel(is_chunked, write_timeout);
    let make = received.span.around_tunnel(make);
    exchange.begin_tunnel(status, make)?;
    Ok((status, None, Next::Close))
}

pub(super) fn next_after(keeps_alive: bool) -> Next {
    if keeps_alive {
        Next::Request
    } else {
        Next::Close
    }
}

/// Answers by ourselves, and closes.
fn refuse(
    exchange: &Exchange,
    received: &Received,
    reason: EndReason,
    answer_to: AnswerTo,
) -> Answered {
    let answer_to = AnswerTo {
        keeps_alive: false,
        ..answer_to
    };
    exchange.refuse(reason, answer_to, refused(received));
    (reason.status(), Some(reason), Next::Close)
}

/// The parts of a request that the hook for refusals may know.
fn refused(received: &Received) -> Refused<'_> {
    Refused {
        head: Some(&received.head),
        extensions: Some(received.extensions()),
    }
}

/// Whether the client offers the protocols that `response` changes to.
fn is_offered(head: &RequestHead, response: &Response) -> bool {
    let mut protocols = protocols(response).peekable();
    protocols.peek().is_some() && protocols.all(|protocol| head.offers(protocol.as_bytes()))
}

fn protocols(response: &Response) -> impl Iterator<Item = &HeaderValue> {
    let fields = response.field_list().iter();
    fields
        .filter(|(name, _)| *name == header::UPGRADE)
        .map(|(_, value)| value)
}

/// Answers 426 where the handler would change to a protocol that the client did not offer (RFC
/// 9110, section 7.8), and names that protocol. Without one the handler is at fault.
fn refuse_upgrade(
    exchange: &Exchange,
    received: &Received,
    response: Response,
    mut answer_to: AnswerTo,
) -> Answered {
    let reason = EndReason::UpgradeRequired;
    let peer = || exchange.peer();
    let shared = exchange.shared();
    let hooked = shared.refusal_answer(peer, reason, refused(received));
    let refusal = hooked.map_or_else(|| Response::text(format!("{reason}\n")), Response::from);
    let mut refusal = refusal.with_status(reason.status());
    for protocol in protocols(&response) {
        refusal = refusal.with_field(header::UPGRADE, protocol.clone());
    }
    if protocols(&response).next().is_none() {
        return refuse(exchange, received, EndReason::HandlerFailed, answer_to);
    }
    // The future that would have used the connection is the user's, and dropped before anything is
    // borrowed.
    drop(response);
    answer_to.keeps_alive &= exchange.can_skip_body();
    let keeps_alive = write_whole(exchange, &mut refusal, answer_to);
    let next = next_after(keeps_alive == Some(true));
    (reason.status(), Some(reason), next)
}

/// Adds a whole answer to the output, if its body is here; returns whether the connection stays
/// open.
// Always, because a refusal calls it as well: out of line, a pipelined request costs 8 instructions
// more.
#[inline(always)]
fn write_whole(exchange: &Exchange, response: &mut Response, answer_to: AnswerTo) -> Option<bool> {
    let body = response.bytes_here()?;
    let body_len = body.len() as u64;
    if let (Some(content_type), [], true) = (
        response.content_type(),
        response.field_list(),
        body.len() < COPIED_BYTES_MAX,
    ) {
        let (status, shared) = (response.status(), exchange.shared());
        let framing = exchange.outgoing().with_bytes(|output| {
            shared.encode_plain(output, status, content_type, body, answer_to)
        });
        if framing.body != BodyLength::None {
            exchange.outgoing().set_body_bytes(body_len);
        }
        return Some(framing.keeps_alive);
    }
    let framing = encode(exchange, response, Some(body_len), answer_to);
    if framing.body != BodyLength::None && body_len > 0 {
        let body = response.take_bytes().expect("its length was taken");
        exchange.outgoing().push(body);
    }
    Some(framing.keeps_alive)
}

/// A body up to this size is copied after its head.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// Adds the head of an answer to the output.
fn encode(
    exchange: &Exchange,
    response: &Response,
    body_len: Option<u64>,
    answer_to: AnswerTo,
) -> ResponseFraming {
    exchange.outgoing().with_bytes(|output| {
        let mut encoder = ResponseEncoder::new(output, response.status(), answer_to);
        if let Some(content_type) = response.content_type() {
            encoder.content_type(content_type);
        }
        for (name, value) in response.field_list() {
            encoder.field(name, value);
        }
        encoder.finish(body_len, &exchange.shared().date_line())
    })
}

/// Answers by the error of the function that should have written the body.
fn answer_error(exchange: &Exchange, received: &Received, error: Error) -> Answered {
    let status = error.status();
    let mut answer_to = AnswerTo::request(&received.head);
    answer_to.keeps_alive = false;
    write_whole(exchange, &mut Response::failed(error), answer_to);
    (status, Some(EndReason::HandlerFailed), Next::Close)
}

/// Lets the handler write the body of its answer.
async fn produce(
    exchange: &Rc<Exchange>,
    received: &Rc<Received>,
    make: Box<MakeProducer>,
    framing: ResponseFraming,
    (status, reason): (StatusCode, Option<EndReason>),
) -> std::result::Result<Answered, Gone> {
    let ResponseFraming { body, keeps_alive } = framing;
    if body == BodyLength::None {
        // HEAD, 204, 205 and 304: the client would see nothing of what it writes.
        return Ok((status, reason, next_after(keeps_alive)));
    }
    exchange.outgoing().begin(body);
    let has_end = matches!(body, BodyLength::Sized(_));
    if exchange.when_gone() == WhenGone::Reset && !has_end {
        // A client that closed its side of a stream without an end has left.
        exchange.set_when_gone(WhenGone::EndlessHalfClose);
    }
    let producer = make(BodyWriter::new(Rc::clone(exchange), received.number));
    let mut producer = received.span.around(producer);
    let driven = exchange.drive(producer.as_mut()).await;
    let has_hook = exchange.shared().settings.refusals.is_some();
    let ended: Result<()> = match driven {
        Ok(Driven::Done(Ok(()))) => {
            if exchange.outgoing().is_much() {
                exchange.flush().await?;
            }
            exchange
                .outgoing()
                .finish(received.head.accepts_trailers())
                .map_err(|_| Error::from(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Ok(Driven::Done(Err(error))) => Err(error),
        Ok(Driven::Panicked) if has_hook && exchange.outgoing().take_back() => {
            let (reason, head) = (EndReason::HandlerFailed, &received.head);
            return Ok(refuse(exchange, received, reason, AnswerTo::request(head)));
        }
        Ok(Driven::Panicked) => Err(StatusCode::INTERNAL_SERVER_ERROR.into()),
        Err(gone) => {
            if body == BodyLength::UntilClose {
                exchange.cut();
            }
            return Err(gone);
        }
    };
    drop(producer);
    if let Err(error) = &ended {
        received.span.note_error(error);
    }
    match ended {
        Ok(()) => Ok((status, reason, next_after(keeps_alive))),
        // Nothing has left yet, so that the client can be told.
        Err(error) if exchange.outgoing().take_back() => {
            Ok(answer_error(exchange, received, error))
        }
        Err(_) => {
            // The end must not look like the answer's: chunks lack their last, a length is not
            // reached, and what would be ended by the close is reset.
            if body == BodyLength::UntilClose {
                exchange.cut();
            } else {
                exchange.flush().await?;
            }
            Err(Gone(EndReason::AnswerCut))
        }
    }
}
