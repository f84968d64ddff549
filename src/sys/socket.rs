//! Socket calls, as the ring would answer them. None of them waits, except where its name says so.

use std::{
    io,
    mem::ManuallyDrop,
    net::{SocketAddr, UdpSocket},
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::net::{SocketAddr as UnixAddr, UnixStream},
    },
};

use super::{SocketAddress, as_completion, as_result};

/// A new stream socket for addresses of `family`.
pub(crate) fn new_socket(family: i32, nonblocking: bool) -> io::Result<OwnedFd> {
    new_socket_of(family, libc::SOCK_STREAM, nonblocking)
}

/// A new datagram socket for addresses of `family`.
pub(crate) fn new_datagram_socket(family: i32, nonblocking: bool) -> io::Result<OwnedFd> {
    new_socket_of(family, libc::SOCK_DGRAM, nonblocking)
}

fn new_socket_of(family: i32, kind: i32, nonblocking: bool) -> io::Result<OwnedFd> {
    let flags = if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    // SAFETY: the call takes no address.
    let fd = as_result(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | flags, 0) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives `fd` the address `address`.
pub(crate) fn bind(fd: i32, address: &SocketAddress) -> io::Result<()> {
    // SAFETY: the address lives through the call and has the length given.
    as_result(unsafe { libc::bind(fd, address.as_ptr(), address.bytes()) }).map(drop)
}

/// Makes `fd` a listener.
pub(crate) fn listen(fd: i32, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: the call takes no address.
    as_result(unsafe { libc::listen(fd, backlog) }).map(drop)
}

pub(crate) fn connect_now(fd: i32, address: &SocketAddress) -> i32 {
    // SAFETY: the address lives through the call and has the length given.
    as_completion(unsafe { libc::connect(fd, address.as_ptr(), address.bytes()) } as isize)
}

/// The error that a socket has met since this was last asked, as minus its errno, or zero.
pub(crate) fn socket_error(fd: i32) -> i32 {
    match socket_option(fd, libc::SOL_SOCKET, libc::SO_ERROR) {
        Ok(value) => -value,
        Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// accept4(2) on a listener that must not block.
pub(crate) fn accept_now(fd: i32, flags: i32) -> i32 {
    // SAFETY: without an address to fill the kernel writes nothing.
    as_completion(
        unsafe { libc::accept4(fd, std::ptr::null_mut(), std::ptr::null_mut(), flags) } as isize,
    )
}

/// # Safety
///
/// `buf` points to `len` bytes that no other code touches during the call.
pub(crate) unsafe fn recv_now(fd: i32, buf: *mut u8, len: usize) -> i32 {
    // SAFETY: as the caller promises.
    as_completion(unsafe { libc::recv(fd, buf.cast(), len, libc::MSG_DONTWAIT) })
}

/// # Safety
///
/// `buf` points to `len` bytes that no code writes during the call.
pub(crate) unsafe fn send_now(fd: i32, buf: *const u8, len: usize) -> i32 {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: as the caller promises.
    as_completion(unsafe { libc::send(fd, buf.cast(), len, flags) })
}

/// How many parts a call takes (`IOV_MAX`).
const PARTS_MAX: usize = 1024;

/// A message header with its parts, for a gathered send. It lives in a box of its own, because
/// the kernel reads it until the send has completed.
///
/// It names the first of the parts that are still to be sent, as many as one call takes.
pub(crate) struct MessageHeader {
    header: libc::msghdr,
    parts: Vec<libc::iovec>,
    /// The first part that is not sent yet. The sent part is taken off it.
    first: usize,
}

impl MessageHeader {
    pub(crate) fn new() -> Self {
        // SAFETY: all zeros are a valid `msghdr`: no address, no parts, no control data.
        let header = unsafe { std::mem::zeroed::<libc::msghdr>() };
        Self {
            header,
            parts: Vec::new(),
            first: 0,
        }
    }

    /// Adds a part by its address and length. An empty one is left out.
    pub(crate) fn add_part(&mut self, start: *const u8, len: usize) {
        if len > 0 {
            self.parts.push(libc::iovec {
                iov_base: start.cast_mut().cast(),
                iov_len: len,
            });
        }
    }

    /// Takes `sent` bytes off the front, and names what follows.
    pub(crate) fn advance(&mut self, sent: usize) {
        let mut left = sent;
        while let Some(part) = self.parts.get_mut(self.first) {
            if left < part.iov_len {
                part.iov_base = part.iov_base.wrapping_byte_add(left);
                part.iov_len -= left;
                break;
            }
            left -= part.iov_len;
            self.first += 1;
        }
        let rest = &mut self.parts[self.first..];
        self.header.msg_iov = rest.as_mut_ptr();
        self.header.msg_iovlen = rest.len().min(PARTS_MAX) as _;
    }

    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        &raw const self.header
    }
}

impl std::fmt::Debug for MessageHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageHeader")
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

/// # Safety
///
/// Every part that `header` names is readable during the call.
pub(crate) unsafe fn sendmsg_now(fd: i32, header: &MessageHeader) -> i32 {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: as the caller promises.
    as_completion(unsafe { libc::sendmsg(fd, header.as_ptr(), flags) })
}

/// Sends the first bytes of `slices`, of as many as one call takes.
pub(crate) fn send_slices_now(fd: i32, slices: &[io::IoSlice<'_>]) -> i32 {
    // With nothing but empty slices in its reach, the call would return zero.
    let first = slices.iter().position(|slice| !slice.is_empty());
    let slices = &slices[first.unwrap_or(0)..];
    // SAFETY: all zeros are a valid `msghdr`: no address, no parts, no control data.
    let mut header = unsafe { std::mem::zeroed::<libc::msghdr>() };
    // std promises that an `IoSlice` has the layout of an `iovec`. The kernel reads it only.
    header.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = slices.len().min(PARTS_MAX) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header names slices that are borrowed for the time of the call.
    as_completion(unsafe { libc::sendmsg(fd, &raw const header, flags) })
}

pub(crate) fn shutdown(fd: i32, how: i32) -> i32 {
    // SAFETY: the call takes no address.
    as_completion(unsafe { libc::shutdown(fd, how) } as isize)
}

/// Dissolves a TCP connection: the peer is sent a reset, and what waits for the socket fails. Other
/// sockets refuse.
pub(crate) fn disconnect(fd: i32) -> i32 {
    // SAFETY: all zeros are a valid address, of the family `AF_UNSPEC`.
    let nowhere = unsafe { std::mem::zeroed::<libc::sockaddr>() };
    let bytes = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the address lives through the call and has the length given.
    as_completion(unsafe { libc::connect(fd, &raw const nowhere, bytes) } as isize)
}

pub(crate) fn set_int_option(fd: i32, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads an int of the size given during the call.
    as_result(unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    })
    .map(drop)
}

pub(crate) fn socket_option(fd: i32, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0_i32;
    let mut bytes = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel writes at most the size given, an int.
    as_result(unsafe {
        libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut bytes)
    })?;
    Ok(value)
}

/// Sets how close treats bytes that the peer has not taken: `None` sends them in the background,
/// `Some(0)` resets the connection.
pub(crate) fn set_linger(fd: i32, seconds: Option<i32>) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: i32::from(seconds.is_some()),
        l_linger: seconds.unwrap_or(0),
    };
    // SAFETY: the kernel reads the struct during the call.
    as_result(unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    })
    .map(drop)
}

