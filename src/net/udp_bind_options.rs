//! The options that a UDP socket is bound with.

use std::{io, net::SocketAddr, os::fd::AsRawFd as _, rc::Rc};

use super::{ToAddrs, UdpSocket, rebind::Rebind};
use crate::{
    driver::{self, Driver},
    sys::{self, SocketAddress, option},
    time,
};

/// The options that a UDP socket is bound with. Made by [`UdpSocket::options`].
///
/// They are set before the socket is bound, so that they hold for the first datagram. Further
/// options, such as those for multicast groups, are methods of [`UdpSocket`].
///
/// # Examples
///
/// ```
/// use annulus::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     // One socket for IPv6 and IPv4, with room for bursts.
///     let socket = UdpSocket::options()
///         .only_v6(false)
///         .recv_buffer_bytes(1 << 20)
///         .bind("[::]:0")
///         .await?;
///     println!("bound to {}", socket.local_addr()?);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct UdpBindOptions {
    reuse_address: bool,
    reuse_port: bool,
    only_v6: Option<bool>,
    recv_buffer_bytes: Option<usize>,
    send_buffer_bytes: Option<usize>,
    broadcast: bool,
    ttl: Option<u32>,
    tos: Option<u8>,
    dont_fragment: bool,
    gro: bool,
    recv_ecn: bool,
    recv_pktinfo: bool,
    recv_timestamps: bool,
    datagram_bytes_max: Option<usize>,
}

impl UdpBindOptions {
    /// Sets whether other sockets that have this option may be bound to the same address
    /// (`SO_REUSEADDR`): each gets a copy of a datagram that is sent to a group, and the last one
    /// gets all others. Off by default.
    #[must_use]
    pub fn reuse_address(mut self, on: bool) -> Self {
        self.reuse_address = on;
        self
    }

    /// Sets whether several sockets of one user may have one address (`SO_REUSEPORT`); the kernel
    /// deals the datagrams out among them, those of one sender always to the same. Off by default.
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// Sets whether an IPv6 socket sends and receives IPv6 only, and no IPv4 (`IPV6_V6ONLY`). The
    /// system decides by default.
    #[must_use]
    pub fn only_v6(mut self, on: bool) -> Self {
        self.only_v6 = Some(on);
        self
    }

    /// Sets the size of the kernel's receive buffer. See
    /// [`UdpSocket::set_recv_buffer_bytes`].
    #[must_use]
    pub fn recv_buffer_bytes(mut self, bytes: usize) -> Self {
        self.recv_buffer_bytes = Some(bytes);
        self
    }

    /// Sets the size of the kernel's send buffer. See [`UdpSocket::set_send_buffer_bytes`].
    #[must_use]
    pub fn send_buffer_bytes(mut self, bytes: usize) -> Self {
        self.send_buffer_bytes = Some(bytes);
        self
    }

    /// Sets whether it may send to broadcast addresses. Off by default.
    #[must_use]
    pub fn broadcast(mut self, on: bool) -> Self {
        self.broadcast = on;
        self
    }

