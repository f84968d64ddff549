//! The end of a connection, so that its client sees what was sent (RFC 9112, section 9.6).
//!
//! A close resets the connection when bytes are unread or still come, and a reset may take the
//! answer from a client that has not read it yet. So the sending direction ends first, and the
//! client is read on until it ends its own. One that keeps its side open is waited for only as long
//! as something may go wrong: until its system has acknowledged everything, if nothing more is
//! known to come from it. Bytes that it had sent by then have arrived before the acknowledgement.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::{
    budget,
    http::{alarm::Alarm, transport::Transport},
    time,
};

/// How long a client is waited for at the most.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// A client that uploads sees the answer only if we read on: what it has under way alone fills the
/// socket's buffers, which may hold several megabytes.
const LINGER_BYTES_MAX: u64 = 64 << 20;
/// After which time to look for the acknowledgement again, at first. The kernel does not tell of
/// it; the time doubles with each look.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Ends a connection. `to_come` is how many bytes its client has yet to send, if that is known.
pub(crate) async fn close_gently(transport: Transport, to_come: Option<u64>) {
    let linger = async {
        if transport.shutdown().await.is_ok() {
            let mut linger = Linger {
                transport: &transport,
                to_come,
                skipped: 0,
                look: Alarm::default(),
                interval: LOOK_INTERVAL,
            };
            while poll_fn(|context| linger.poll(context)).await {
                budget::turn().await;
            }
        }
    };
    // A client that sends all the time has had the time to read.
    let _ = time::timeout(LINGER_TIMEOUT, linger).await;
}

/// A connection whose sending direction has ended.
struct Linger<'a> {
    transport: &'a Transport,
    to_come: Option<u64>,
    skipped: u64,
    /// Until the next look for the acknowledgement.
    look: Alarm,
    interval: Duration,
}

impl Linger<'_> {
    /// Whether more may come; no when the connection may be closed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            match self.transport.poll_recv(context) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                    self.skipped += bytes.len() as u64;
                    return Poll::Ready(self.skipped < LINGER_BYTES_MAX);
                }
                Poll::Ready(_) => return Poll::Ready(false),
                // More bytes than the request's own have come, so others may follow.
                Poll::Pending if self.to_come != Some(self.skipped) => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.look.poll(context));
                    if self.transport.is_acknowledged() && !self.transport.has_unreceived() {
                        return Poll::Ready(false);
                    }
                    self.look.set(time::now() + self.interval);
                    self.interval *= 2;
                }
            }
        }
    }
}
