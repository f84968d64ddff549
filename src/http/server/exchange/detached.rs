//! An exchange whose request did not come over a connection, or whose answer does not go out over
//! one.

use std::task::Context;

use super::Exchange;
use crate::{
    http::{
        h1::{BodyLength, RequestError, RequestHead},
        transport::Transport,
    },
    pool::ManagedBuf,
};

impl Exchange {
    /// Begins a request whose complete head is `bytes`, and whose body is pulled from `source`.
    /// Returns its number.
    pub(crate) fn begin_detached(
        &self,
        head: &mut RequestHead,
        bytes: Vec<u8>,
        source: Transport,
    ) -> Result<u64, RequestError> {
        self.give(source, ManagedBuf::own(bytes));
        let rules = &self.shared.settings.rules;
        let read = self.incoming.with_bytes(|bytes| head.read(bytes, rules))?;
        assert!(read.is_some(), "the head is complete");
        let number = self.begin(head);
        // An interim answer has no way to the client, and none is added to an answer that is under
        // way.
        self.outgoing.mark_head();
        drop(self.outgoing.take());
        Ok(number)
    }

    /// Begins an answer's body that is taken in pieces.
    pub(crate) fn begin_pieces(&self, promised: Option<u64>) {
        let length = promised.map_or(BodyLength::UntilClose, BodyLength::Sized);
        self.outgoing.begin(length);
    }

    /// Registers the context's task, which the next write to the answer wakes.
    pub(crate) fn register(&self, context: &Context<'_>) {
        self.line.register(context);
    }
}
