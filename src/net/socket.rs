//! The core of every stream socket below its public type: two directions over one descriptor.

use std::{
    cell::Cell,
    io,
    net::{Shutdown, SocketAddr},
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use super::{
    balance::{Counted, Seat},
    receive::{Flood, Gone, GoneWait, Read, Receive, Recv},
    send_queue::{InTurn, SendAll, SendQueue, SendTurn},
    turns::Ticket,
};
use crate::{
    budget::{self, PutOff},
    buf::{BufError, BufResult, IoBuf, IoBufMut, IoVectored, SliceMut, bytes_of},
    driver::{self, Driver},
    op::{self, AnyFd, Descriptor, Owner, Readiness, SendBytes, SendVectored},
    pool::ManagedBuf,
    sys::{self, PollEvents, TcpBytes, option},
};

/// The least and the most of a Unix socket's [`piece_bytes_max`](Socket::piece_bytes_max): less
/// than the smallest buffer that the kernel grants, and what it keeps in one piece itself.
const PIECE_BYTES_MIN: usize = 1024;
const PIECE_BYTES_MAX: usize = 32 * 1024;

/// The state that a socket's handle and its operations share.
pub(super) type Shared = Descriptor<Directions>;

/// The two directions of a socket.
pub(super) struct Directions {
    pub(super) receive: Receive,
    pub(super) send: SendQueue,
    family: Family,
    /// Whether a poll of each direction, which has no future, was put off.
    pub(super) receive_put_off: Cell<PutOff>,
    pub(super) send_put_off: Cell<PutOff>,
    /// The connection's part in the load of its worker, if its listener balances.
    _seat: Option<Seat>,
}

impl Owner for Directions {}

impl Directions {
    /// Whether a receive that does not fill its buffer has taken all there was, but for what epoll
    /// tells of. One of a Unix socket also ends where a descriptor was passed.
    pub(super) fn short_receive_takes_all(&self) -> bool {
        self.family == Family::Tcp
    }
}

/// A connected stream socket of any family. The public streams tell what its methods promise.
///
/// Dropping it closes the connection, once the kernel and the writes under way are done with it.
pub struct Socket {
    shared: Rc<Shared>,
}

/// A public type over a [`Socket`]. It has this name inside of the crate only.
pub trait Stream: Sized {
    const FAMILY: Family;

    fn from_socket(socket: Socket) -> Self;
    fn socket(&self) -> &Socket;
}

/// The socket's owner, where the kernel makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Tcp,
    /// From 6.17 until it was repaired in 2026, a multishot receive of a Unix socket misses the end
    /// of the stream when the last bytes and the end arrive together, and then waits for ever
    /// (liburing's issue 1549). So each message takes an entry.
    Unix,
}

impl Socket {
    /// Takes over a connected socket.
    #[inline]
    pub(super) fn from_fd(fd: OwnedFd, family: Family, driver: &Rc<Driver>) -> Self {
        Self::seated(fd, None, family, driver)
    }

    /// Takes over a connection that counts as load of this worker.
    pub(super) fn from_handed(
        fd: OwnedFd,
        counted: &Counted,
        family: Family,
        driver: &Rc<Driver>,
    ) -> Self {
        Self::seated(fd, Seat::take(counted), family, driver)
    }

    fn seated(fd: OwnedFd, seat: Option<Seat>, family: Family, driver: &Rc<Driver>) -> Self {
        let directions = Directions {
            receive: Receive::new(driver, family == Family::Tcp),
            send: SendQueue::default(),
            family,
            receive_put_off: Cell::default(),
            send_put_off: Cell::default(),
            _seat: seat,
        };
        Self {
            shared: Descriptor::new(fd, Rc::clone(driver), directions),
        }
    }

    /// Takes over a connected socket of std's, whose mode is set by `set_nonblocking`.
    pub(super) fn from_std<S: Into<OwnedFd>>(
        stream: S,
        family: Family,
        set_nonblocking: impl FnOnce(&S, bool) -> io::Result<()>,
    ) -> io::Result<Self> {
        let driver = driver::current()?;
        // The ring waits by itself, and old kernels only do so for a socket in blocking mode.
        set_nonblocking(&stream, !driver.uses_ring())?;
        Ok(Self::from_fd(stream.into(), family, &driver))
    }

