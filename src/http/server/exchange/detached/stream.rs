//! An exchange for the streams of an HTTP/2 connection, one after the other.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use crate::{
    http::{
        h1::{BodyLength, RequestError, RequestHead},
        server::exchange::Exchange,
        transport::Transport,
    },
    pool::ManagedBuf,
};

impl Exchange {
    /// Gives it the stream from which it pulls the bodies of all its requests.
    pub(crate) fn attach(&self, source: Transport) {
        let is_logged = self.shared.settings.access_log.is_some();
        self.line.begin(source, is_logged);
    }

    /// Begins a request whose complete head is `bytes`, and whose body ends as `length` says.
    /// Returns its number.
    pub(crate) fn begin_stream(
        &self,
        head: &mut RequestHead,
        bytes: Vec<u8>,
        length: BodyLength,
    ) -> Result<u64, RequestError> {
        self.incoming.push(ManagedBuf::own(bytes));
        let rules = &self.shared.settings.rules;
        let read = self.incoming.with_bytes(|bytes| head.read(bytes, rules))?;
        assert!(read.is_some(), "the head is complete");
        head.become_http2(length);
        Ok(self.begin(head))
    }

    /// Begins the body of the answer, after which interim answers come too late.
    pub(crate) fn begin_answer_body(&self, length: BodyLength) {
        self.outgoing.mark_head();
        drop(self.outgoing.take());
        self.begin_pieces(length);
    }

    /// Forgets the request, so that nothing of it reaches the next one.
    pub(crate) fn end_stream(&self) {
        self.retire();
        self.incoming.end();
        self.outgoing.clear();
        self.line.rest();
    }

    /// Whether `deadline` has passed, which wakes the context's task.
    pub(crate) fn poll_timer(&self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        self.line.poll_timer(deadline, context)
    }

    /// Whether no answer has left on the connection, and none waits to do so.
    pub(crate) fn is_unanswered(&self) -> bool {
        let has_sent = |transport: &Transport| Ok(transport.has_sent());
        self.outgoing.is_empty() && self.line.with(has_sent).is_ok_and(|has_sent| !has_sent)
    }
}
