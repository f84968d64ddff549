//! A connection that has left HTTP, from the answer that says so to its close.
//!
//! The exchange that has answered its request serves other connections meanwhile. A tunnel has the
//! protocol that the connection speaks now and, for the access log and the request's span, the
//! facts about the request.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    http::{
        StatusCode,
        error::Error,
        h1::RequestHead,
        server::{
            access_log::record::{Exchanged, Facts},
            connection_info::ConnectionInfo,
            end_reason::EndReason,
            phase::Phase,
            trace::RequestSpan,
            worker_shared::Shared,
        },
        tick::Tick,
        transport::{
            Transport,
            closing::close_gently,
            tunnelled::{Left, Protocol, Tunnelled},
        },
        trusted_proxies::Peer,
    },
    net::Outbox,
    unwind,
};

/// A connection that has left HTTP.
pub(crate) struct Tunnel {
    /// None once it is over.
    used: Option<Box<dyn Tunnelled>>,
    /// None when no log and no span wants to know.
    request: Option<Box<TunnelRequest>>,
    /// The tick at which the worker polls it, unless something wakes it before.
    looked_at: Option<Tick>,
    /// The status of the answer.
    status: StatusCode,
    /// The protocol has ended, and the client is to see all that was sent.
    is_closing: bool,
    /// The protocol knows that the server stops.
    is_told: bool,
}

/// The request that has become a tunnel, which ends with it.
struct TunnelRequest {
    span: Option<RequestSpan>,
    log: Option<(Exchanged, RequestHead, Peer)>,
    /// The bytes of both bodies.
    bytes: (u64, u64),
}

impl Tunnel {
    pub(in crate::http::server) fn new(status: StatusCode, used: Box<dyn Tunnelled>) -> Self {
        Self {
            used: Some(used),
            request: None,
            looked_at: None,
            status,
            is_closing: false,
            is_told: false,
        }
    }

    /// Keeps the record of its request for the access log.
    pub(crate) fn keep_log(
        &mut self,
        record: Exchanged,
        head: &RequestHead,
        peer: Peer,
        bytes: (u64, u64),
    ) {
        self.request(bytes).log = Some((record, head.clone(), peer));
    }

    /// Keeps the span of its request.
    pub(crate) fn keep_span(&mut self, span: RequestSpan, bytes: (u64, u64)) {
        self.request(bytes).span = Some(span);
    }

    fn request(&mut self, bytes: (u64, u64)) -> &mut TunnelRequest {
        self.request.get_or_insert_with(|| {
            Box::new(TunnelRequest {
                span: None,
                log: None,
                bytes,
            })
        })
    }

    /// Goes on until the connection is closed. A panic of the handler's code cuts it.
    pub(crate) fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<()> {
        while let Some(used) = &mut self.used {
            let polled = unwind::caught(|| used.poll(context, &shared.outbox));
            if let Some(Poll::Pending) = polled {
                return Poll::Pending;
            }
            self.leave(polled.is_some(), shared);
        }
        Poll::Ready(())
    }

    /// The tick at which it is to be polled at the latest.
    pub(crate) fn due(&self) -> Option<Tick> {
        self.used.as_ref()?.due()
    }

    /// As [`due`](Self::due), if that is earlier than the tick at which it is looked at. From now on
    /// it is looked at then.
    pub(crate) fn due_earlier(&mut self) -> Option<Tick> {
        let due = self.due()?;
        if self.looked_at.is_some_and(|looked_at| looked_at <= due) {
            return None;
        }
        self.looked_at = Some(due);
        Some(due)
    }

    /// Notes that it is polled at `tick`. False if that is not the tick at which it is looked at.
    pub(crate) fn look_at(&mut self, tick: Tick) -> bool {
        self.looked_at
            .take_if(|looked_at| *looked_at == tick)
            .is_some()
    }

    /// Whether it is looked at then.
    pub(crate) fn is_looked_at(&self, tick: Tick) -> bool {
        self.looked_at == Some(tick)
    }

    /// Lets the client know of the server's stop, and returns true the first time.
    pub(crate) fn stop(&mut self) -> bool {
        if let Some(used) = &mut self.used {
            if !mem::replace(&mut self.is_told, true) {
                // It drops messages, and wakes tasks: code of the user's.
                unwind::swallow(|| used.stop());
                return true;
            }
        }
        false
    }