    /// Takes over a connected socket that belongs to no runtime.
    pub(super) fn attach(fd: OwnedFd, family: Family) -> io::Result<Self> {
        Self::from_std(fd, family, |fd, on| {
            sys::set_nonblocking(fd.as_raw_fd(), on)
        })
    }

    pub(crate) fn raw(&self) -> i32 {
        self.shared.raw()
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    pub(super) fn any_fd(&self) -> AnyFd {
        Rc::clone(&self.shared) as AnyFd
    }

    pub(super) fn recv(&self) -> Recv<'_> {
        Recv::new(&self.shared)
    }

    pub(super) fn try_recv(&self) -> io::Result<ManagedBuf> {
        budget::spend();
        self.shared.extra.receive.try_next(&self.shared)
    }

    /// As `recv`, for a future of this crate's own that alone receives here.
    pub(crate) fn poll_recv(&self, context: &Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.shared.extra.receive.poll_next(&self.shared, context)
    }

    /// Whether nothing has come, neither bytes nor an end, and a receive waits for it. It may
    /// forget whom to wake.
    pub(crate) fn is_silent(&self) -> bool {
        self.shared.extra.receive.is_silent(&self.shared)
    }

    /// Whether the kernel has something that was not received, of a connection that goes on.
    pub(crate) fn has_unreceived(&self) -> bool {
        sys::has_unreceived(self.raw())
    }

    /// Collects the completions that the kernel has, unless that was done a moment before `now`.
    pub(crate) fn catch_up(&self, now: Instant) {
        self.shared.driver().catch_up(now);
    }

    /// Collects the completions that the kernel has.
    pub(crate) fn collect_now(&self) {
        self.shared.driver().collect_now();
    }

    /// As [`poll_recv`](Self::poll_recv), more at once while the peer sends as fast as it is taken.
    pub(crate) fn poll_recv_up_to(
        &self,
        flood: Flood,
        context: &Context<'_>,
    ) -> Poll<io::Result<ManagedBuf>> {
        let receive = &self.shared.extra.receive;
        receive.poll_next_up_to(flood, &self.shared, context)
    }

    /// Whether a receive waits for more than there may be.
    pub(crate) fn is_gathering(&self) -> bool {
        self.shared.extra.receive.is_gathering()
    }

    /// Resolves when the peer is gone: when the connection has failed, or has ended in both
    /// directions, and when the peer has finished sending if `fin_counts`. Nothing is taken: what
    /// was received before, and the error, are there at the next receive.
    ///
    /// One waker is kept for this and for [`poll_recv`](Self::poll_recv), so both are for the same
    /// task. No other task receives meanwhile.
    pub(crate) fn poll_gone(
        &self,
        context: &mut Context<'_>,
        wait: &mut GoneWait,
        fin_counts: bool,
    ) -> Poll<Gone> {
        let receive = &self.shared.extra.receive;
        receive.poll_gone(&self.shared, context, wait, fin_counts)
    }

