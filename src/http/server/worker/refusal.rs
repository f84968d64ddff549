//! Answers 503 when the server is full.

use std::{future::Future, time::Duration};

use crate::{
    http::{
        h1::RejectReason,
        server::{access_log::Access, serve::closing::close_gently, worker_shared::Shared},
        transport::Transport,
    },
    time,
};

/// When the client should come back, in seconds.
const RETRY_AFTER: u32 = 1;

/// How long a client may take for the whole of it.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers 503 on a connection that nothing was read from, and closes it.
pub(crate) fn refuse(
    transport: Transport,
    shared: &Shared,
) -> impl Future<Output = ()> + use<> + 'static {
    let reason = RejectReason::Overloaded;
    shared.count_refusal(reason);
    let (status, text) = (reason.status(), reason.as_str());
    if let Some(log) = &shared.settings.access_log {
        log(&Access::refused(transport.peer_addr(), reason, None));
    }
    let date_line = shared.date_line();
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nRetry-After: \
         {RETRY_AFTER}\r\nConnection: close\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        text.len() + 1,
    )
    .into_bytes();
    answer.extend_from_slice(&date_line);
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(text.as_bytes());
    answer.extend_from_slice(b"\n");
    async move {
        let write = transport.write_all(answer);
        if let Ok(Ok(_)) = time::timeout(REFUSAL_TIMEOUT, write).await {
            // Its request is on the way, and nobody knows how long it is.
            close_gently(transport, None).await;
        } else {
            transport.cut();
        }
    }
}
