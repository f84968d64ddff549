//! The spans and events, named as OpenTelemetry's conventions for HTTP name them.

use std::{
    any::Any,
    cell::Cell,
    future::Future,
    mem,
    net::SocketAddr,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tracing::{
    Id, Span, debug, debug_span, error, field, info, info_span, level_filters::LevelFilter, warn,
};

use crate::{
    http::{
        HeaderMap, StatusCode, Version,
        error::Error,
        h1::RequestHead,
        server::end_reason::EndReason,
        tick::Tick,
        transport::{
            Transport,
            tunnelled::{Left, MakeTunnel, Protocol, Tunnelled},
        },
    },
    net::Outbox,
    time,
    trace::{Subject, Traced, inside},
    unwind::{caught, message, swallow},
};

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// The functions of the user that are shown spans.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) on_request_span: Option<RequestHook>,
}

pub(crate) type RequestHook = Arc<dyn Fn(&Span, &HeaderMap) + Send + Sync>;

/// The number of a connection's span, or zero for none.
#[derive(Clone, Copy, Default)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    fn of(span: &Span) -> Self {
        Self(span.id().map_or(0, |id| id.into_u64()))
    }

    fn id(self) -> Option<Id> {
        (self.0 != 0).then(|| Id::from_u64(self.0))
    }
}

/// The span of a connection that is served by itself, inside of the span that is current there.
pub(crate) struct ConnectionSpan(Span);

impl ConnectionSpan {
    pub(crate) fn begin(transport: &Transport) -> Self {
        Self(connection_span(transport, Span::current().id()))
    }

    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId::of(&self.0)
    }
}

fn connection_span(transport: &Transport, parent: Option<Id>) -> Span {
    let span = || {
        debug_span!(
            target: "annulus::http::server",
            parent: parent,
            "connection",
            network.peer.address = transport.peer_addr().map(|peer| field::display(peer.ip())),
            network.peer.port = transport.peer_addr().map(|peer| peer.port()),
        )
    };
    caught(span).unwrap_or_else(Span::none)
}

/// The spans of a worker's connections by their indices. None of them has a parent: the worker is
/// no part of what a connection does.
#[derive(Default)]
pub(crate) struct ConnectionSpans(Vec<Span>);

impl ConnectionSpans {
    pub(crate) fn insert(&mut self, index: u32, transport: &Transport) {
        let span = connection_span(transport, None);
        if span.is_none() {
            return;
        }
        let index = index as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Span::none);
        }
        self.0[index] = span;
    }

    pub(crate) fn id(&self, index: u32) -> ConnectionId {
        let span = self.0.get(index as usize);
        span.map_or_else(ConnectionId::default, ConnectionId::of)
    }

    /// Closes a connection's span.
    pub(crate) fn remove(&mut self, index: u32) {
        if let Some(span) = self.0.get_mut(index as usize) {
            let span = mem::replace(span, Span::none());
            swallow(|| drop(span));
        }
    }

    pub(crate) fn clear(&mut self) {
        for span in mem::take(&mut self.0) {
            swallow(|| drop(span));
        }
    }
}

/// A request's span while its exchange serves it.
///
/// It is the only strong reference beside those of the futures that run in the span, so that a
/// handler which keeps its request keeps no span open.
#[derive(Clone)]
pub(crate) struct RequestSpan(Option<Rc<Open>>);

/// A request's span as the request knows it.
#[derive(Clone, Default)]
pub(crate) struct SpanHandle(Weak<Open>);

struct Open {
    span: Span,
    started: Instant,
    is_finished: Cell<bool>,
}