    pub(super) fn read<B: IoBufMut>(&self, buf: B) -> Read<'_, B> {
        Read::new(&self.shared, buf, false)
    }

    pub(super) async fn read_append<B: IoBufMut>(&self, buf: B) -> BufResult<usize, B> {
        let start = buf.len();
        match Read::new(&self.shared, buf.slice_mut(start), false).await {
            Ok((count, slice)) => Ok((count, slice.into_inner())),
            Err(error) => Err(error.map(SliceMut::into_inner)),
        }
    }

    pub(super) fn peek<B: IoBufMut>(&self, buf: B) -> Read<'_, B> {
        Read::new(&self.shared, buf, true)
    }

    pub(super) async fn closed(&self) -> io::Result<()> {
        let driver = self.shared.driver();
        driver.check_current()?;
        if self.shared.extra.receive.has_ended(driver) {
            return Ok(());
        }
        Readiness::new(self.any_fd(), PollEvents::CLOSED).await
    }

    pub(super) async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        let len = buf.len();
        let op = SendBytes::new(self.any_fd(), buf, false);
        let result = InTurn::new(&self.shared, op).await;
        // A caller that drops a write in its turn counts on all of it being sent, so one that fell
        // short returns at once.
        if !matches!(result, Ok((count, _)) if count < len) {
            budget::turn().await;
        }
        result
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        budget::spend();
        self.shared.driver().check_current()?;
        let queue = &self.shared.extra.send;
        if !queue.is_free() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        queue.take_error()?;
        self.send_now(bytes)
    }

    /// As [`try_write`](Self::try_write), of `len` bytes from `offset` of a file. The thread waits
    /// for the file's device unless the page cache has them.
    pub(crate) fn try_send_file(&self, file: RawFd, offset: u64, len: usize) -> io::Result<usize> {
        budget::spend();
        self.shared.driver().check_current()?;
        let queue = &self.shared.extra.send;
        if !queue.is_free() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        queue.take_error()?;
        let sent = op::send_file_now(&self.shared, file, offset, len);
        self.look_after(sent)
    }

    /// Sends what the kernel takes at once. After an error for good the receive is looked at.
    pub(super) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.look_after(op::send_now(&self.shared, bytes))
    }

    /// As [`send_now`](Self::send_now), of several slices.
    pub(super) fn send_vectored_now(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.look_after(op::send_vectored_now(&self.shared, slices))
    }

    #[inline]
    fn look_after(&self, sent: io::Result<usize>) -> io::Result<usize> {
        if matches!(&sent, Err(error) if error.kind() != io::ErrorKind::WouldBlock) {
            self.shared.extra.receive.look(self.shared.driver());
        }
        sent
    }

    pub(crate) async fn write_all<B: IoBuf>(&self, buf: B) -> Result<B, BufError<B>> {
        let sent = match self.send_at_once(&buf) {
            Ok(sent) if sent == buf.len() => {
                budget::spend();
                if budget::is_spent() {
                    budget::turn().await;
                }
                return Ok(buf);
            }
            Ok(sent) => sent,
            Err(error) => return Err(BufError::new(error, buf)),
        };
        let op = SendBytes::new(self.any_fd(), buf, true).behind(sent);
        let result = InTurn::new(&self.shared, op).await.map(|(_, buf)| buf);
        // It has waited.
        budget::spend();
        result
    }

    /// As `write_all`, in a future that does not borrow the socket.
    pub(crate) fn write_whole<B: IoBuf>(&self, buf: B) -> SendAll<B> {
        InTurn::new(&self.shared, SendBytes::new(self.any_fd(), buf, true))
    }

    /// As [`write_whole`](Self::write_whole), for several buffers.
    pub(crate) fn write_whole_vectored<B: IoVectored>(
        &self,
        bufs: B,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        InTurn::new(&self.shared, SendVectored::new(self.any_fd(), bufs, true))
    }

    /// Ends the connection at once, by a reset where the protocol has one: operations under way
    /// fail, and what was not sent is thrown away.
    pub(crate) fn cut(&self) {
        if self.shared.driver().is_inherited() {
            // It is the parent's connection.
            return;
        }
        // A shutdown would send a FIN first, by which half an answer could look like a whole one.
        if sys::disconnect(self.shared.raw()) < 0 {
            sys::shutdown(self.shared.raw(), option::SHUT_RDWR);
        }
    }

    /// How many bytes went each way; none for Unix sockets, of which the kernel does not tell.
    pub(crate) fn bytes(&self) -> Option<TcpBytes> {
        sys::tcp_bytes(self.shared.raw())
    }

    /// A figure that changes whenever the peer takes bytes; none when the kernel does not tell.
    /// That of a Unix socket grows with what is sent, too, so that it tells only of a write of at
    /// most [`piece_bytes_max`](Self::piece_bytes_max).
    pub(crate) fn bytes_taken(&self) -> Option<u64> {
        match self.shared.extra.family {
            Family::Tcp => self.bytes().map(|bytes| bytes.acked),
            Family::Unix => u64::try_from(sys::unacknowledged(self.raw()).ok()?).ok(),
        }
    }

    /// Whether the peer's system has acknowledged all that was sent, a FIN as well; of a Unix
    /// socket, whether the peer has read it.
    pub(crate) fn is_acknowledged(&self) -> bool {
        sys::unacknowledged(self.raw()).is_ok_and(|bytes| bytes == 0)
    }

    /// How much to write at once for [`bytes_taken`](Self::bytes_taken) to tell whether the peer
    /// takes any of it.
    ///
    /// A Unix socket takes nothing until three quarters of its buffer are free, so that a quarter
    /// goes in at once, and is in or waits for the peer to take what is before it.
    pub(crate) fn piece_bytes_max(&self) -> usize {
        if self.shared.extra.family == Family::Tcp {
            return usize::MAX;
        }
        let buffer = sys::socket_option(self.raw(), option::SOL_SOCKET, option::SO_SNDBUF);
        let buffer = buffer.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0));
        (buffer / 4).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)
    }

    /// The address of the other end, which a Unix socket has none of.
    pub(crate) fn is_unix(&self) -> bool {
        self.shared.extra.family == Family::Unix
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        sys::accepted_addr(self.shared.raw())
    }

    pub(super) async fn write_vectored<B: IoVectored>(&self, bufs: B) -> BufResult<usize, B> {
        let len = bufs.total_len();
        let op = SendVectored::new(self.any_fd(), bufs, false);
        let result = InTurn::new(&self.shared, op).await;
        // As in `write`.
        if !matches!(result, Ok((count, _)) if count < len) {
            budget::turn().await;
        }
        result
    }

    pub(super) async fn write_all_vectored<B: IoVectored>(
        &self,
        bufs: B,
    ) -> Result<B, BufError<B>> {
        let op = SendVectored::new(self.any_fd(), bufs, true);
        let result = InTurn::new(&self.shared, op).await;
        budget::turn().await;
        result.map(|(_, bufs)| bufs)
    }

    pub(super) async fn flush(&self) -> io::Result<()> {
        let turn = SendTurn::new(&self.shared);
        turn.wait().await?;
        self.shared.extra.send.take_error()
    }

    pub(crate) async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
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
        turn.wait().await?;
        let sent = self.shared.extra.send.take_error();
        let result = sys::shutdown(self.shared.raw(), how);
        sent.and(sys::Completion::new(result).result().map(drop))
    }

    /// Ends the sending direction after the writes that have begun.
    pub(super) fn end_sends(&self) {
        SendQueue::end(&self.shared);
    }

    /// Takes the descriptor out, with the bytes that were received and not taken, and the errno
    /// behind them.
    pub(super) async fn detach(self) -> io::Result<(OwnedFd, Vec<u8>, Option<i32>)> {
        self.flush().await?;
        let receive = &self.shared.extra.receive;
        let mut bytes = Vec::new();
        let turn = ReceiveTurn {
            shared: &self.shared,
            ticket: Ticket::new(),
        };
        turn.wait().await?;
        std::future::poll_fn(|context| receive.poll_stop(&self.shared, context, &mut bytes))
            .await?;
        let error = receive.take_error();
        if let (Some(errno), true) = (error, bytes.is_empty()) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let fd = self.shared.take().ok_or_else(driver::foreign_runtime)?;
        Ok((fd, bytes, error))
    }

    /// Takes the descriptor out of a socket that nothing was done with.
    pub(super) fn into_fd(self) -> Option<OwnedFd> {
        self.shared.take()
    }

    /// Puts bytes in front of what will be received, which is an error if there is an `errno`.
    pub(super) fn unread(&self, bytes: Vec<u8>, errno: Option<i32>) {
        let receive = &self.shared.extra.receive;
        if !bytes.is_empty() {
            receive.unread(ManagedBuf::own(bytes));
        }
        if let Some(errno) = errno {
            receive.end_with(errno);
        }
    }

    /// Sends what the kernel takes at once, where that is the cheapest way and no other write would
    /// be overtaken. So most writes need no operation in flight at all.
    pub(crate) fn send_at_once<B: IoBuf>(&self, buf: &B) -> io::Result<usize> {
        self.shared.driver().check_current()?;
        let queue = &self.shared.extra.send;
        if !queue.is_free() || !op::sends_at_once(&self.shared) {
            return Ok(0);
        }
        queue.take_error()?;
        match self.send_now(bytes_of(buf)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        SendQueue::linger(&self.shared);
        self.shared
            .extra
            .receive
            .abandon(self.shared.driver(), self.any_fd());
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
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
    async fn wait(&self) -> io::Result<()> {
        let turns = self.shared.extra.receive.turns();
        std::future::poll_fn(|context| turns.poll_turn(self.shared.driver(), &self.ticket, context))
            .await
    }
}

impl Drop for ReceiveTurn<'_> {
    fn drop(&mut self) {
        self.shared.extra.receive.turns().leave(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection costs this, its slot in the driver, and its owner's record.
    #[test]
    fn a_socket_is_small() {
        let counts = 2 * size_of::<usize>();
        let bytes = counts + size_of::<Shared>();
        // The allocator adds eight, and rounds up to sixteen.
        assert!(bytes <= 120, "{bytes}");
    }
}
