//! The addresses of this machine that connections are opened from.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::net::TcpStream;

/// The addresses of this machine that connections are opened from, at most one of each family. With
/// none of them the kernel chooses; with one, hosts are connected to by that family only.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LocalAddrs {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

impl LocalAddrs {
    pub(crate) fn set(&mut self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => self.v4 = Some(addr),
            IpAddr::V6(addr) => self.v6 = Some(addr),
        }
    }

    fn is_empty(self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    fn towards(self, addr: SocketAddr) -> Option<IpAddr> {
        match addr {
            SocketAddr::V4(_) => self.v4.map(IpAddr::from),
            SocketAddr::V6(_) => self.v6.map(IpAddr::from),
        }
    }

    /// Those of a host's addresses that can be connected to.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn reachable(self, mut addrs: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        if !self.is_empty() && !addrs.is_empty() {
            addrs.retain(|&addr| self.towards(addr).is_some());
            if addrs.is_empty() {
                let text = "the host has no address of the local address's family";
                return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
            }
        }
        Ok(addrs)
    }

    pub(crate) async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        match self.towards(addr) {
            Some(local) => TcpStream::connect_from((local, 0).into(), addr).await,
            None => TcpStream::connect(addr).await,
        }
    }
}
