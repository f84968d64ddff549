//! A connection that has left HTTP.

use std::{
    fmt,
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll},
};

use super::{shared::Shared, transport::Transport};
use crate::{buf::IoBuf, pool::ManagedBuf};

/// A connection that a handler has taken over, by [`Response::upgrade`](super::Response::upgrade)
/// or [`Response::tunnel`](super::Response::tunnel). What the client sent behind its request is
/// there first.
///
/// HTTP's timeouts no longer count. The connection is closed when the handler's function returns, or
/// at a server's stop when its deadline comes.
pub struct Upgraded {
    transport: Transport,
    unread: Vec<u8>,
    shared: Rc<Shared>,
}

impl Upgraded {
    pub(super) fn new(transport: Transport, unread: Vec<u8>, shared: Rc<Shared>) -> Self {
        Self {
            transport,
            unread,
            shared,
        }
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    ///
    /// What the connection reports.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> io::Result<ManagedBuf> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Ok(ManagedBuf::own(std::mem::take(&mut self.unread))));
        }
        self.transport.poll_recv(context)
    }

    /// Sends all of `buf` and gives it back.
    ///
    /// # Errors
    ///
    /// What the connection reports.
    ///
    /// # Cancel safety
    ///
    /// On a socket a write that has begun is sent whole; on another stream a part may be missing.
    pub async fn write_all<B: IoBuf + AsRef<[u8]>>(&self, buf: B) -> io::Result<B> {
        self.transport.write_all(buf).await
    }

    /// Ends the sending direction behind what was sent.
    ///
    /// # Errors
    ///
    /// What the connection reports.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.transport.shutdown().await
    }

    /// Waits until the server begins to stop.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn stopping(&self) {
        self.shared.stopping().await;
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
