//! A connection that speaks another protocol than HTTP now.

use std::{
    cell::Cell,
    fmt, io,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    buf::IoBuf,
    http::{
        server::worker_shared::Shared,
        transport::{Transport, taken_over::TakenOver},
    },
    io::{reads_by_method, writes_by_method},
    pool::ManagedBuf,
};

/// A connection that a handler has taken over, by
/// [`Response::upgrade`](crate::http::Response::upgrade) or
/// [`Response::tunnel`](crate::http::Response::tunnel). Bytes that the client sent after its
/// request are there first.
///
/// HTTP's timeouts no longer count. The connection is closed when the handler's function returns,
/// or at a server's stop when its deadline comes. Written bytes arrive, although the client still
/// sends: its bytes are read for a moment, and dropped.
///
/// Everything works through `&self`: one task may receive while another sends.
pub struct Upgraded {
    /// There until it is dropped.
    connection: Option<TakenOver>,
    shared: Rc<Shared>,
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
            connection: Some(TakenOver::new(transport, ManagedBuf::own(unread))),
            shared,
            way_back,
        }
    }

    fn connection(&self) -> &TakenOver {
        self.connection.as_ref().expect("it is not dropped yet")
    }

    /// Receives the next bytes; empty at the end.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        self.connection().recv().await
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
        self.connection().write_all(buf).await
    }

    /// Ends the sending direction after the bytes before.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.connection().shutdown().await
    }

    /// Takes the next bytes. An empty buffer is the end. See
    /// [`ByteRead`](crate::io::ByteRead#polling) for its promises.
    ///
    /// # Errors
    ///
    /// The errors of the connection.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.connection().poll_recv(context)
    }

    /// Takes the first bytes of `bytes`, and returns how many. A connection that is a socket sends
    /// them as [`TcpStream::poll_write`](crate::net::TcpStream::poll_write) does.
    ///
    /// # Errors
    ///
    /// The errors of the connection, that of bytes taken before included.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.connection().poll_write(context, bytes)
    }

    /// Waits until the bytes that were taken are on their way.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection().poll_flush(context)
    }

    /// Ends the sending direction after what was taken. Receiving goes on.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection().poll_shutdown(context)
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

reads_by_method!(Upgraded);
writes_by_method!(Upgraded);

impl Drop for Upgraded {
    fn drop(&mut self) {
        let connection = self.connection.take();
        self.way_back
            .set(connection.and_then(TakenOver::into_transport));
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("transport", self.connection())
            .finish_non_exhaustive()
    }
}
