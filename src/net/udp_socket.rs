//! A UDP socket.

use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    Datagram, RecvMeta, ToAddrs, UdpBindOptions,
    udp_receive::{RecvDatagram, UdpReceive},
};
use crate::{
    budget::{self, PutOff},
    buf::{BufError, BufResult, IoBufMut, fill},
    driver::{self, Driver, Key},
    op::{self, AnyFd, Descriptor, Owner},
    sys::{self, DatagramHeader, SocketAddress, option},
};

/// The state that a socket's handle and its operations share.
pub(super) type Shared = Descriptor<Udp>;

/// The state beside a UDP socket's descriptor.
pub(super) struct Udp {
    pub(super) receive: UdpReceive,
    /// The box of a header that was sent, for the next one.
    pub(super) spare_header: Cell<Option<Box<DatagramHeader>>>,
    /// The wait of a poll that could not send.
    pub(super) send_wait: Cell<Option<Key>>,
    /// Whether a poll of each direction was put off.
    receive_put_off: Cell<PutOff>,
    pub(super) send_put_off: Cell<PutOff>,
    /// `AF_INET` or `AF_INET6`.
    family: i32,
    /// A bit for each fact that the kernel tells about datagrams.
    pub(super) told: Cell<u8>,
}

impl Owner for Udp {}

/// A UDP socket, which sends and receives datagrams.
///
/// Everything works through `&self`: one task may receive while another sends. Share it by `Rc`.
///
/// After the first call that receives the socket receives by itself, into buffers of the runtime,
/// and a future only waits for that: no memory is held while nothing arrives, and a receive that is
/// dropped loses no datagram. At 32 datagrams that no task has taken, and what the kernel had under
/// way, it stops; what follows waits in the kernel's buffer. When that is full the kernel throws
/// datagrams away, as UDP does everywhere else on their way:
/// [`UdpBindOptions::recv_buffer_bytes`] makes it larger.
///
/// # Long datagrams
///
/// A datagram of up to 2,048 bytes is always received whole, and one of up to about 4,000 with the
/// receive buffers as they are by default. Of a longer one the beginning is received, and
/// [`Datagram::is_truncated`] tells so. [`set_datagram_bytes_max`](Self::set_datagram_bytes_max)
/// makes room.
///
/// # Examples
///
/// ```
/// use annulus::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.connect(server.local_addr()?).await?;
///     client.send("hello").await?;
///
///     let (datagram, from) = server.recv_from().await?;
///     // It is sent back from the memory where it was received.
///     server.send_to(datagram, from).await?;
///     assert_eq!(&*client.recv().await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
pub struct UdpSocket {
    shared: Rc<Shared>,
}

impl UdpSocket {
    /// Makes a socket with the first of `addrs` that can be bound, with the default options. Port 0
    /// means any free port.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL` and others.
    pub async fn bind(addrs: impl ToAddrs) -> io::Result<Self> {
        Self::options().bind(addrs).await
    }

    /// Returns the options of a socket, for [`UdpBindOptions::bind`].
    #[must_use]
    pub fn options() -> UdpBindOptions {
        UdpBindOptions::default()
    }