    /// Sets how many routers a datagram may pass. See [`UdpSocket::set_ttl`].
    #[must_use]
    pub fn ttl(mut self, ttl: u32) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets the type of service. See [`UdpSocket::set_tos`].
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = Some(tos);
        self
    }

    /// Sets whether datagrams are never split on their way. See
    /// [`UdpSocket::set_dont_fragment`]. Off by default.
    #[must_use]
    pub fn dont_fragment(mut self, on: bool) -> Self {
        self.dont_fragment = on;
        self
    }

    /// Sets whether the kernel may hand several datagrams over as one. See
    /// [`UdpSocket::set_gro`]. Off by default.
    #[must_use]
    pub fn gro(mut self, on: bool) -> Self {
        self.gro = on;
        self
    }

    /// Sets whether datagrams come with their congestion mark. See
    /// [`UdpSocket::set_recv_ecn`]. Off by default.
    #[must_use]
    pub fn recv_ecn(mut self, on: bool) -> Self {
        self.recv_ecn = on;
        self
    }

    /// Sets whether datagrams come with the address that they were sent to. See
    /// [`UdpSocket::set_recv_pktinfo`]. Off by default.
    #[must_use]
    pub fn recv_pktinfo(mut self, on: bool) -> Self {
        self.recv_pktinfo = on;
        self
    }

    /// Sets whether datagrams come with the time when the kernel received them. See
    /// [`UdpSocket::set_recv_timestamps`]. Off by default.
    #[must_use]
    pub fn recv_timestamps(mut self, on: bool) -> Self {
        self.recv_timestamps = on;
        self
    }

    /// Sets the length up to which a datagram is always received whole; 2,048 bytes by default.
    /// See [`UdpSocket::set_datagram_bytes_max`].
    #[must_use]
    pub fn datagram_bytes_max(mut self, bytes: usize) -> Self {
        self.datagram_bytes_max = Some(bytes);
        self
    }

    /// Makes a socket with the first of `addrs` that can be bound.
    ///
    /// An address that is in use is waited for, for a quarter of a second: the kernel ends the
    /// socket of a process that was killed a little later than the process, when that used a ring.
    ///
    /// # Errors
    ///
    /// The last address's error when none can: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, or that of
    /// an option.
    ///
    /// # Cancel safety
    ///
    /// Nothing is bound.
    pub async fn bind(&self, addrs: impl ToAddrs) -> io::Result<UdpSocket> {
        let driver = driver::current()?;
        let mut failed = None;
        let addrs = addrs.to_addrs().await?;
        // The look-up may have ended in another runtime.
        driver.check_current()?;
        for addr in addrs {
            match self.bind_one(addr, &driver).await {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| {
            let text = "expected an address to bind to, found none";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        }))
    }

    async fn bind_one(&self, addr: SocketAddr, driver: &Rc<Driver>) -> io::Result<UdpSocket> {
        let mut rebind = Rebind::new();
        loop {
            let error = match self.bind_once(addr, driver) {
                Ok(socket) => return Ok(socket),
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

    fn bind_once(&self, addr: SocketAddr, driver: &Rc<Driver>) -> io::Result<UdpSocket> {
        let address = SocketAddress::from(addr);
        // The ring waits by itself, and old kernels only do so for a socket in blocking mode.
        let fd = sys::new_datagram_socket(address.family(), !driver.uses_ring())?;
        let socket = UdpSocket::from_fd(fd, driver)?;
        self.set_on(&socket, addr)?;
        sys::bind(socket.as_raw_fd(), &address)?;
        Ok(socket)
    }

    fn set_on(&self, socket: &UdpSocket, addr: SocketAddr) -> io::Result<()> {
        let fd = socket.as_raw_fd();
        let set = |level, name, on| sys::set_int_option(fd, level, name, i32::from(on));
        if self.reuse_address {
            set(option::SOL_SOCKET, option::SO_REUSEADDR, true)?;
        }
        if self.reuse_port {
            set(option::SOL_SOCKET, option::SO_REUSEPORT, true)?;
        }
        if let (Some(only_v6), true) = (self.only_v6, addr.is_ipv6()) {
            set(option::IPPROTO_IPV6, option::IPV6_V6ONLY, only_v6)?;
        }
        let given = |on: bool| on.then_some(true);
        apply(self.recv_buffer_bytes, |bytes| {
            socket.set_recv_buffer_bytes(bytes)
        })?;
        apply(self.send_buffer_bytes, |bytes| {
            socket.set_send_buffer_bytes(bytes)
        })?;
        apply(self.ttl, |ttl| socket.set_ttl(ttl))?;
        apply(self.tos, |tos| socket.set_tos(tos))?;
        apply(given(self.broadcast), |on| socket.set_broadcast(on))?;
        apply(given(self.dont_fragment), |on| socket.set_dont_fragment(on))?;
        apply(given(self.gro), |on| socket.set_gro(on))?;
        apply(given(self.recv_ecn), |on| socket.set_recv_ecn(on))?;
        apply(given(self.recv_pktinfo), |on| socket.set_recv_pktinfo(on))?;
        apply(given(self.recv_timestamps), |on| {
            socket.set_recv_timestamps(on)
        })?;
        if let Some(bytes) = self.datagram_bytes_max {
            socket.set_datagram_bytes_max(bytes);
        }
        Ok(())
    }
}

/// Sets an option that was given.
fn apply<T>(value: Option<T>, set: impl FnOnce(T) -> io::Result<()>) -> io::Result<()> {
    value.map_or(Ok(()), set)
}