impl RequestSpan {
    #[inline]
    pub(crate) fn begin<'a>(
        parts: impl FnOnce() -> (&'a RequestHead, ConnectionId, &'a Hooks),
    ) -> Self {
        if LevelFilter::current() < LevelFilter::INFO {
            return Self(None);
        }
        let (head, connection, hooks) = parts();
        Self::open(head, connection, hooks)
    }

    fn open(head: &RequestHead, connection: ConnectionId, hooks: &Hooks) -> Self {
        let parent = connection.id().or_else(|| Span::current().id());
        let span = info_span!(
            target: "annulus::http::server",
            parent: parent,
            "request",
            otel.kind = "server",
            otel.name = head.method().as_str(),
            otel.status_code = field::Empty,
            http.request.method = head.method().as_str(),
            http.route = field::Empty,
            url.path = head.path(),
            network.protocol.version = version(head),
            http.response.status_code = field::Empty,
            http.request.body.size = field::Empty,
            http.response.body.size = field::Empty,
            http.server.request.duration = field::Empty,
            error.type = field::Empty,
        );
        if span.is_none() {
            return Self(None);
        }
        if let Some(hook) = &hooks.on_request_span {
            hook(&span, &head.to_header_map());
        }
        Self(Some(Rc::new(Open {
            span,
            started: time::now(),
            is_finished: Cell::new(false),
        })))
    }

    /// Has the request take a handle of its span.
    #[inline]
    pub(crate) fn hand_over(&self, take: impl FnOnce(SpanHandle)) {
        if let Some(open) = &self.0 {
            take(SpanHandle(Rc::downgrade(open)));
        }
    }

    /// Whether there is a span at all.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// A future that runs in the span.
    pub(crate) fn around<F>(&self, future: F) -> Traced<Self, F> {
        Traced::new(self.clone(), future)
    }

    /// Tells of an error that the handler has returned.
    pub(crate) fn note_error<'a>(&self, error: impl FnOnce() -> Option<&'a Error>) {
        if let Some(error) = error() {
            note_error(self.0.as_deref(), error);
        }
    }

    /// Ends the span. `bytes` are those of both bodies: received and sent.
    pub(crate) fn finish(
        self,
        outcome: impl FnOnce() -> (Option<StatusCode>, Option<EndReason>),
        bytes: impl FnOnce() -> (u64, u64),
    ) {
        let Some(open) = self.0 else { return };
        open.is_finished.set(true);
        let (status, reason) = outcome();
        let (received, sent) = bytes();
        let duration = time::now().saturating_duration_since(open.started);
        let span = &open.span;
        swallow(|| {
            if let Some(status) = status {
                span.record("http.response.status_code", status.as_u16());
            }
            span.record("http.request.body.size", received);
            span.record("http.response.body.size", sent);
            span.record("http.server.request.duration", duration.as_secs_f64());
            let is_error = status.is_none_or(|status| status.is_server_error());
            match (reason, status) {
                (Some(reason), _) => open.fail(reason.as_str(), is_error),
                (None, Some(status)) if is_error => open.fail(status.as_str(), true),
                (None, _) => {}
            }
        });
        swallow(|| drop(open));
    }
}

impl Open {
    /// Notes an error: that of the server too, if `is_error`.
    fn fail(&self, kind: &str, is_error: bool) {
        self.span.record("error.type", kind);
        if is_error {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

/// A request that is not finished was cut off: its server has stopped, or its future was dropped.
impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_finished.get() {
            swallow(|| self.fail("cancelled", true));
        }
    }
}

impl Subject for RequestSpan {
    fn span(&self) -> Option<&Span> {
        self.0.as_ref().map(|open| &open.span)
    }

    fn tell_panic(&self, payload: &(dyn Any + Send)) {
        error!(
            target: "annulus::http::server",
            {
                exception.message = message(payload),
            },
            "a handler panicked"
        );
    }
}

impl SpanHandle {
    /// Notes the route that the request has taken.
    pub(crate) fn note_route(&self, route: &str) {
        if let Some(open) = self.0.upgrade() {
            open.span.record("http.route", route);
        }
    }

    /// As [`RequestSpan::note_error`].
    pub(crate) fn note_error(&self, error: &Error) {
        note_error(self.0.upgrade().as_deref(), error);
    }

    /// As [`RequestSpan::around`], for a future in a box.
    pub(crate) fn around<T: 'static>(&self, future: Boxed<T>) -> Boxed<T> {
        match self.0.upgrade() {
            Some(open) => Box::pin(Traced::new(RequestSpan(Some(open)), future)),
            None => future,
        }
    }

    /// As [`RequestSpan::around`], for the tunnel that `make` makes.
    pub(crate) fn around_tunnel(&self, make: Box<MakeTunnel>) -> Box<MakeTunnel> {
        let span = self.clone();
        Box::new(move |departed| {
            let tunnel = make(departed);
            match span.0.upgrade() {
                Some(open) => Box::new(TracedTunnel {
                    span: RequestSpan(Some(open)),
                    tunnel: Some(tunnel),
                }),
                None => tunnel,
            }
        })
    }
}

/// A tunnel that goes on and ends inside of its request's span.
struct TracedTunnel {
    span: RequestSpan,
    /// None when it is dropped.
    tunnel: Option<Box<dyn Tunnelled>>,
}

