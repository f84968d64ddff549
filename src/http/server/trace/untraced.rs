//! The spans of connections and requests without the feature `tracing`: there are none.

use std::{future::Future, net::SocketAddr, pin::Pin};

use crate::http::{
    StatusCode,
    error::Error,
    h1::RequestHead,
    server::end_reason::EndReason,
    transport::{Transport, tunnelled::MakeTunnel},
};

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

#[derive(Clone, Default)]
pub(crate) struct Hooks(());

#[derive(Clone, Copy, Default)]
pub(crate) struct ConnectionId;

pub(crate) struct ConnectionSpan;

impl ConnectionSpan {
    #[inline(always)]
    pub(crate) fn begin(_transport: &Transport) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId
    }
}

#[derive(Default)]
pub(crate) struct ConnectionSpans(());

impl ConnectionSpans {
    #[inline(always)]
    pub(crate) fn insert(&mut self, _index: u32, _transport: &Transport) {}

    #[inline(always)]
    pub(crate) fn id(&self, _index: u32) -> ConnectionId {
        ConnectionId
    }

    #[inline(always)]
    pub(crate) fn remove(&mut self, _index: u32) {}

    #[inline(always)]
    pub(crate) fn clear(&mut self) {}
}

pub(crate) struct RequestSpan;

#[derive(Clone, Default)]
pub(crate) struct SpanHandle(());

impl RequestSpan {
    #[inline(always)]
    pub(crate) fn begin<'a>(
        _parts: impl FnOnce() -> (&'a RequestHead, ConnectionId, &'a Hooks),
    ) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn hand_over(&self, _take: impl FnOnce(SpanHandle)) {}

    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn around<F>(&self, future: F) -> F {
        future
    }

    #[inline(always)]
    pub(crate) fn note_error<'a>(&self, _error: impl FnOnce() -> Option<&'a Error>) {}

    #[inline(always)]
    pub(crate) fn finish(
        self,
        _outcome: impl FnOnce() -> (Option<StatusCode>, Option<EndReason>),
        _bytes: impl FnOnce() -> (u64, u64),
    ) {
    }
}

impl SpanHandle {
    #[inline(always)]
    pub(crate) fn note_route(&self, _route: &str) {}

    #[inline(always)]
    pub(crate) fn note_error(&self, _error: &Error) {}

    #[inline(always)]
    pub(crate) fn around<T>(&self, future: Boxed<T>) -> Boxed<T> {
        future
    }

    #[inline(always)]
    pub(crate) fn around_tunnel(&self, make: Box<MakeTunnel>) -> Box<MakeTunnel> {
        make
    }
}

#[inline(always)]
pub(crate) fn note_refused(
    _connection: ConnectionId,
    _reason: EndReason,
    _head: Option<&RequestHead>,
) {
}

#[inline(always)]
pub(crate) fn note_overloaded(_peer: impl FnOnce() -> Option<SocketAddr>) {}

#[inline(always)]
pub(crate) fn note_pause(_connection_count: usize) {}

#[inline(always)]
pub(crate) fn note_resumed(_connection_count: usize) {}

#[inline(always)]
pub(crate) fn note_exhausted(_connection_count: usize) {}

#[inline(always)]
pub(crate) fn note_evicted(_connection: ConnectionId) {}
