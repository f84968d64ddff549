//! A connection that speaks another protocol than HTTP now, on either side.

use std::{
    cell::Cell,
    fmt,
    future::{Future, pending, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    Transport,
    tunnelled::{Departed, Left, Tunnelled},
};
use crate::{
    budget,
    buf::{IoBuf, IoVectored, Room},
    http::stop_notice::StopNotice,
    io::{reads_by_method, writes_by_method},
    net::Outbox,
    pool::ManagedBuf,
    unwind,
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
struct Held {
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
    fn new(departed: Departed) -> Rc<Self> {
        let unread = departed.unread;
        let unread = (!unread.is_empty()).then(|| Box::new(unread));
        Rc::new(Self {
            transport: departed.transport,
            unread: Cell::new(unread),
            is_broken: Cell::new(false),
            stop: departed.stop,
        })
    }
}

/// Gives a connection of a server's to `use_it`.
pub(crate) fn used_by<F>(departed: Departed, use_it: F) -> Box<dyn Tunnelled>
where
    F: AsyncFnOnce(Upgraded) + 'static,
{
    let held = Held::new(departed);
    let upgraded = Upgraded {
        held: Rc::clone(&held),
    };
    Box::new(Used {
        future: Box::pin(use_it(upgraded)),
        held,
    })
}

/// A connection that a handler's function uses.
struct Used {
    future: Pin<Box<dyn Future<Output = ()>>>,
    held: Rc<Held>,
}

impl Tunnelled for Used {
    fn poll(&mut self, context: &mut Context<'_>, _: &Rc<Outbox>) -> Poll<()> {
        self.future.as_mut().poll(context)
    }

    fn look(&self, call: &mut dyn FnMut(&Transport)) {
        call(&self.held.transport);
    }

    fn leave(self: Box<Self>, has_returned: bool) -> Left {
        let Self { future, held } = *self;
        let is_whole = unwind::caught(|| drop(future)).is_some() && has_returned;
        // Another task may have it now, and closes it.
        let held = Rc::try_unwrap(held).ok();
        let held = held.filter(|held| !is_whole || !held.is_broken.get());
        Left::new(is_whole, held.map(|held| held.transport))
    }
}

impl Upgraded {
    /// A connection of the client's.
    pub(crate) fn of_client(transport: Transport, unread: ManagedBuf) -> Self {
        let departed = Departed {
            transport,
            unread,
            stop: None,
        };
        Self {
            held: Held::new(departed),
        }
    }

    /// A connection of the client's that was not used yet, for a protocol of this crate's.
    pub(crate) fn into_departed(self) -> Departed {
        let held = Rc::try_unwrap(self.held).ok();
        let held = held.expect("a connection of the client's has one owner");
        Departed {
            transport: held.transport,
            unread: held
                .unread
                .take()
                .map_or_else(ManagedBuf::empty, |unread| *unread),
            stop: held.stop,
        }
    }

    fn transport(&self) -> &Transport {
        &self.held.transport
    }

    fn take_unread(&self) -> Option<ManagedBuf> {
        self.held.unread.take().map(|unread| *unread)
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
    /// [`TcpStream::poll_write_vectored`](crate::net::TcpStream::poll_write_vectored) does.
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
