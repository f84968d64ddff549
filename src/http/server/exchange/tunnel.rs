//! A connection that has left HTTP, from the answer that says so to its close.
//!
//! The exchange that has answered its request serves other connections meanwhile. A tunnel has the
//! future that uses the connection and, for the access log and the request's span, the facts about
//! the request.

use std::{
    fmt,
    future::Future,
    mem,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    http::{
        StatusCode,
        h1::RequestHead,
        server::{
            access_log::record::{Exchanged, Facts},
            connection_info::ConnectionInfo,
            end_reason::EndReason,
            phase::Phase,
            trace::RequestSpan,
            worker_shared::Shared,
        },
        transport::{closing::close_gently, upgraded::Held},
    },
    unwind,
};

/// The future of a handler's function that uses a connection.
pub(super) type Using = Pin<Box<dyn Future<Output = ()>>>;

/// A connection that has left HTTP.
pub(crate) struct Tunnel {
    state: State,
    /// None when no log and no span wants to know.
    request: Option<Box<TunnelRequest>>,
    /// The status of the answer.
    status: StatusCode,
}

enum State {
    /// The handler's function has it.
    Used(Using, Rc<Held>),
    /// The function has returned, and the client is to see all that was sent.
    Closing(Pin<Box<dyn Future<Output = ()>>>),
    Over,
}

/// The request that has become a tunnel, which ends with it.
struct TunnelRequest {
    span: Option<RequestSpan>,
    log: Option<(Exchanged, RequestHead, Option<SocketAddr>)>,
    /// The bytes of both bodies.
    bytes: (u64, u64),
}

impl Tunnel {
    pub(super) fn new(status: StatusCode, future: Using, held: Rc<Held>) -> Self {
        Self {
            state: State::Used(future, held),
            request: None,
            status,
        }
    }

    /// Keeps the record of its request for the access log.
    pub(crate) fn keep_log(
        &mut self,
        record: Exchanged,
        head: &RequestHead,
        peer: Option<SocketAddr>,
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

    /// Goes on until the connection is closed. A panic of the handler's function cuts it.
    pub(crate) fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<()> {
        if let State::Used(future, _) = &mut self.state {
            let polled = unwind::caught(|| future.as_mut().poll(context));
            if let Some(Poll::Pending) = polled {
                return Poll::Pending;
            }
            self.leave(polled.is_some(), shared);
        }
        if let State::Closing(closing) = &mut self.state {
            if closing.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.state = State::Over;
        }
        Poll::Ready(())
    }

    /// Takes the connection back from the handler's function, which has returned or panicked.
    fn leave(&mut self, has_returned: bool, shared: &Shared) {
        let State::Used(future, held) = mem::replace(&mut self.state, State::Over) else {
            return;
        };
        let is_whole = unwind::caught(|| drop(future)).is_some() && has_returned;
        match Rc::try_unwrap(held) {
            Ok(held) if !is_whole => held.transport().cut(),
            Ok(held) => {
                if let Some(transport) = held.into_whole() {
                    self.state = State::Closing(Box::pin(close_gently(transport, None)));
                }
            }
            // Another task has it now, and closes it.
            Err(_) => {}
        }
        self.tell(is_whole, shared);
    }

    /// Ends the request: the access log and the span are told, and the counters of a panic. It was
    /// counted as answered when the tunnel began.
    fn tell(&mut self, is_whole: bool, shared: &Shared) {
        let (status, reason) = if is_whole {
            (Some(self.status), None)
        } else {
            let reason = EndReason::AnswerCut;
            shared.count_refusal(reason);
            (None, Some(reason))
        };
        let Some(request) = self.request.take() else {
            return;
        };
        let TunnelRequest { span, log, bytes } = *request;
        if let Some((exchanged, head, peer)) = log {
            let facts = Facts {
                peer,
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
        match self.state {
            State::Used(..) => Phase::Tunnel,
            State::Closing(_) | State::Over => Phase::Closing,
        }
    }

    /// Describes the connection, which was accepted `age` ago.
    pub(crate) fn info(&self, age: Duration) -> ConnectionInfo {
        match &self.state {
            State::Used(_, held) => ConnectionInfo::of(held.transport(), Phase::Tunnel, age),
            State::Closing(_) | State::Over => ConnectionInfo::without_socket(Phase::Closing, age),
        }
    }

    /// Ends the connection so that the client sees that something is missing, and drops the
    /// handler's future.
    pub(crate) fn cut(self: Box<Self>) {
        if let State::Used(_, held) = &self.state {
            held.transport().cut();
        }
        unwind::swallow(|| drop(self));
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

    /// An upgraded connection at rest costs this, its future, and an idle connection.
    #[test]
    fn a_tunnel_is_small() {
        let counts = 2 * size_of::<usize>();
        let bytes = size_of::<Tunnel>() + counts + size_of::<Held>();
        assert!(bytes <= 112, "{bytes}");
    }
}
