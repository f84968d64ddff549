//! A TCP connection.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Detached, OwnedReadHalf, OwnedWriteHalf, ToAddrs,
    socket::{Family, Socket, Stream},
    stream_methods::stream_methods,
    tcp_options,
};
use crate::{
    budget,
    buf::{BufError, BufResult, IoBuf, IoBufMut, IoVectored, Room},
    driver::{self, Driver},
    op::{Connect, InFlight},
    pool::ManagedBuf,
    sys::{self, SocketAddress},
};

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
    socket: Socket,
}

stream_methods!(TcpStream, Family::Tcp);

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
            match Self::connect_one(&driver, None, addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "expected an address to connect to, found none",
            )
        }))
    }

    /// Connects to `addr` from `local`, an address of this machine. A port of zero there is chosen
    /// by the kernel, as for any connection.
    ///
    /// # Errors
    ///
    /// Those of bind(2) and connect(2): `EADDRNOTAVAIL` when the machine does not have that address
    /// or no port is left.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::net::TcpStream;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let local = ([127, 0, 0, 2], 0).into();
    /// let stream = TcpStream::connect_from(local, ([127, 0, 0, 1], 7000).into()).await?;
    /// # drop(stream);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect_from(local: SocketAddr, addr: SocketAddr) -> io::Result<Self> {
        Self::connect_one(&driver::current()?, Some(local), addr).await
    }

    async fn connect_one(
        driver: &Rc<Driver>,
        local: Option<SocketAddr>,
        addr: SocketAddr,
    ) -> io::Result<Self> {
        budget::turn().await;
        let family = SocketAddress::from(addr).family();
        // A connect that is waited for by readiness must not block.
        let nonblocking = !(driver.uses_ring() && driver.features().fast_poll);
        let socket = Socket::from_fd(sys::new_socket(family, nonblocking)?, Family::Tcp, driver);
        let stream = Self { socket };
        stream.set_nodelay(true)?;
        if let Some(local) = local {
            tcp_options::bind_local(stream.socket.raw(), local)?;
        }
        let op = Connect::new(stream.socket.any_fd(), addr);
        InFlight::new(Rc::clone(driver), op).await?;
        // It may have been awaited to its end in another runtime, where the stream is of no use.
        driver.check_current()?;
        Ok(stream)
    }

    /// Takes over a connected socket of std's.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        let socket = Socket::from_std(stream, Family::Tcp, std::net::TcpStream::set_nonblocking)?;
        Ok(Self { socket })
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self.socket.raw())
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` when the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::peer_addr(self.socket.raw())
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`). On by default.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        tcp_options::set_nodelay(self.socket.raw(), nodelay)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        tcp_options::nodelay(self.socket.raw())
    }

    /// Sets whether an idle peer is probed after `idle`, in whole seconds and at least one; `None`
    /// never does.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        tcp_options::set_keepalive(self.socket.raw(), idle)
    }

    /// Sets how a close treats bytes that the peer has not acknowledged. `None` sends them in the
    /// background. Zero throws them away and resets the connection. Any other time, in whole
    /// seconds, makes the close itself wait, which blocks this thread.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        tcp_options::set_linger(self.socket.raw(), linger)
    }
}

impl AsRawFd for TcpStream {
    /// The descriptor. Reading from it races with the receive that the kernel may be doing for
    /// this stream; take the stream out by [`detach`](Self::detach) first.
    fn as_raw_fd(&self) -> RawFd {
        self.socket.raw()
    }
}
