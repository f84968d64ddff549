//! Options of a TCP socket.

use std::{io, net::SocketAddr, time::Duration};

use crate::sys::{self, SocketAddress, option};

pub(super) fn set_nodelay(fd: i32, nodelay: bool) -> io::Result<()> {
    sys::set_int_option(
        fd,
        option::IPPROTO_TCP,
        option::TCP_NODELAY,
        i32::from(nodelay),
    )
}

pub(super) fn nodelay(fd: i32) -> io::Result<bool> {
    Ok(sys::socket_option(fd, option::IPPROTO_TCP, option::TCP_NODELAY)? != 0)
}

pub(super) fn set_keepalive(fd: i32, idle: Option<Duration>) -> io::Result<()> {
    if let Some(idle) = idle {
        let seconds = whole_seconds(idle).max(1);
        sys::set_int_option(fd, option::IPPROTO_TCP, option::TCP_KEEPIDLE, seconds)?;
    }
    sys::set_int_option(
        fd,
        option::SOL_SOCKET,
        option::SO_KEEPALIVE,
        i32::from(idle.is_some()),
    )
}

pub(super) fn set_linger(fd: i32, linger: Option<Duration>) -> io::Result<()> {
    sys::set_linger(fd, linger.map(whole_seconds))
}

/// Binds a socket that will connect.
pub(super) fn bind_local(fd: i32, local: SocketAddr) -> io::Result<()> {
    if local.port() == 0 {
        // The port need only be free towards the address that the socket connects to.
        sys::set_int_option(fd, option::IPPROTO_IP, option::IP_BIND_ADDRESS_NO_PORT, 1)?;
    }
    sys::bind(fd, &SocketAddress::from(local))
}

fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
