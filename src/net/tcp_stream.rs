//! A TCP connection.

use std::{
    fmt, io,
    net::{Shutdown, SocketAddr},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Detached, OwnedReadHalf, OwnedWriteHalf, ToAddrs,
    receive::{Read, Receive, Recv},
    send_queue::{InTurn, SendQueue, SendTurn},
    tcp_options,
    turns::Ticket,
};
use crate::{
    buf::{BufError, BufResult, IoBuf, IoBufMut, IoVectored, bytes_of},
    driver::{self, Driver},
    op::{self, AnyFd, Connect, Descriptor, InFlight, OnDrop, Readiness, Send, SendVectored},
    pool::ManagedBuf,
    sys::{self, PollEvents, SocketAddress, option},
};

/// What a stream's handles and its operations share.
pub(super) type Shared = Descriptor<Socket>;

/// The two directions of a socket.
pub(super) struct Socket {
    pub(super) receive: Receive,
    pub(super) send: SendQueue,
}

/// A TCP connection.
///
/// Everything works through `&self`: one task may receive while another sends. Share it by `Rc`, or
/// by [`into_split`](Self::into_split), whose halves need no lock. `TCP_NODELAY` is on, but for
/// sockets that were made elsewhere.
///
/// Dropping the last handle closes the connection. A write that was dropped in flight is finished
/// first, for at most five seconds.
///
/// # Examples
///
/// ```no_run
/// use annulus::net::TcpStream;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let stream = TcpStream::connect("127.0.0.1:7000").await?;
///     stream.write_all("hello").await?;
///     let answer = stream.recv().await?;
///     println!("{} bytes", answer.len());
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpStream {
    shared: Rc<Shared>,
}