impl TracedTunnel {
    fn tunnel(&self) -> &dyn Tunnelled {
        &**self.tunnel.as_ref().expect(KEPT)
    }
}

const KEPT: &str = "it is there until this is dropped";

impl Tunnelled for TracedTunnel {
    fn poll(&mut self, context: &mut Context<'_>, outbox: &Rc<Outbox>) -> Poll<()> {
        let tunnel = self.tunnel.as_mut().expect(KEPT);
        inside(&self.span, || tunnel.poll(context, outbox))
    }

    fn due(&self) -> Option<Tick> {
        self.tunnel().due()
    }

    fn stop(&mut self) {
        let tunnel = self.tunnel.as_mut().expect(KEPT);
        inside(&self.span, || tunnel.stop());
    }

    fn protocol(&self) -> Protocol {
        self.tunnel().protocol()
    }

    fn body_bytes(&self) -> u64 {
        self.tunnel().body_bytes()
    }

    fn look(&self, call: &mut dyn FnMut(&Transport)) {
        self.tunnel().look(call);
    }

    fn leave(mut self: Box<Self>, has_returned: bool) -> Left {
        let tunnel = self.tunnel.take().expect(KEPT);
        inside(&self.span, || tunnel.leave(has_returned))
    }
}

impl Drop for TracedTunnel {
    fn drop(&mut self) {
        if let Some(tunnel) = self.tunnel.take() {
            inside(&self.span, || drop(tunnel));
        }
    }
}

fn note_error(open: Option<&Open>, error: &Error) {
    let status = error.status();
    let (code, text) = (status.as_u16(), field::display(error));
    let parent = open.and_then(|open| open.span.id());
    swallow(|| {
        if status.is_server_error() {
            error!(
                target: "annulus::http::server",
                parent: parent,
                {
                    http.response.status_code = code,
                    exception.message = text,
                },
                "a handler failed"
            );
        } else {
            debug!(
                target: "annulus::http::server",
                parent: parent,
                {
                    http.response.status_code = code,
                    exception.message = text,
                },
                "a handler refused its request"
            );
        }
    });
}

/// The version as OpenTelemetry writes it.
fn version(head: &RequestHead) -> &'static str {
    if head.version() == Version::HTTP_10 {
        "1.0"
    } else {
        "1.1"
    }
}

/// Tells of a request that no handler sees, or of bytes that were none.
pub(crate) fn note_refused(
    connection: ConnectionId,
    reason: EndReason,
    head: Option<&RequestHead>,
) {
    swallow(|| {
        debug!(
            target: "annulus::http::server",
            parent: connection.id(),
            {
                error.type = reason.as_str(),
                http.response.status_code = reason.status().as_u16(),
                http.request.method = head.map(|head| head.method().as_str()),
                url.path = head.map(RequestHead::path),
            },
            "a request is refused"
        );
    });
}

/// Tells of a connection that is answered 503, since there is no room.
pub(crate) fn note_overloaded(peer: impl FnOnce() -> Option<SocketAddr>) {
    swallow(|| {
        warn!(
            target: "annulus::http::server",
            {
                network.peer.address = peer().map(|peer| field::display(peer.ip())),
                error.type = EndReason::Overloaded.as_str(),
            },
            "a connection is refused, since the server is full"
        );
    });
}

/// Tells that a worker does not accept for now.
pub(crate) fn note_pause(connection_count: usize) {
    swallow(|| {
        warn!(
            target: "annulus::http::server",
            {
                connections = connection_count,
            },
            "accepting pauses, since the server is full"
        );
    });
}

/// Tells that a worker accepts again.
pub(crate) fn note_resumed(connection_count: usize) {
    swallow(|| {
        info!(
            target: "annulus::http::server",
            {
                connections = connection_count,
            },
            "accepting goes on"
        );
    });
}

/// Tells that an accept has failed for want of descriptors or memory.
pub(crate) fn note_exhausted(connection_count: usize) {
    swallow(|| {
        warn!(
            target: "annulus::http::server",
            {
                connections = connection_count,
            },
            "no descriptor or no memory is left for a connection"
        );
    });
}

/// Tells of an idle connection that is closed for another.
pub(crate) fn note_evicted(connection: ConnectionId) {
    swallow(|| {
        debug!(
            target: "annulus::http::server",
            parent: connection.id(),
            "an idle connection is closed for a new one",
        );
    });
}
