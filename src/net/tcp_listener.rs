//! A TCP socket that accepts connections.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    rc::Rc,
    sync::Arc,
};

use super::{
    Incoming, TcpListenOptions, TcpStream, ToAddrs,
    acceptor::Acceptor,
    balance::Balance,
    dealt_by_core::{DealtByCore, DealtSocket},
    socket::{Family, Stream as _},
};
use crate::{
    driver::{self, Driver},
    sys,
};

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
    /// The place among sockets that the kernel deals to by processor, which it leaves when it is
    /// dropped.
    _dealt: Option<DealtSocket>,
}

impl TcpListener {
    /// Listens on the first of `addrs` that can be bound, with the default options.
    ///
    /// # Errors
    ///
    /// As [`TcpListenOptions::bind`].
    pub async fn bind(addrs: impl ToAddrs) -> io::Result<Self> {
        Self::options().bind(addrs).await
    }

    /// Returns the options of a listening socket, for [`TcpListenOptions::bind`].
    #[must_use]
    pub fn options() -> TcpListenOptions {
        TcpListenOptions::default()
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

    /// Takes the part of worker `index` in a socket of several workers.
    pub(crate) fn balanced(
        listener: std::net::TcpListener,
        balance: &Arc<Balance>,
        index: usize,
    ) -> io::Result<Self> {
        let acceptor = Acceptor::balanced_tcp(listener, balance, index)?;
        Ok(Self::new(acceptor))
    }

    /// Takes the socket that `listen` makes, to which the kernel deals the connections that arrive
    /// on `core`.
    pub(crate) fn dealt(
        all: &Arc<DealtByCore>,
        core: usize,
        listen: impl FnOnce() -> io::Result<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let (listener, dealt) = all.add(core, listen)?;
        Ok(Self {
            _dealt: Some(dealt),
            ..Self::from_std(listener)?
        })
    }

    fn new(acceptor: Acceptor) -> Self {
        Self {
            acceptor,
            _dealt: None,
        }
    }

    pub(super) fn from_fd(socket: OwnedFd, driver: &Rc<Driver>) -> io::Result<Self> {
        let acceptor = Acceptor::from_fd(socket, Family::Tcp, driver)?;
        Ok(Self::new(acceptor))
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
        // Bytes that a peer has sent can be read, even if its address is unknown.
        let peer = sys::accepted_addr(stream.as_raw_fd());
        let peer = peer.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into());
        Ok((stream, peer))
    }

    /// Returns the connections as a stream that never ends.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.acceptor)
    }

    /// Returns the address that it listens on, with the port that the system chose for port 0.
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
