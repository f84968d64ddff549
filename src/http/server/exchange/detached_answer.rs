//! An exchange whose answer does not go out over a connection.

use std::task::Context;

use super::Exchange;
use crate::http::h1::BodyLength;

impl Exchange {
    /// Begins an answer's body that is taken in pieces.
    pub(crate) fn begin_pieces(&self, length: BodyLength) {
        self.outgoing.begin(length);
    }

    /// Registers the context's task, which the next write to the answer wakes.
    pub(crate) fn register(&self, context: &Context<'_>) {
        self.line.register(context);
    }
}
