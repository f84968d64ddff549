//! The options of a listening TCP socket.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
    rc::Rc,
};

use super::{
    TcpListener, ToAddrs,
    acceptor::BACKLOG_DEFAULT,
    rebind::{Rebind, bind_again},
};
use crate::{
    driver::{self, Driver},
    sys::{self, SocketAddress, option},
    time,
};

/// The options of a listening TCP socket. Made by [`TcpListener::options`].
#[derive(Clone, Debug)]
pub struct TcpListenOptions {
    backlog: u32,
    reuse_port: bool,
    only_v6: Option<bool>,
    nodelay: bool,
}

impl Default for TcpListenOptions {
    fn default() -> Self {
        Self {
            backlog: BACKLOG_DEFAULT,
            reuse_port: false,
            only_v6: None,
            nodelay: true,
        }
    }
}

impl TcpListenOptions {
    /// Sets how many connections the kernel keeps until they are accepted. 4096 by default, and at
    /// most `net.core.somaxconn`.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Sets whether several sockets may listen on one address (`SO_REUSEPORT`); the kernel deals
    /// the connections out among them. Off by default.
    #[must_use]
    pub fn reuse_port(mut self, reuse_port: bool) -> Self {
        self.reuse_port = reuse_port;
        self
    }

    /// Sets whether an IPv6 socket refuses IPv4 connections (`IPV6_V6ONLY`). The system decides by
    /// default.
    #[must_use]
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.only_v6 = Some(only_v6);
        self
    }

    /// Sets whether accepted connections send small writes at once (`TCP_NODELAY`). On by default.
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
    /// The last address's error when none can: `EADDRINUSE`, `EACCES` and others. As std's it has
    /// the errno, for [`raw_os_error`](io::Error::raw_os_error), and so no room for the address. A
    /// program that shows it adds that:
    ///
    /// ```
    /// use std::io;
    ///
    /// use annulus::net::TcpListener;
    ///
    /// # annulus::run(async {
    /// # let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    /// # let addr = taken.local_addr().unwrap();
    /// let bound = TcpListener::bind(addr).await.map_err(|error| {
    ///     io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"))
    /// });
    /// # let error = bound.unwrap_err();
    /// # assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    /// # assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:"));
    /// # });
    /// ```
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
                "expected an address to listen at, found none",
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

    /// As [`listen`](Self::listen), for the first of several sockets that share an address. Without
    /// [`reuse_port`](Self::reuse_port) no other program can share it.
    pub(crate) fn listen_first(&self, addr: SocketAddr) -> io::Result<std::net::TcpListener> {
        bind_again(|| self.listen_once(addr, true))
    }

    /// As [`listen_first`](Self::listen_first), for a socket that keeps the address for the others
    /// and does not listen.
    pub(crate) fn bind_first(&self, addr: SocketAddr) -> io::Result<std::net::TcpListener> {
        bind_again(|| self.bind_once(addr, true).map(Into::into))
    }

    fn listen_once(&self, addr: SocketAddr, shares: bool) -> io::Result<std::net::TcpListener> {
        let socket = self.bind_once(addr, shares)?;
        sys::listen(socket.as_raw_fd(), self.backlog)?;
        Ok(socket.into())
    }

    fn bind_once(&self, addr: SocketAddr, shares: bool) -> io::Result<OwnedFd> {
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
        Ok(socket)
    }
}
