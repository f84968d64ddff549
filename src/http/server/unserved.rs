//! Answers to clients that are not served: 503 when the server is full, 400 to plain HTTP where TLS
//! is spoken, and a GOAWAY to those that have agreed on HTTP/2.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    time::Duration,
};

use crate::{
    http::{
        h1::{AnswerTo, RequestError},
        server::{
            end_reason::EndReason,
            refusals::{self, Refused},
            trace,
            worker_shared::Shared,
        },
        transport::{Broken, Transport, closing::close_gently},
    },
    time,
};

/// The time that a client has to take the refusal and to close.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Types of frames, and error codes, of HTTP/2 (RFC 9113, sections 6 and 7).
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;

/// Answers 503 on a connection that nothing was read from, and closes it.
pub(crate) fn refuse(
    transport: Transport,
    shared: &Shared,
) -> impl Future<Output = ()> + use<> + 'static {
    trace::note_overloaded(|| transport.peer_addr());
    answer(transport, EndReason::Overloaded, shared)
}

/// Ends a connection whose client cannot go on, so that it sees why; none when there is nothing to
/// wait for.
pub(crate) fn end_broken(
    transport: Transport,
    shared: &Shared,
) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
    match transport.broken()? {
        Broken::Plain => Some(Box::pin(answer(transport, EndReason::PlainHttp, shared))),
        Broken::Preface => {
            let reason = RequestError::Http2Expected.into();
            shared.note_refusal(|| transport.peer_addr(), reason, None);
            Some(Box::pin(tell(transport, Vec::new(), PROTOCOL_ERROR)))
        }
        Broken::ProxyHeader => {
            // It is of a protocol that is not known, so it gets no answer.
            shared.note_refusal(|| transport.peer_addr(), EndReason::ProxyHeader, None);
            None
        }
        Broken::Told => {
            if transport.is_handshaking() {
                let reason = EndReason::HandshakeFailed;
                shared.note_refusal(|| transport.peer_addr(), reason, None);
            }
            Some(Box::pin(close_gently(transport, None)))
        }
    }
}

/// Answers with `reason` on a connection that no request was read from, and closes it.
fn answer(
    transport: Transport,
    reason: EndReason,
    shared: &Shared,
) -> impl Future<Output = ()> + use<> + 'static {
    shared.note_refusal(|| transport.peer_addr(), reason, None);
    let written = shared.refusal_answer(|| transport.peer_addr(), reason, Refused::default());
    let mut answer = Vec::new();
    refusals::encode(
        &mut answer,
        reason,
        written.as_ref(),
        AnswerTo::unreadable(),
        &shared.date_line(),
    );
    tell(transport, answer, NO_ERROR)
}

/// Sends `answer`, or a GOAWAY with `code` to a client that has agreed on HTTP/2, and closes.
async fn tell(transport: Transport, answer: Vec<u8>, code: u32) {
    let write = async {
        if transport.is_handshaking() {
            // It tells which of the two.
            poll_fn(|context| transport.poll_flush(context)).await?;
        }
        let words = if transport.has_agreed_on_http2() {
            goaway(code)
        } else {
            answer
        };
        transport.write_all(words).await?;
        io::Result::Ok(())
    };
    if let Ok(Ok(())) = time::timeout(REFUSAL_TIMEOUT, write).await {
        // Its request is on the way, and its length is unknown.
        close_gently(transport, None).await;
    } else {
        transport.cut();
    }
}

/// The settings with which a server begins, and a GOAWAY that says that no stream was looked at, so
/// that a client may send its requests again (RFC 9113, sections 3.4 and 6.8).
fn goaway(code: u32) -> Vec<u8> {
    let mut words = vec![0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
    words.extend_from_slice(&[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    words.extend_from_slice(&code.to_be_bytes());
    words
}
