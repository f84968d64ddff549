//! Connections that have left HTTP, as the code sees them that serves them on.

use std::{
    any::Any,
    rc::Rc,
    task::{Context, Poll},
};

use super::Transport;
use crate::{
    http::{stop_notice::StopNotice, tick::Tick},
    net::Outbox,
    pool::ManagedBuf,
};

/// A connection at the moment at which it leaves HTTP.
pub(crate) struct Departed {
    pub(crate) transport: Transport,
    /// The bytes that came with the message before.
    pub(crate) unread: ManagedBuf,
    /// That of its server; none at a client.
    pub(crate) stop: Option<Rc<StopNotice>>,
}

/// Makes the protocol that a connection speaks after HTTP.
pub(crate) type MakeTunnel = dyn FnOnce(Departed) -> Box<dyn Tunnelled>;

/// A connection that speaks another protocol than HTTP now.
pub(crate) trait Tunnelled {
    /// Goes on. Ready when the protocol has ended. The worker's `outbox` takes writes that no task
    /// waits for.
    fn poll(&mut self, context: &mut Context<'_>, outbox: &Rc<Outbox>) -> Poll<()>;

    /// The tick at which it is to be polled at the latest: it has no timer of its own.
    fn due(&self) -> Option<Tick> {
        None
    }

    /// Notes that the server stops, which the next poll is to tell the peer. A protocol that knows
    /// nothing of that goes on.
    fn stop(&mut self) {}

    /// The protocol that it is, for lists of connections.
    fn protocol(&self) -> Protocol {
        Protocol::Other
    }

    /// Whether no request is under way, where the protocol has requests.
    fn is_idle(&self) -> Option<bool> {
        None
    }

    /// Bytes that were sent as the body of the answer, beyond its head.
    fn body_bytes(&self) -> u64 {
        0
    }

    /// Takes the error that the handler's code has returned, for the server's log.
    fn take_error(&mut self) -> Option<Box<dyn Any>> {
        None
    }

    /// Calls with the connection, unless another task has it or it is gone.
    fn look(&self, call: &mut dyn FnMut(&Transport));

    /// Ends the protocol, after a panic if it has not `returned`.
    fn leave(self: Box<Self>, has_returned: bool) -> Left;
}

/// A protocol that a connection speaks after its last answer began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Server-sent events, which are the body of that answer.
    Events,
    /// One of the handler's.
    Other,
}

/// The end of a protocol.
pub(crate) enum Left {
    /// The peer is to see all that was sent. None when the connection is broken, or when another
    /// task has it.
    Whole(Option<Transport>),
    /// After a panic. The connection was cut.
    Cut,
    /// After a time in which the peer took nothing. The connection was cut.
    TimedOut,
}

impl Left {
    /// The end of a protocol whose connection was `transport`.
    pub(crate) fn new(is_whole: bool, transport: Option<Transport>) -> Self {
        if is_whole {
            return Self::Whole(transport);
        }
        if let Some(transport) = transport {
            transport.cut();
        }
        Self::Cut
    }
}