pub(crate) fn set_nonblocking(fd: i32, nonblocking: bool) -> io::Result<()> {
    let mut value = i32::from(nonblocking);
    // SAFETY: the kernel reads an int during the call.
    as_result(unsafe { libc::ioctl(fd, libc::FIONBIO, &raw mut value) }).map(drop)
}

pub(crate) fn local_addr(fd: i32) -> io::Result<SocketAddr> {
    let mut address = SocketAddress::empty();
    let (storage, bytes) = address.as_mut_parts();
    // SAFETY: the kernel writes at most as many bytes as the storage has.
    as_result(unsafe { libc::getsockname(fd, storage, bytes) })?;
    address.to_std()
}

pub(crate) fn peer_addr(fd: i32) -> io::Result<SocketAddr> {
    let mut address = SocketAddress::empty();
    let (storage, bytes) = address.as_mut_parts();
    // SAFETY: the kernel writes at most as many bytes as the storage has.
    as_result(unsafe { libc::getpeername(fd, storage, bytes) })?;
    address.to_std()
}

/// The peer's address of a connection that was accepted, which may be gone by now: getpeername(2)
/// tells none then, where accept(2) does and the socket remembers it.
pub(crate) fn accepted_addr(fd: i32) -> Option<SocketAddr> {
    match peer_addr(fd) {
        Ok(addr) => Some(addr),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => peer_name(fd),
        Err(_) => None,
    }
}

