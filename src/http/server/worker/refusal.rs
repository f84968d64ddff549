//! Answers to clients that are not served: 503 when the server is full, 400 to plain HTTP where TLS
//! is spoken.

use std::{future::Future, pin::Pin, time::Duration};

use crate::{
    http::{
        h1::AnswerTo,
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

/// Answers 503 on a connection that nothing was read from, and closes it.
pub(crate) fn refuse(
    transport: Transport,
    shared: &Shared,
) -> impl Future<Output = ()> + use<> + 'static {
    trace::note_overloaded(|| transport.peer_addr());
    answer(transport, EndReason::Overloaded, shared)
}

/// Ends a connection whose client cannot go on with TLS, so that it sees why; none when there is
/// nothing to wait for.
pub(crate) fn end_broken(
    transport: Transport,
    shared: &Shared,
) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
    let broken = transport.broken()?;
    if broken == Broken::Plain {
        return Some(Box::pin(answer(transport, EndReason::PlainHttp, shared)));
    }
    if broken == Broken::ProxyHeader {
        // It is of a protocol that is not known, so it gets no answer.
        shared.note_refusal(|| transport.peer_addr(), EndReason::ProxyHeader, None);
        return None;
    }
    if transport.is_handshaking() {
        let reason = EndReason::HandshakeFailed;
        shared.note_refusal(|| transport.peer_addr(), reason, None);
    }
    Some(Box::pin(close_gently(transport, None)))
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
    async move {
        let write = transport.write_all(answer);
        if let Ok(Ok(_)) = time::timeout(REFUSAL_TIMEOUT, write).await {
            // Its request is on the way, and its length is unknown.
            close_gently(transport, None).await;
        } else {
            transport.cut();
        }
    }
}
