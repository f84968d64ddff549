//! Answers 503 when the server is full.

use std::{future::Future, time::Duration};

use crate::{
    http::{
        h1::AnswerTo,
        server::{
            end_reason::EndReason,
            refusals::{self, Refused},
            trace,
            worker_shared::Shared,
        },
        transport::{Transport, closing::close_gently},
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
    let reason = EndReason::Overloaded;
    shared.note_refusal(|| transport.peer_addr(), reason, None);
    trace::note_overloaded(|| transport.peer_addr());
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