    /// Takes over a socket of std's.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        let driver = driver::current()?;
        // The ring waits by itself, and old kernels only do so for a socket in blocking mode.
        socket.set_nonblocking(!driver.uses_ring())?;
        Self::from_fd(socket.into(), &driver)
    }

    pub(super) fn from_fd(fd: OwnedFd, driver: &Rc<Driver>) -> io::Result<Self> {
        let family = sys::socket_option(fd.as_raw_fd(), option::SOL_SOCKET, option::SO_DOMAIN)?;
        let udp = Udp {
            receive: UdpReceive::new(driver),
            spare_header: Cell::new(None),
            send_wait: Cell::new(None),
            receive_put_off: Cell::default(),
            send_put_off: Cell::default(),
            family,
            told: Cell::new(0),
        };
        Ok(Self {
            shared: Descriptor::new(fd, Rc::clone(driver), udp),
        })
    }

    /// Gives the socket back to std, in blocking mode, with the datagrams that were received and
    /// not taken, in their order.
    ///
    /// # Errors
    ///
    /// Outside of its runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the socket is closed.
    pub async fn into_std(self) -> io::Result<(std::net::UdpSocket, Vec<Datagram>)> {
        let receive = &self.shared.extra.receive;
        // No future can be waiting, since each borrows the socket.
        let mut datagrams = Vec::new();
        poll_fn(|context| receive.poll_stop(&self.shared, context, &mut datagrams)).await?;
        self.end_send_wait();
        let fd = self.shared.take().ok_or_else(driver::foreign_runtime)?;
        let socket = std::net::UdpSocket::from(fd);
        socket.set_nonblocking(false)?;
        Ok((socket, datagrams))
    }

    pub(super) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    pub(super) fn family(&self) -> i32 {
        self.shared.extra.family
    }

    /// Sets where [`send`](Self::send) sends to: the first of `addrs` that the kernel accepts. From
    /// then on the kernel passes on datagrams from there only, besides those that it has received
    /// already.
    ///
    /// Nothing is sent. The network's answer to a datagram comes later, with the next call:
    /// `ECONNREFUSED` when the other host has no socket at that port.
    ///
    /// # Errors
    ///
    /// The last address's error when there is no way to any: `ENETUNREACH`, `EAFNOSUPPORT`,
    /// `EACCES` for a broadcast address without [`UdpBindOptions::broadcast`].
    ///
    /// # Cancel safety
    ///
    /// Dropped while a name is looked up, nothing was changed.
    pub async fn connect(&self, addrs: impl ToAddrs) -> io::Result<()> {
        budget::turn().await;
        let addrs = addrs.to_addrs().await?;
        self.shared.driver().check_current()?;
        let mut failed = None;
        for addr in addrs {
            let address = SocketAddress::from(addr);
            match sys::Completion::new(sys::connect_now(self.shared.raw(), &address)).result() {
                Ok(_) => return Ok(()),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| {
            let text = "expected an address to connect to, found none";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        }))
    }

    /// Returns the address that it is bound to.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self.shared.raw())
    }

    /// Returns the address that it is connected to.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` when it is not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::peer_addr(self.shared.raw())
    }

    /// Receives the next datagram, in memory that the kernel filled. [`Datagram::addr`] is its
    /// sender. Several callers are served in the order of asking.
    ///
    /// # Errors
    ///
    /// On a connected socket the answer of the network to a datagram that it has sent:
    /// `ECONNREFUSED`, `EHOSTUNREACH` and others. Each is told once, and receiving goes
    /// on after it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a datagram that arrives after the future is dropped is there at the next
    /// call.
    ///
    /// # Kernel
    ///
    /// From 6.0 on one operation receives datagram after datagram (`IORING_OP_RECVMSG`, multishot).
    /// Before that, and on the poll driver, readiness and recvmmsg(2) do.
    pub async fn recv(&self) -> io::Result<Datagram> {
        RecvDatagram::new(&self.shared).await
    }

    /// Receives the next datagram, with its sender.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_from(&self) -> io::Result<(Datagram, SocketAddr)> {
        let datagram = RecvDatagram::new(&self.shared).await?;
        let addr = datagram.addr();
        Ok((datagram, addr))
    }

    /// Receives a datagram that has arrived already, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when none is there, or another task waits for one. Otherwise as
    /// [`recv`](Self::recv).
    pub fn try_recv(&self) -> io::Result<Datagram> {
        budget::spend();
        self.shared.extra.receive.try_next(&self.shared)
    }

    /// As [`try_recv`](Self::try_recv), with the sender.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_from(&self) -> io::Result<(Datagram, SocketAddr)> {
        let datagram = self.try_recv()?;
        let addr = datagram.addr();
        Ok((datagram, addr))
    }

    /// Receives the next datagram into `buf`, overwriting it from its start, and sets its length.
    /// The rest of a datagram that is longer than `buf` is thrown away, and
    /// [`RecvMeta::is_truncated`] tells so.
    ///
    /// It copies from where the datagram was received.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and `InvalidInput` when `buf` has no room; the buffer comes back
    /// with the error.
    ///
    /// # Cancel safety
    ///
    /// No datagram is lost. The buffer is dropped.
    pub async fn read_from<B: IoBufMut>(&self, buf: B) -> BufResult<RecvMeta, B> {
        self.copy_next(buf, false).await
    }

    /// As [`read_from`](Self::read_from), and leaves the datagram in the socket: the next receive
    /// receives it again.
    ///
    /// # Errors
    ///
    /// As [`read_from`](Self::read_from).
    ///
    /// # Cancel safety
    ///
    /// As [`read_from`](Self::read_from).
    pub async fn peek_from<B: IoBufMut>(&self, buf: B) -> BufResult<RecvMeta, B> {
        self.copy_next(buf, true).await
    }

    async fn copy_next<B: IoBufMut>(&self, mut buf: B, peek: bool) -> BufResult<RecvMeta, B> {
        if buf.capacity() == 0 {
            return Err(BufError::no_room(buf));
        }
        match self.recv().await {
            Ok(datagram) => {
                let meta = datagram.meta().cut_to(fill(&mut buf, &datagram));
                if peek {
                    self.shared.extra.receive.put_back(datagram);
                }
                Ok((meta, buf))
            }
            Err(error) => Err(BufError::new(error, buf)),
        }
    }

    /// Takes the next datagram. For adapters and for futures that are written by hand.
    ///
    /// The socket keeps one waker for this direction, that of the last poll. It stays when the
    /// future that has polled is dropped, and a later poll, or a call of [`recv`](Self::recv) and
    /// its like, takes its place. While another task waits by those, a poll waits until that one is
    /// served.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv). Outside of its runtime, or after the end of that, the error says so
    /// and the poll never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::net::UdpSocket;
    /// use std::future::poll_fn;
    ///
    /// annulus::run(async {
    ///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let addr = socket.local_addr()?;
    ///     poll_fn(|context| socket.poll_send_to(context, b"hello", addr)).await?;
    ///     let (datagram, from) = poll_fn(|context| socket.poll_recv_from(context)).await?;
    ///     assert_eq!((&*datagram, from), (&b"hello"[..], addr));
    ///     std::io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    pub fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(Datagram, SocketAddr)>> {
        let udp = &self.shared.extra;
        self.shared.driver().check_current()?;
        if !udp.receive.turns().poll_free(context) || is_put_off(&udp.receive_put_off, context) {
            return Poll::Pending;
        }
        let datagram = ready!(udp.receive.poll_next(&self.shared, context))?;
        budget::spend();
        let addr = datagram.addr();
        Poll::Ready(Ok((datagram, addr)))
    }

    fn end_send_wait(&self) {
        if let Some(key) = self.shared.extra.send_wait.take() {
            let fd = Rc::clone(&self.shared) as AnyFd;
            op::abandon_wait(self.shared.driver(), key, fd);
        }
    }
}

/// Whether an operation waits for the next poll of its task. See [`budget`].
pub(super) fn is_put_off(put_off: &Cell<PutOff>, context: &Context<'_>) -> bool {
    if !budget::is_spent() {
        return false;
    }
    let mut state = put_off.take();
    let waits = state.waits(context);
    put_off.set(state);
    waits
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.end_send_wait();
        let fd = Rc::clone(&self.shared) as AnyFd;
        let driver = self.shared.driver();
        self.shared.extra.receive.abandon(driver, fd);
    }
}

impl AsFd for UdpSocket {
    /// The descriptor. Receiving from it races with the receive that the kernel may be doing for
    /// this socket.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.borrow()
    }
}

impl AsRawFd for UdpSocket {
    /// The descriptor. Receiving from it races with the receive that the kernel may be doing for
    /// this socket.
    fn as_raw_fd(&self) -> RawFd {
        self.shared.raw()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("fd", &self.shared.raw())
            .finish_non_exhaustive()
    }
}