impl TcpStream {
    /// Connects to the first of `addrs` that answers, trying them in turn.
    ///
    /// A name is looked up on a helper thread.
    ///
    /// # Errors
    ///
    /// The last address's error when none answers.
    ///
    /// # Cancel safety
    ///
    /// A connection under way is closed.
    pub async fn connect(addrs: impl ToAddrs) -> io::Result<Self> {
        let driver = driver::current()?;
        let mut failed = None;
        for addr in addrs.to_addrs().await? {
            match Self::connect_one(&driver, addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "expected an address, found none",
            )
        }))
    }

    async fn connect_one(driver: &Rc<Driver>, addr: SocketAddr) -> io::Result<Self> {
        let family = SocketAddress::from(addr).family();
        // A connect that is waited for by readiness must not block.
        let nonblocking = !(driver.uses_ring() && driver.features().fast_poll);
        let stream = Self::from_fd(sys::new_socket(family, nonblocking)?, driver);
        stream.set_nodelay(true)?;
        InFlight::new(Rc::clone(driver), Connect::new(stream.any_fd(), addr)).await?;
        Ok(stream)
    }

    /// Takes over a connected socket of std's.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        let driver = driver::current()?;
        // The ring waits by itself, and old kernels only do so for a socket in blocking mode.
        stream.set_nonblocking(!driver.uses_ring())?;
        Ok(Self::from_fd(stream.into(), &driver))
    }

    /// Takes over a connected socket.
    pub(super) fn from_fd(fd: OwnedFd, driver: &Rc<Driver>) -> Self {
        let socket = Socket {
            receive: Receive::new(),
            send: SendQueue::default(),
        };
        Self {
            shared: Descriptor::new(fd, OnDrop::Close, Rc::clone(driver), socket),
        }
    }

    /// Receives the next bytes, in memory that the kernel filled. Empty means that the peer has
    /// finished sending.
    ///
    /// No memory is held while nothing arrives. Several callers are served in the order of asking.
    ///
    /// # Errors
    ///
    /// `ECONNRESET` and others, after all bytes that came before; from then on, empty.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what arrives after the future is dropped is there at the next call.
    ///
    /// # Kernel
    ///
    /// One operation serves the whole connection from 6.0 on, one each message from 5.19 on; before
    /// that, and on the poll driver, readiness and a plain receive.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        Recv::new(&self.shared).await
    }

    /// Receives what is here already.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is nothing, or somebody is waiting for it.
    pub fn try_recv(&self) -> io::Result<ManagedBuf> {
        self.shared.extra.receive.try_next(&self.shared)
    }

    /// As [`recv`](Self::recv), for a future of this crate's own that alone receives here.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "the HTTP server uses it")
    )]
    pub(crate) fn poll_recv(&self, context: &Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.shared.extra.receive.poll_next(&self.shared, context)
    }

    /// Reads into `buf`, overwriting it from its start, and sets its length. A count of zero means
    /// that the peer has finished sending, or that `buf` has no room.
    ///
    /// After several reads in a row that filled their buffers the kernel writes straight into a large
    /// `buf`; otherwise bytes are copied from where they arrived.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); the buffer comes back with the error.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: bytes that had already arrived are kept for the next call. The buffer is
    /// dropped, as soon as the kernel no longer uses it.
    pub async fn read<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        Read::new(&self.shared, buf, false).await
    }

    /// Reads into the room behind what `buf` holds, and lengthens it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// No received byte is lost, but the buffer is dropped, with what it held.
    pub async fn read_append<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        let start = buf.len();
        match Read::new(&self.shared, buf.slice_mut(start), false).await {
            Ok((count, slice)) => Ok((count, slice.into_inner())),
            Err(error) => Err(error.map(crate::buf::SliceMut::into_inner)),
        }
    }

    /// Reads into `buf` what the next read will read again.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read).
    pub async fn peek<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        Read::new(&self.shared, buf, true).await
    }

    /// Resolves when the peer has finished sending, or the connection is gone, whether or not all
    /// bytes before that were taken.
    ///
    /// # Errors
    ///
    /// Only when the wait itself fails.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) -> io::Result<()> {
        let driver = self.shared.driver();
        driver.check_current()?;
        if self.shared.extra.receive.has_ended(driver) {
            return Ok(());
        }
        Readiness::new(self.any_fd(), PollEvents::CLOSED).await
    }

    /// Sends the start of `buf`, as much as the kernel takes, and tells how many bytes that was.
    ///
    /// # Errors
    ///
    /// `EPIPE` and `ECONNRESET` when the peer is gone, or the error of an earlier write whose
    /// future was dropped. The buffer comes back with the error.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its turn it has sent nothing. Dropped in flight it is sent whole, in the
    /// background and before any later write: never write the same bytes again.
    pub async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        InTurn::new(&self.shared, Send::new(self.any_fd(), buf, false)).await
    }

    /// Sends as much of `bytes` as the kernel takes at once, and tells how many bytes that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel takes none, or another write is under way. Otherwise as
    /// [`write`](Self::write).
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.driver().check_current()?;
        let queue = &self.shared.extra.send;
        if !queue.is_free() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        queue.take_error()?;
        op::send_now(&self.shared, bytes)
    }

    /// Sends all of `buf`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write). How much was sent before the error is not known.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    pub async fn write_all<B: IoBuf>(&self, buf: B) -> Result<B, BufError<B>> {
        let sent = match self.send_at_once(&buf) {
            Ok(sent) if sent == buf.len() => return Ok(buf),
            Ok(sent) => sent,
            Err(error) => return Err(BufError::new(error, buf)),
        };
        let op = Send::new(self.any_fd(), buf, true).behind(sent);
        InTurn::new(&self.shared, op).await.map(|(_, buf)| buf)
    }

    /// As [`write_all`](Self::write_all), in a future that does not borrow the stream.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only HTTP uses it"))]
    pub(crate) fn write_whole<B: IoBuf>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<usize, B>> + 'static {
        InTurn::new(&self.shared, Send::new(self.any_fd(), buf, true))
    }

    /// Sends the start of several buffers, as much as the kernel takes, by one call.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    pub async fn write_vectored<B: IoVectored>(&self, bufs: B) -> BufResult<usize, B> {
        InTurn::new(&self.shared, SendVectored::new(self.any_fd(), bufs, false)).await
    }

    /// Sends all of several buffers, one after the other.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    pub async fn write_all_vectored<B: IoVectored>(&self, bufs: B) -> Result<B, BufError<B>> {
        let op = SendVectored::new(self.any_fd(), bufs, true);
        InTurn::new(&self.shared, op).await.map(|(_, bufs)| bufs)
    }

    /// Waits until every write that has begun is in the kernel's hands.
    ///
    /// # Errors
    ///
    /// The error of a write whose future was dropped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn flush(&self) -> io::Result<()> {
        self.shared.driver().check_current()?;
        let turn = SendTurn::new(&self.shared);
        turn.wait().await;
        self.shared.extra.send.take_error()
    }

    /// Ends one direction, or both. Ending the sending one waits for the writes before it; the
    /// peer then sees the end of the stream behind their bytes.
    ///
    /// # Errors
    ///
    /// The error of a write whose future was dropped; `ENOTCONN` when the connection is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was ended.
    pub async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shared.driver().check_current()?;
        let how = match how {
            Shutdown::Read => {
                let result = sys::shutdown(self.shared.raw(), option::SHUT_RD);
                return sys::Completion::new(result).result().map(drop);
            }
            Shutdown::Write => option::SHUT_WR,
            Shutdown::Both => option::SHUT_RDWR,
        };
        let turn = SendTurn::new(&self.shared);
        turn.wait().await;
        let sent = self.shared.extra.send.take_error();
        let result = sys::shutdown(self.shared.raw(), how);
        sent.and(sys::Completion::new(result).result().map(drop))
    }

    /// Two halves, for two tasks. Dropping the writing half ends that direction.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        super::owned_halves::split(self)
    }

    /// Takes the connection out of this runtime, with the bytes that were received and not taken:
    /// for another worker, or for std.
    ///
    /// It waits for writes under way and for the kernel to end its receive.
    ///
    /// # Errors
    ///
    /// The error of a write whose future was dropped, or of the receive when no bytes came before
    /// it. The connection is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn detach(self) -> io::Result<Detached> {
        self.flush().await?;
        let receive = &self.shared.extra.receive;
        let mut bytes = Vec::new();
        let turn = ReceiveTurn {
            shared: &self.shared,
            ticket: Ticket::new(),
        };
        turn.wait().await;
        std::future::poll_fn(|context| receive.poll_stop(&self.shared, context, &mut bytes))
            .await?;
        let error = receive.take_error();
        if let (Some(errno), true) = (error, bytes.is_empty()) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let socket = self.shared.take().ok_or_else(driver::foreign_runtime)?;
        Ok(Detached::new(socket, bytes, error))
    }

    /// Puts bytes in front of what will be received.
    pub(super) fn unread(&self, bytes: Vec<u8>) {
        self.shared.extra.receive.unread(ManagedBuf::own(bytes));
    }

    /// Ends the receiving direction with an error, behind the bytes put in front.
    pub(super) fn end_receives_with(&self, errno: i32) {
        self.shared.extra.receive.end_with(errno);
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self.shared.raw())
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` when the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::peer_addr(self.shared.raw())
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`). They are, by default.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        tcp_options::set_nodelay(self.shared.raw(), nodelay)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        tcp_options::nodelay(self.shared.raw())
    }

    /// Probes an idle peer after `idle`, in whole seconds and at least one; `None` never does.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        tcp_options::set_keepalive(self.shared.raw(), idle)
    }

    /// What the kernel does at close with bytes that the peer has not taken: `None` sends them in
    /// the background, zero throws them away and resets the connection, anything else (in whole
    /// seconds) makes the close itself wait, which blocks this thread.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        tcp_options::set_linger(self.shared.raw(), linger)
    }

    /// Ends the sending direction behind the writes that have begun.
    pub(super) fn end_sends(&self) {
        SendQueue::end(&self.shared);
    }

    /// Sends what the kernel takes at once, where that is the cheapest way and no other write would
    /// be overtaken: zero bytes elsewhere, and the rest is for an operation.
    pub(crate) fn send_at_once<B: IoBuf>(&self, buf: &B) -> io::Result<usize> {
        self.shared.driver().check_current()?;
        let queue = &self.shared.extra.send;
        if !queue.is_free() || !op::sends_at_once(&self.shared) {
            return Ok(0);
        }
        queue.take_error()?;
        match op::send_now(&self.shared, bytes_of(buf)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    pub(super) fn any_fd(&self) -> AnyFd {
        Rc::clone(&self.shared) as AnyFd
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        SendQueue::linger(&self.shared);
        self.shared
            .extra
            .receive
            .abandon(self.shared.driver(), self.any_fd());
    }
}

impl AsRawFd for TcpStream {
    /// The descriptor. Reading from it races with the receive that the kernel may be doing for
    /// this stream; take the stream out by [`detach`](Self::detach) first.
    fn as_raw_fd(&self) -> RawFd {
        self.shared.raw()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("fd", &self.shared.raw())
            .finish_non_exhaustive()
    }
}

/// A place in the queue of receives that takes nothing.
struct ReceiveTurn<'a> {
    shared: &'a Rc<Shared>,
    ticket: Ticket,
}

impl ReceiveTurn<'_> {
    async fn wait(&self) {
        let turns = self.shared.extra.receive.turns();
        std::future::poll_fn(|context| {
            if turns.poll(&self.ticket, context) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for ReceiveTurn<'_> {
    fn drop(&mut self) {
        self.shared.extra.receive.turns().leave(&self.ticket);
    }
}

impl crate::io::Receive for TcpStream {
    type Bytes = ManagedBuf;

    async fn receive(&self) -> io::Result<ManagedBuf> {
        self.recv().await
    }
}
