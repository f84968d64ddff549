//! The state that a connection has while something is under way, and not at rest.

use std::{any::Any, cell::Cell, rc::Rc, task::Waker};

use super::{incoming::Incoming, outgoing::Outgoing};
use crate::{
    http::ws::{Deflate, Role},
    sync::Notify,
};

thread_local! {
    // Most connections are busy for one turn, and one has its turn at a time.
    static SPARE: Cell<Option<Box<Busy>>> = const { Cell::new(None) };
}

/// The state that a connection has while something is under way, and not at rest.
pub(super) struct Busy {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
    /// The payload of the last ping whose answer has no room yet.
    pub(super) ping: Option<Vec<u8>>,
    /// The task that waits for a message, if it is not the one that drives the connection.
    pub(super) receiver: Option<Waker>,
    /// Bytes were written, or nothing will be: for the tasks that wait for that.
    pub(super) room: Option<Rc<Notify>>,
    /// Nothing more is received: for the tasks that wait for that.
    pub(super) ended: Option<Rc<Notify>>,
    /// The error of the user's code, for the log.
    pub(super) error: Option<Box<dyn Any>>,
}

impl Busy {
    /// The state for a connection at rest.
    pub(super) fn begin(role: Role, deflate: Option<Deflate>) -> Box<Self> {
        match SPARE.try_with(Cell::take) {
            Ok(Some(mut spare)) => {
                spare.incoming.begin(role, deflate.is_some());
                spare
            }
            _ => Box::new(Self {
                incoming: Incoming::new(role, deflate.is_some()),
                outgoing: Outgoing::default(),
                ping: None,
                receiver: None,
                room: None,
                ended: None,
                error: None,
            }),
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.incoming.is_at_rest()
            && self.outgoing.is_empty()
            && self.ping.is_none()
            && self.receiver.is_none()
            && self.room.is_none()
            && self.ended.is_none()
            && self.error.is_none()
    }

    /// Keeps the memory of one that is at rest for the next connection.
    pub(super) fn recycle(mut self: Box<Self>) {
        self.outgoing.shrink();
        // This thread may be past its thread-locals.
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
    }
}
