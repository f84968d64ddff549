//! A connection that has left HTTP.

use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    budget,
    buf::IoBuf,
    http::{server::worker_shared::Shared, transport::Transport},
    pool::ManagedBuf,
};

/// A connection that a handler has taken over, by
/// [`Response::upgrade`](crate::http::Response::upgrade) or
/// [`Response::tunnel`](crate::http::Response::tunnel). Bytes that the client sent after its
/// request are there first.
///
/// HTTP's timeouts no longer count. The connection is closed when the handler's function returns,
/// or at a server's stop when its deadline comes. What was written arrives, although the client
/// still sends: for a moment that is read on, and dropped.
pub struct Upgraded {
    /// There until it is dropped.
    transport: Option<Transport>,
    unread: Vec<u8>,
    shared: Rc<Shared>,
    /// Reading or writing has failed.
    is_broken: Cell<bool>,
    way_back: WayBack,
}

/// Where a connection is left that is to be ended.
pub(crate) type WayBack = Rc<Cell<Option<Transport>>>;

impl Upgraded {
    /// It leaves the connection in `way_back`, unless that breaks.
    pub(crate) fn new(
        transport: Transport,
        unread: Vec<u8>,
        shared: Rc<Shared>,
        way_back: WayBack,
    ) -> Self {
        Self {
            transport: Some(transport),
            unread,
            shared,
            is_broken: Cell::new(false),
            way_back,
        }
    }

    fn transport(&self) -> &Transport {
        self.transport.as_ref().expect("it is not dropped yet")
    }

    fn note<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.is_broken.set(true);
        }
        result
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> io::Result<ManagedBuf> {
        budget::turn().await;
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Ok(ManagedBuf::own(std::mem::take(&mut self.unread))));
        }
        let received = self.transport().poll_recv(context);
        received.map(|result| self.note(result))
    }

    /// Sends all of `buf` and gives it back.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    ///
    /// # Cancel safety
    ///
    /// On a socket a write that has begun is sent whole; on another stream a part may be missing.
    pub async fn write_all<B: IoBuf + AsRef<[u8]>>(&self, buf: B) -> io::Result<B> {
        let result = self.transport().write_all(buf).await;
        budget::turn().await;
        self.note(result)
    }

    /// Ends the sending direction after what was sent.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.note(self.transport().shutdown().await)
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

impl Drop for Upgraded {
    fn drop(&mut self) {
        if !self.is_broken.get() {
            self.way_back.set(self.transport.take());
        }
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
