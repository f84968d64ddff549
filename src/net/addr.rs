//! Addresses to connect to or to listen on.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs},
};

use crate::blocking::{self, Work};

/// An address, or a name that stands for one or several addresses. Names are looked up on a helper
/// thread, so a slow name server never stops the thread's other work.
///
/// Implemented for socket addresses, for `"host:port"` strings, and for pairs of a host, or an IP
/// address, and a port.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address to connect to or to listen on",
    note = "these are: `\"host:port\"`, `(\"host\", port)`, `(IpAddr, port)`, a `SocketAddr`, and a \
            `Vec` or slice of those"
)]
pub trait ToAddrs {
    /// The addresses, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// When the name is unknown or the text is no address.
    fn to_addrs(self) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;
}

impl ToAddrs for SocketAddr {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self])
    }
}

impl ToAddrs for SocketAddrV4 {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.into()])
    }
}

impl ToAddrs for SocketAddrV6 {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.into()])
    }
}

/// An IP address in each of its forms, and a port. One implementation for all that turn into an
/// `IpAddr` would keep host names out.
macro_rules! ip_and_port {
    ($($Ip:ty),*) => {$(
        impl ToAddrs for ($Ip, u16) {
            async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
                Ok(vec![SocketAddr::new(self.0.into(), self.1)])
            }
        }
    )*};
}

ip_and_port!(IpAddr, Ipv4Addr, Ipv6Addr, [u8; 4], [u8; 16], [u16; 8]);

impl ToAddrs for (&str, u16) {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = self;
        if let Ok(ip) = host.parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        look_up((host.to_owned(), port)).await
    }
}

impl ToAddrs for (String, u16) {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        (self.0.as_str(), self.1).to_addrs().await
    }
}

impl ToAddrs for &[SocketAddr] {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl ToAddrs for Vec<SocketAddr> {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        Ok(self)
    }
}

impl ToAddrs for &str {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(addr) = self.parse() {
            return Ok(vec![addr]);
        }
        look_up(self.to_owned()).await
    }
}

impl ToAddrs for String {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_addrs().await
    }
}

impl ToAddrs for &String {
    async fn to_addrs(self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_addrs().await
    }
}

async fn look_up(
    host_and_port: impl ToSocketAddrs + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let look_up = move || host_and_port.to_socket_addrs().map(Iterator::collect);
    blocking::run_as(Work::Names, look_up).await
}
