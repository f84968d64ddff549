//! A connection that speaks another protocol than HTTP now, on either side.

use std::{
    cell::Cell,
    fmt,
    future::{pending, poll_fn},
    io::{self, IoSlice},
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::Transport;
use crate::{
    budget,
    buf::{IoBuf, IoVectored, Room},
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
    held: Rc<Held>,
}

/// The state of an upgraded connection. A server has it too, to close the connection once the
/// handler's function has returned.
pub(crate) struct Held {
    transport: Transport,
    /// The bytes that came with the message before it. Most have none, so there is room for a
    /// pointer only.
    unread: Cell<Option<Box<ManagedBuf>>>,
    /// Reading or writing has failed.
    is_broken: Cell<bool>,
    /// That of its server; none of the client's.
    stop: Option<Rc<StopNotice>>,
}

impl Held {
    fn new(transport: Transport, unread: ManagedBuf, stop: Option<Rc<StopNotice>>) -> Rc<Self> {
        let unread = (!unread.is_empty()).then(|| Box::new(unread));
        Rc::new(Self {
            transport,
            unread: Cell::new(unread),
            is_broken: Cell::new(false),
            stop,
        })
    }

    /// A connection of a server's.
    pub(crate) fn of_server(
        transport: Transport,
        unread: Vec<u8>,
        stop: Rc<StopNotice>,
    ) -> Rc<Self> {
        Self::new(transport, ManagedBuf::own(unread), Some(stop))
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Takes the connection, unless it is broken.
    pub(crate) fn into_whole(self) -> Option<Transport> {
        (!self.is_broken.get()).then_some(self.transport)
    }
}

impl Upgraded {
    pub(crate) fn new(held: Rc<Held>) -> Self {
        Self { held }
    }

    /// A connection of the client's.
    pub(crate) fn of_client(transport: Transport, unread: ManagedBuf) -> Self {
        Self::new(Held::new(transport, unread, None))
    }

    fn transport(&self) -> &Transport {
        &self.held.transport
    }

    fn take_unread(&self) -> Option<ManagedBuf> {
        self.held.unread.take().map(|unread| *unread)
    }

    /// The address of the other end.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.transport().peer_addr()
    }

    /// The notice of its server's stop; none at a client.
    pub(crate) fn stop_notice(&self) -> Option<&Rc<StopNotice>> {
        self.held.stop.as_ref()
    }

    /// Sees to it that what has come by now is known.
    pub(crate) fn collect_now(&self) {
        self.transport().collect_now();
    }

    /// Lets a server close it without a word, since its peer does not answer.
    pub(crate) fn give_up(&self) {
        self.held.is_broken.set(true);
    }

    fn note<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.held.is_broken.set(true);
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
        self.note(self.transport().send_all(buf).await)
    }

    /// Sends all of several buffers, one after the other, and gives them back. A socket sends them
    /// by one call, from where they are.
    ///
    /// # Errors
    ///
    /// The error of the connection.
    ///
    /// # Cancel safety
    ///
    /// As [`write_all`](Self::write_all).
    ///
    /// # Examples
    ///
    /// A length and a message, which is not copied:
    ///
    /// ```
    /// use std::io;
    /// use annulus::http::Upgraded;
    /// use bytes::Bytes;
    ///
    /// async fn send(connection: &Upgraded, message: Bytes) -> io::Result<()> {
    ///     let len = u32::try_from(message.len()).map_err(io::Error::other)?;
    ///     connection
    ///         .write_all_vectored((len.to_be_bytes().to_vec(), message))
    ///         .await
    ///         .map(drop)
    /// }
    /// ```
    pub async fn write_all_vectored<B: IoVectored>(&self, bufs: B) -> io::Result<B> {
        self.note(self.transport().send_all_vectored(bufs).await)
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
        if let Some(unread) = self.take_unread() {
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
        if let Some(unread) = self.take_unread() {
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

    /// Takes the first bytes of `slices`, one slice after the other, and returns how many. A
    /// connection that is a socket sends them as
    /// [`TcpStream::poll_write_vectored`](crate::net::TcpStream::poll_write_vectored) does; TLS
    /// takes bytes of one slice.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(self.transport().poll_write_vectored(context, slices));
        Poll::Ready(self.note(taken))
    }

    /// Whether [`poll_write_vectored`](Self::poll_write_vectored) takes bytes of several slices.
    #[must_use]
    pub fn is_write_vectored(&self) -> bool {
        self.transport().is_write_vectored()
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
        match &self.held.stop {
            Some(stop) => stop.stopping().await,
            None => pending().await,
        }
    }
}

reads_by_method!(Upgraded);
writes_by_method!(vectored if Upgraded::is_write_vectored => Upgraded);

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("transport", self.transport())
            .finish_non_exhaustive()
    }
}
