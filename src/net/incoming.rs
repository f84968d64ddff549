//! The connections of a listener as a stream.

use std::{
    fmt, io,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{TcpStream, acceptor::Acceptor, socket::Stream, turns::Ticket};
use crate::budget;

/// Connections, one after the other. Made by
/// [`TcpListener::incoming`](super::TcpListener::incoming) and
/// [`UnixListener::incoming`](super::UnixListener::incoming).
///
/// Dropping it loses none: those that wait stay in the listener.
pub struct Incoming<'a, S = TcpStream> {
    acceptor: &'a Acceptor,
    ticket: Ticket,
    streams: PhantomData<fn() -> S>,
}

impl<'a, S> Incoming<'a, S> {
    pub(super) fn new(acceptor: &'a Acceptor) -> Self {
        Self {
            acceptor,
            ticket: Ticket::new(),
            streams: PhantomData,
        }
    }
}

impl<S: Stream> futures_core::Stream for Incoming<'_, S> {
    type Item = io::Result<S>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let turns = self.acceptor.turns();
        let driver = self.acceptor.driver();
        ready!(turns.poll_counted(driver, &self.ticket, context))?;
        let Poll::Ready(result) = self.acceptor.poll_accept(context) else {
            return Poll::Pending;
        };
        turns.leave(&self.ticket);
        budget::spend();
        Poll::Ready(Some(result.map(S::from_socket)))
    }
}

impl<S> Drop for Incoming<'_, S> {
    fn drop(&mut self) {
        self.acceptor.turns().leave(&self.ticket);
    }
}

impl<S> fmt::Debug for Incoming<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("fd", &self.acceptor.raw())
            .finish_non_exhaustive()
    }
}
