//! A connection to a server.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use super::Lease;
use crate::http::transport::{Transport, input::Input};

/// An open connection, idle or in use.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    /// Received bytes of the message that is being received. Empty while it is idle.
    pub(crate) input: Input,
    /// Its place among the connections that its host may have.
    pub(crate) lease: Lease,
    /// Whether it has served a request before.
    pub(crate) is_reused: bool,
}

impl Connection {
    pub(crate) fn new(transport: Transport, lease: Lease) -> Box<Self> {
        Box::new(Self {
            transport,
            input: Input::default(),
            lease,
            is_reused: false,
        })
    }

    /// Whether an idle connection is still good, as far as the kernel knew a moment before `now`.
    #[inline]
    pub(crate) fn is_good_at(&self, now: Instant) -> bool {
        self.transport.catch_up(now);
        self.is_good_now()
    }

    /// Whether an idle connection is still good, as far as is known here.
    pub(crate) fn is_good_now(&self) -> bool {
        self.transport.is_silent()
    }

    /// Whether an idle connection is still good. Registers the waker for the moment when it is not:
    /// when the server has closed it, or has sent bytes without a request.
    pub(crate) fn is_good(&self, context: &mut Context<'_>) -> bool {
        matches!(self.transport.poll_recv(context), Poll::Pending)
    }
}