    /// Adds the bytes of the answer's body to those of its head.
    fn count_body(&mut self, used: &dyn Tunnelled) {
        if let Some(request) = &mut self.request {
            request.bytes.1 += used.body_bytes();
        }
    }

    /// Takes the connection back from the protocol, which has ended or panicked.
    fn leave(&mut self, has_returned: bool, shared: &Shared) {
        let Some(mut used) = self.used.take() else {
            return;
        };
        if self.is_closing {
            return;
        }
        self.is_closing = true;
        self.count_body(&*used);
        let error = used.take_error();
        let error = error.and_then(|error| error.downcast().ok());
        let left = used.leave(has_returned);
        let reason = match &left {
            Left::Whole(_) => None,
            Left::Cut => Some(EndReason::AnswerCut),
            Left::TimedOut => Some(EndReason::WriteTimeout),
        };
        if let Left::Whole(Some(transport)) = left {
            self.used = Some(Box::new(Closing(Box::pin(close_gently(transport, None)))));
        }
        if let Some(reason) = reason {
            shared.count_refusal(reason);
        }
        self.tell(reason, error, shared);
    }

    /// Ends the request: the access log and the span are told. It was counted as answered when the
    /// tunnel began. It has a `reason` unless the client has the whole answer.
    fn tell(&mut self, reason: Option<EndReason>, error: Option<Box<Error>>, shared: &Shared) {
        let status = reason.is_none().then_some(self.status);
        let Some(request) = self.request.take() else {
            return;
        };
        let TunnelRequest { span, log, bytes } = *request;
        if let Some(span) = &span {
            span.note_error(|| error.as_deref());
        }
        if let Some((mut exchanged, head, peer)) = log {
            exchanged.error = error;
            let facts = Facts {
                peer: peer.addr(),
                client: shared.settings.client_addr(peer, Some(&head)),
                bytes,
                status,
                reason,
            };
            if let Some(log) = &shared.settings.access_log {
                unwind::swallow(|| exchanged.tell(log, &head, facts));
            }
        }
        if let Some(span) = span {
            span.finish(|| (status, reason), || bytes);
        }
    }

    /// The part of its life that it is in.
    pub(crate) fn phase(&self) -> Phase {
        if self.is_closing {
            return Phase::Closing;
        }
        match self.used.as_ref().and_then(|used| used.is_idle()) {
            Some(true) => return Phase::Idle,
            Some(false) => return Phase::Handler,
            None => {}
        }
        match self.used.as_ref().map(|used| used.protocol()) {
            Some(Protocol::Events) => Phase::Events,
            Some(Protocol::Other) | None => Phase::Tunnel,
        }
    }

    /// Describes the connection, which was accepted `age` ago.
    pub(crate) fn info(&self, age: Duration) -> ConnectionInfo {
        let mut info = None;
        if let Some(used) = &self.used {
            used.look(&mut |transport| {
                info = Some(ConnectionInfo::of(transport, self.phase(), age));
            });
        }
        info.unwrap_or_else(|| ConnectionInfo::without_socket(self.phase(), age))
    }

    /// Ends the connection so that the client sees that something is missing, and drops the
    /// handler's state.
    pub(crate) fn cut(mut self, shared: &Shared) {
        let Some(used) = self.used.take() else {
            return;
        };
        used.look(&mut |transport| transport.cut());
        if !self.is_closing {
            self.count_body(&*used);
            self.tell(Some(EndReason::AnswerCut), None, shared);
        }
        // Handles of the handler's that are kept hold no socket after it.
        unwind::swallow(|| drop(used.leave(false)));
    }
}

/// A connection whose client is to see all that was sent.
struct Closing(Pin<Box<dyn Future<Output = ()>>>);

impl Tunnelled for Closing {
    fn poll(&mut self, context: &mut Context<'_>, _: &Rc<Outbox>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }

    fn look(&self, _call: &mut dyn FnMut(&Transport)) {}

    fn leave(self: Box<Self>, _has_returned: bool) -> Left {
        Left::Whole(None)
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upgraded connection at rest costs this, its protocol, and an idle connection.
    #[test]
    fn a_tunnel_is_small() {
        let bytes = size_of::<Option<Tunnel>>();
        assert!(bytes <= 40, "{bytes}");
    }
}
