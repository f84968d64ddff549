//! Calls of a handler, in memory that is used again.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use super::WebSocketHandler;
use crate::http::{
    error::Result,
    websocket::{Message, Peer},
};

/// A call of a handler.
pub(super) enum Call {
    Open,
    Message(Message),
}

/// Calls of a handler, one after the other, for any of its connections.
///
/// Its future never ends, so that its memory serves one call after the other: a call whose future
/// is ready at once allocates nothing. After a panic it is of no use.
pub(super) struct Turn<H: WebSocketHandler> {
    slot: Rc<Slot<H>>,
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// The call is that which begins a connection.
    is_opening: Cell<bool>,
}

/// The next call, and the result of the last one.
struct Slot<H: WebSocketHandler> {
    next: Cell<Option<(Peer<H::Data>, Call)>>,
    returned: Cell<Option<Result<()>>>,
}

impl<H: WebSocketHandler> Turn<H> {
    pub(super) fn new(handler: Rc<H>) -> Self {
        let slot = Rc::new(Slot {
            next: Cell::new(None),
            returned: Cell::new(None),
        });
        Self {
            future: Box::pin(run(handler, Rc::clone(&slot))),
            slot,
            is_opening: Cell::new(false),
        }
    }

    /// Begins a call. The one before has returned.
    pub(super) fn begin(&self, peer: Peer<H::Data>, call: Call) {
        self.is_opening.set(matches!(call, Call::Open));
        self.slot.next.set(Some((peer, call)));
    }

    /// Whether the call is that which begins a connection.
    pub(super) fn is_opening(&self) -> bool {
        self.is_opening.get()
    }

    /// Whether the handler has not seen the call.
    pub(super) fn is_unseen(&self) -> bool {
        let next = self.slot.next.take();
        let is_unseen = next.is_some();
        self.slot.next.set(next);
        is_unseen
    }

    /// The result of the call.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        // It never ends by itself; what it leaves tells.
        let _ = self.future.as_mut().poll(context);
        self.slot.returned.take().map_or(Poll::Pending, Poll::Ready)
    }
}

async fn run<H: WebSocketHandler>(handler: Rc<H>, slot: Rc<Slot<H>>) {
    loop {
        let (peer, call) = poll_fn(|_| slot.next.take().map_or(Poll::Pending, Poll::Ready)).await;
        let returned = match call {
            Call::Open => handler.open(&peer).await,
            Call::Message(message) => handler.message(&peer, message).await,
        };
        drop(peer);
        slot.returned.set(Some(returned));
    }
}