/// `SO_PEERNAME`, which libc has for another system only. It is the same on all architectures.
const SO_PEERNAME: i32 = 28;

/// The peer's address as the socket remembers it.
fn peer_name(fd: i32) -> Option<SocketAddr> {
    // The kernel refuses a length beyond the address's own.
    let lens = [
        size_of::<libc::sockaddr_in6>(),
        size_of::<libc::sockaddr_in>(),
    ];
    lens.into_iter().find_map(|len| {
        let mut address = SocketAddress::empty();
        let (storage, _) = address.as_mut_parts();
        let mut len = len as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes, and the storage has more.
        let result = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                SO_PEERNAME,
                storage.cast(),
                &raw mut len,
            )
        };
        (result == 0).then(|| address.to_std().ok()).flatten()
    })
}

/// The address of this end of a Unix socket.
pub(crate) fn unix_local_addr(fd: i32) -> io::Result<UnixAddr> {
    with_unix_socket(fd, UnixStream::local_addr)
}

/// The address of the other end of a Unix socket.
pub(crate) fn unix_peer_addr(fd: i32) -> io::Result<UnixAddr> {
    with_unix_socket(fd, UnixStream::peer_addr)
}

/// Lets std read an address, of which only std can make the value.
fn with_unix_socket<T>(fd: i32, read: impl FnOnce(&UnixStream) -> T) -> T {
    // SAFETY: the descriptor stays open during the call, since its owner makes it, and what stands
    // in for an owner here is never dropped. Only the address is asked for.
    let socket = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(fd) });
    read(&socket)
}

/// Lets std call what it has for the options of UDP sockets.
pub(crate) fn with_udp_socket<T>(fd: i32, call: impl FnOnce(&UdpSocket) -> T) -> T {
    // SAFETY: the descriptor stays open during the call, since its owner makes it, and what stands
    // in for an owner here is never dropped.
    let socket = ManuallyDrop::new(unsafe { UdpSocket::from_raw_fd(fd) });
    call(&socket)
}

/// Process, user and group at the other end of a Unix socket, as they were when it connected or
/// listened.
pub(crate) fn peer_credentials(fd: i32) -> io::Result<(i32, u32, u32)> {
    let mut cred = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut bytes = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most the size given.
    as_result(unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut bytes,
        )
    })?;
    Ok((cred.pid, cred.uid, cred.gid))
}

/// How many bytes went over a TCP connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpBytes {
    pub(crate) received: u64,
    /// Without those that were sent again.
    pub(crate) sent: u64,
    /// Those that the peer has acknowledged.
    pub(crate) acked: u64,
}

/// How many bytes went over the TCP socket `fd`; none for other sockets.
pub(crate) fn tcp_bytes(fd: i32) -> Option<TcpBytes> {
    let (info, len) = tcp_info(fd)?;
    // The kernel has told all of them since 4.19; the last of them tells by its place.
    let end = std::mem::offset_of!(libc::tcp_info, tcpi_bytes_retrans) + size_of::<u64>();
    (len >= end).then(|| TcpBytes {
        received: info.tcpi_bytes_received,
        sent: info.tcpi_bytes_sent.saturating_sub(info.tcpi_bytes_retrans),
        acked: info.tcpi_bytes_acked,
    })
}

/// How many connections the backlog of the TCP listener `fd` may have; none for other sockets.
pub(crate) fn backlog_max(fd: i32) -> Option<usize> {
    // For a listener the field has this meaning.
    let (info, _) = tcp_info(fd)?;
    usize::try_from(info.tcpi_sacked).ok()
}

/// The kernel's record of the TCP socket `fd`, and the number of bytes it wrote; none for other
/// sockets.
fn tcp_info(fd: i32) -> Option<(libc::tcp_info, usize)> {
    // SAFETY: all zeros are a valid `tcp_info`, which holds numbers only.
    let mut info = unsafe { std::mem::zeroed::<libc::tcp_info>() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: both pointers are to variables of the sizes that are given.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    (result == 0).then_some((info, len as usize))
}

/// How much of what was sent a TCP peer's system has not acknowledged (`SIOCOUTQ`), or the peer of
/// a Unix socket has not read, by the kernel's own measure.
pub(crate) fn unacknowledged(fd: i32) -> io::Result<i32> {
    let mut value = 0;
    // SAFETY: the kernel writes an int during the call.
    as_result(unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut value) })?;
    Ok(value)
}
