//! An exchange whose request did not come over a connection of its own.

#[cfg(feature = "http2")]
mod stream;

use super::Exchange;
use crate::{
    http::{
        h1::{RequestError, RequestHead},
        transport::Transport,
    },
    pool::ManagedBuf,
};

impl Exchange {
    /// Begins a request whose complete head begins `bytes`, and whose body is the rest of them and
    /// then pulled from `source`. Returns its number.
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
}
