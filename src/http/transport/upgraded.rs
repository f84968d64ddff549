//! A connection that speaks another protocol than HTTP now, on either side.

use std::{
    cell::Cell,
    fmt,
    future::{pending, poll_fn},
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::Transport;
use crate::{
    budget,
    buf::{IoBuf, Room},
    http::stop_notice::StopNotice,
    io::{reads_by_method, writes_by_method},
    pool::ManagedBuf,
};

/// A connection that has left HTTP: it speaks another protocol now, or is a tunnel.
///
/// A handler has it by [`Response::upgrade`](crate::http::Response::upgrade) or
/// [`Response::tunnel`](crate::http::Response::tunnel), and the client by
/// [`client::Response::upgrade`](crate::http::client::Response::upgrade). Bytes that the peer sent
/// after its message are there first. HTTP's timeouts no longer count.
///
/// A server closes the connection when the handler's function returns, or when the deadline of its
/// stop comes. Written bytes arrive, although the client still sends: its bytes are read for a
/// moment, and dropped. The client's connection is no longer its pool's, and closes when it is
/// dropped.
///
/// Everything works through `&self`: one task may receive while another sends.
pub struct Upgraded {
    /// There until it is dropped.
    transport: Option<Transport>,
    /// The bytes that came with the message before it.
    unread: Cell<Option<ManagedBuf>>,
    /// Reading or writing has failed.
    is_broken: Cell<bool>,
    /// None of the client's.
    server: Option<ServerSide>,
}

/// The part of an upgraded connection that only a server has.
struct ServerSide {
    stop: Rc<StopNotice>,
    way_back: WayBack,
}

/// The place where a connection is left that is to be ended.
pub(crate) type WayBack = Rc<Cell<Option<Transport>>>;

impl Upgraded {
    /// A connection of the client's.
    pub(crate) fn of_client(transport: Transport, unread: ManagedBuf) -> Self {
        Self {
            transport: Some(transport),
            unread: Cell::new((!unread.is_empty()).then_some(unread)),
            is_broken: Cell::new(false),
            server: None,
        }
    }

    /// A connection of a server's. It is left in `way_back`, unless it breaks.
    pub(crate) fn of_server(
        transport: Transport,
        unread: Vec<u8>,
        stop: Rc<StopNotice>,
        way_back: WayBack,
    ) -> Self {
        let mut upgraded = Self::of_client(transport, ManagedBuf::own(unread));
        upgraded.server = Some(ServerSide { stop, way_back });
        upgraded
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
        budget::turn().await;
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Sends all of `buf` and gives it back.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    ///
    /// # Cancel safety
    ///
    /// On a socket a write that has begun is sent whole. On another stream, TLS included, a
    /// beginning of `buf` may have been sent.
    pub async fn write_all<B: IoBuf + AsRef<[u8]>>(&self, buf: B) -> io::Result<B> {
        let result = self.transport().write_all(buf).await;
        budget::turn().await;
        self.note(result)
    }

    /// Ends the sending direction after the bytes before.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.note(self.transport().shutdown().await)
    }

    /// Takes the next bytes. An empty buffer is the end. See
    /// [`ByteRead`](crate::io::ByteRead#polling) for its promises.
    ///
    /// # Errors
    ///
    /// The errors of the connection.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        if let Some(unread) = self.unread.take() {
            return Poll::Ready(Ok(unread));
        }
        let received = ready!(self.transport().poll_recv_in_turn(context));
        Poll::Ready(self.note(received))
    }

    /// As [`poll_recv`](Self::poll_recv), into `room` where that saves a copy. See
    /// [`ByteRead::poll_recv_into`](crate::io::ByteRead::poll_recv_into).
    ///
    /// # Errors
    ///
    /// The errors of the connection.
    pub fn poll_recv_into(
        &self,
        context: &mut Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        if let Some(unread) = self.unread.take() {
            return Poll::Ready(Ok(Some(unread)));
        }
        let received = ready!(self.transport().poll_recv_into(context, room));
        Poll::Ready(self.note(received))
    }

    /// Takes the first bytes of `bytes`, and returns how many. A connection that is a socket sends
    /// them as [`TcpStream::poll_write`](crate::net::TcpStream::poll_write) does.
    ///
    /// # Errors
    ///
    /// The errors of the connection, that of bytes taken before included.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = ready!(self.transport().poll_write(context, bytes));
        Poll::Ready(self.note(taken))
    }

    /// Waits until the bytes that were taken are on their way.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.transport().poll_flush(context));
        Poll::Ready(self.note(flushed))
    }

    /// Ends the sending direction after what was taken. Receiving goes on.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = ready!(self.transport().poll_shutdown(context));
        Poll::Ready(self.note(ended))
    }

    /// Waits until the server begins to stop. A connection of the client's has no server: it waits
    /// for ever.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn stopping(&self) {
        match &self.server {
            Some(server) => server.stop.stopping().await,
            None => pending().await,
        }
    }
}

reads_by_method!(Upgraded);
writes_by_method!(Upgraded);

impl Drop for Upgraded {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            let transport = self.transport.take();
            let is_whole = !self.is_broken.get();
            server.way_back.set(transport.filter(|_| is_whole));
        }
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("transport", self.transport())
            .finish_non_exhaustive()
    }
}
