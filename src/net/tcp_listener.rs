//! A TCP socket that accepts connections.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    rc::Rc,
};

use super::{
    Incoming, TcpStream, ToAddrs,
    acceptor::{Acceptor, BACKLOG_DEFAULT},
    rebind::{Rebind, bind_again},
    socket::{Family, Stream as _},
};
use crate::{
    driver::{self, Driver},
    sys::{self, SocketAddress, option},
    time,
};

/// Options of a listening socket. Made by [`TcpListener::options`].
#[derive(Clone, Debug)]
pub struct ListenOptions {
    backlog: u32,
    reuse_port: bool,
    only_v6: Option<bool>,
    nodelay: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: BACKLOG_DEFAULT,
            reuse_port: false,
            only_v6: None,
            nodelay: true,
        }
    }
}

impl ListenOptions {
    /// How many connections the kernel keeps until they are accepted. 4096 by default, and at most
    /// `net.core.somaxconn`.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Whether several sockets may listen on one address (`SO_REUSEPORT`); the kernel deals the
    /// connections out among them. Off by default.
    #[must_use]
    pub fn reuse_port(mut self, reuse_port: bool) -> Self {
        self.reuse_port = reuse_port;
        self
    }

    /// Whether an IPv6 socket leaves IPv4 alone (`IPV6_V6ONLY`). The system decides by default.
    #[must_use]
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.only_v6 = Some(only_v6);
        self
    }

    /// Whether accepted connections send small writes at once (`TCP_NODELAY`). On by default.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Listens on the first of `addrs` that can be bound.
    ///
    /// An address that is in use is waited for, for a quarter of a second: the kernel ends the
    /// listener of a process that was killed a little later than the process, when that used a
    /// ring.
    ///
    /// # Errors
    ///
    /// The last address's error when none can: `EADDRINUSE`, `EACCES` and others.
    ///
    /// # Cancel safety
    ///
    /// Nothing is bound.
    pub async fn bind(&self, addrs: impl ToAddrs) -> io::Result<TcpListener> {
        let driver = driver::current()?;
        let mut failed = None;
        let addrs = addrs.to_addrs().await?;
        // The look-up may have ended in another runtime.
        driver.check_current()?;
        for addr in addrs {
            match self.bind_one(addr, &driver).await {
                Ok(listener) => return Ok(listener),
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

    async fn bind_one(&self, addr: SocketAddr, driver: &Rc<Driver>) -> io::Result<TcpListener> {
        let mut rebind = Rebind::new();
        loop {
            let error = match self.listen_once(addr, self.reuse_port) {
                Ok(listener) => return TcpListener::from_fd(listener.into(), driver),
                Err(error) => error,
            };
            match rebind.wait_after(&error) {
                Some(wait) => {
                    time::sleep(wait).await;
                    driver.check_current()?;
                }
                None => return Err(error),
            }
        }
    }

    /// Listens on `addr` with a socket of std's, outside of any runtime: to be made into a listener
    /// of a worker's by [`TcpListener::from_std`]. An address that is in use is waited for as by
    /// [`bind`](Self::bind), while this thread sleeps.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EACCES` and others.
    pub fn listen(&self, addr: SocketAddr) -> io::Result<std::net::TcpListener> {
        bind_again(|| self.listen_once(addr, self.reuse_port))
    }

    /// As [`listen`](Self::listen), as the first of several sockets that share an address. Without
    /// [`reuse_port`](Self::reuse_port) they share it with nobody else.
    pub(crate) fn listen_first(&self, addr: SocketAddr) -> io::Result<std::net::TcpListener> {
        bind_again(|| self.listen_once(addr, true))
    }

    fn listen_once(&self, addr: SocketAddr, shares: bool) -> io::Result<std::net::TcpListener> {
        let address = SocketAddress::from(addr);
        let socket = sys::new_socket(address.family(), false)?;
        let fd = socket.as_raw_fd();
        let set = |level, name, on| sys::set_int_option(fd, level, name, i32::from(on));
        set(option::SOL_SOCKET, option::SO_REUSEADDR, true)?;
        if self.reuse_port {
            set(option::SOL_SOCKET, option::SO_REUSEPORT, true)?;
        }
        if let (Some(only_v6), true) = (self.only_v6, addr.is_ipv6()) {
            set(option::IPPROTO_IPV6, option::IPV6_V6ONLY, only_v6)?;
        }
        // Accepted sockets inherit it, which saves a call for each.
        set(option::IPPROTO_TCP, option::TCP_NODELAY, self.nodelay)?;
        sys::bind(fd, &address)?;
        if shares && !self.reuse_port {
            // The address was free: a socket that is bound without the option bears no other.
            set(option::SOL_SOCKET, option::SO_REUSEPORT, true)?;
        }
        sys::listen(fd, self.backlog)?;
        Ok(socket.into())
    }
}

/// A TCP socket that accepts connections.
///
/// Once [`accept`](Self::accept) was called, the kernel accepts ahead where it can (5.19). When
/// more than sixteen connections wait in the listener it stops, and later ones wait in the kernel's
/// backlog; those that were in the backlog together come together, and each takes a descriptor.
/// Dropping the listener closes those that wait.
///
/// # Examples
///
/// ```no_run
/// use annulus::net::TcpListener;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     println!("listening on {}", listener.local_addr()?);
///     let (stream, peer) = listener.accept().await?;
///     stream.write_all(format!("hello, {peer}")).await?;
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpListener {
    acceptor: Acceptor,
}

impl TcpListener {
    /// Listens on the first of `addrs` that can be bound, with the default options.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EACCES` and others.
    pub async fn bind(addrs: impl ToAddrs) -> io::Result<Self> {
        Self::options().bind(addrs).await
    }

    /// Options for [`ListenOptions::bind`].
    #[must_use]
    pub fn options() -> ListenOptions {
        ListenOptions::default()
    }

    /// Takes over a listening socket of std's.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        let driver = driver::current()?;
        listener.set_nonblocking(false)?;
        Self::from_fd(listener.into(), &driver)
    }

    fn from_fd(socket: OwnedFd, driver: &Rc<Driver>) -> io::Result<Self> {
        let acceptor = Acceptor::from_fd(socket, Family::Tcp, driver)?;
        Ok(Self { acceptor })
    }

    /// Accepts the next connection. Several callers are served in the order of asking.
    ///
    /// A peer may have sent something and have reset the connection since. That connection is
    /// returned as well, with its peer's address: what was sent can be read, and then comes
    /// `ECONNRESET`. Where the system does not tell the address it is `0.0.0.0:0`.
    ///
    /// # Errors
    ///
    /// `EMFILE` and `ENFILE` mean that this process or the system is out of descriptors. The
    /// connection stays queued: close something, or simply call again, which waits for a tenth of
    /// a second before it tries.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a connection that the kernel accepts after the future is dropped stays in
    /// the listener, and the next accept returns it.
    ///
    /// # Kernel
    ///
    /// One operation serves many connections from 5.19 on.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let stream = TcpStream::from_socket(self.acceptor.accept().await?);
        // What a peer has sent is there to be read, whatever is known of the peer.
        let peer = sys::accepted_addr(stream.as_raw_fd());
        let peer = peer.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into());
        Ok((stream, peer))
    }

    /// The connections as a stream that never ends.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.acceptor)
    }

    /// The address that it listens on, with the port that the system chose for port 0.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self.acceptor.raw())
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.acceptor.raw()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("fd", &self.acceptor.raw())
            .finish_non_exhaustive()
    }
}
