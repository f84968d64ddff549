//! A transport that has left HTTP, as the upgraded connections of server and client hold it.

use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use super::Transport;
use crate::{budget, buf::IoBuf, pool::ManagedBuf};

/// A transport, and what was received from it before.
pub(crate) struct TakenOver {
    transport: Transport,
    unread: Cell<Option<ManagedBuf>>,
    /// Reading or writing has failed.
    is_broken: Cell<bool>,
}

impl TakenOver {
    pub(crate) fn new(transport: Transport, unread: ManagedBuf) -> Self {
        Self {
            transport,
            unread: Cell::new((!unread.is_empty()).then_some(unread)),
            is_broken: Cell::new(false),
        }
    }

    /// The transport, unless it is broken.
    pub(crate) fn into_transport(self) -> Option<Transport> {
        (!self.is_broken.get()).then_some(self.transport)
    }

    fn note<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.is_broken.set(true);
        }
        result
    }

    pub(crate) async fn recv(&self) -> io::Result<ManagedBuf> {
        budget::turn().await;
        poll_fn(|context| self.poll_recv(context)).await
    }

    pub(crate) async fn write_all<B: IoBuf + AsRef<[u8]>>(&self, buf: B) -> io::Result<B> {
        let result = self.transport.write_all(buf).await;
        budget::turn().await;
        self.note(result)
    }

    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        self.note(self.transport.shutdown().await)
    }

    pub(crate) fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        if let Some(unread) = self.unread.take() {
            return Poll::Ready(Ok(unread));
        }
        let received = ready!(self.transport.poll_recv_in_turn(context));
        Poll::Ready(self.note(received))
    }

    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(self.transport.poll_write(context, bytes));
        Poll::Ready(self.note(taken))
    }

    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.transport.poll_flush(context));
        Poll::Ready(self.note(flushed))
    }

    pub(crate) fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = ready!(self.transport.poll_shutdown(context));
        Poll::Ready(self.note(ended))
    }
}

impl fmt::Debug for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transport.fmt(f)
    }
}
