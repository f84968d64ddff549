//! The options of a UDP socket that is bound already.
//!
//! Those about received datagrams change what a multishot receive needs of its buffers. The one
//! that is in flight is cancelled then, and the next receive starts another.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::UdpSocket;
use crate::sys::{self, DatagramLayout, option};

/// The bits of what the kernel tells about each datagram.
const GRO: u8 = 1 << 0;
const ECN: u8 = 1 << 1;
const PKTINFO: u8 = 1 << 2;
const TIMESTAMPS: u8 = 1 << 3;

impl UdpSocket {
    fn is_v6(&self) -> bool {
        self.family() == option::AF_INET6
    }

    fn set(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        sys::set_int_option(self.shared().raw(), level, name, value)
    }

    fn option(&self, level: i32, name: i32) -> io::Result<i32> {
        sys::socket_option(self.shared().raw(), level, name)
    }

    /// Sets an option that each family has by another name. An IPv6 socket has both, since it may
    /// send and receive IPv4, too.
    fn set_both(&self, v4: i32, v6: i32, value: i32) -> io::Result<()> {
        let v4_set = self.set(option::IPPROTO_IP, v4, value);
        if self.is_v6() {
            return self.set(option::IPPROTO_IPV6, v6, value);
        }
        v4_set
    }

    fn option_of_family(&self, v4: i32, v6: i32) -> io::Result<i32> {
        if self.is_v6() {
            self.option(option::IPPROTO_IPV6, v6)
        } else {
            self.option(option::IPPROTO_IP, v4)
        }
    }

    /// Notes that the kernel tells something about each datagram, for which there has to be room.
    fn tell(&self, bit: u8, on: bool) {
        let told = &self.shared().extra.told;
        told.set(if on {
            told.get() | bit
        } else {
            told.get() & !bit
        });
        let layout = if told.get() == 0 {
            DatagramLayout::PLAIN
        } else {
            DatagramLayout::WITH_CONTROL
        };
        let receive = &self.shared().extra.receive;
        receive.set_layout(self.shared().driver(), layout);
    }

    /// Sets the length up to which a datagram is always received whole; 2,048 bytes by default. A
    /// longer one is received whole if it fits a receive buffer, which is about 4,000 bytes.
    ///
    /// With more than fits one, datagrams are received one by one into memory of their own: a
    /// socket that is to receive 65,507 bytes, the most there is, costs a system call a datagram.
    ///
    /// A receive that is under way goes on until the runtime has visited the kernel, so set it, as
    /// the other options of received datagrams, before the first receive, or by
    /// [`UdpBindOptions`](super::UdpBindOptions).
    pub fn set_datagram_bytes_max(&self, bytes: usize) {
        let receive = &self.shared().extra.receive;
        receive.set_datagram_bytes_max(self.shared().driver(), bytes);
    }

    /// Sets whether the kernel may hand several datagrams of one sender over as one (`UDP_GRO`,
    /// 5.0): all of one length, except for the last. [`Datagram::segments`] takes them apart, and
    /// [`RecvMeta::stride`] is their length. Set it before the first receive.
    ///
    /// For senders of many datagrams at once, such as QUIC. They are received into memory of their
    /// own, of up to 64 KiB.
    ///
    /// [`Datagram::segments`]: super::Datagram::segments
    /// [`RecvMeta::stride`]: super::RecvMeta::stride
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` on kernels without it.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::net::{SendMeta, UdpSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// annulus::run(async {
    ///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
    ///     socket.set_gro(true)?;
    ///     let meta = SendMeta::to(socket.local_addr()?).segment_size(1000);
    ///     socket.send_message(vec![7; 2500], &meta).await?;
    ///     let mut lens = Vec::new();
    ///     while lens.len() < 3 {
    ///         lens.extend(socket.recv().await?.segments().map(<[u8]>::len));
    ///     }
    ///     assert_eq!(lens, [1000, 1000, 500]);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        self.set(option::IPPROTO_UDP, option::UDP_GRO, i32::from(on))?;
        let receive = &self.shared().extra.receive;
        receive.set_joins(self.shared().driver(), on);
        self.tell(GRO, on);
        Ok(())
    }

    /// Sets whether datagrams come with their congestion mark, [`RecvMeta::ecn`].
    ///
    /// [`RecvMeta::ecn`]: super::RecvMeta::ecn
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_recv_ecn(&self, on: bool) -> io::Result<()> {
        let value = i32::from(on);
        self.set_both(option::IP_RECVTOS, option::IPV6_RECVTCLASS, value)?;
        self.tell(ECN, on);
        Ok(())
    }

    /// Sets whether datagrams come with the address that they were sent to and the interface that
    /// they came by, [`RecvMeta::dst_ip`] and [`RecvMeta::interface_index`]. A server that is bound
    /// to a wildcard address answers from the first, with [`SendMeta::src_ip`].
    ///
    /// [`RecvMeta::dst_ip`]: super::RecvMeta::dst_ip
    /// [`RecvMeta::interface_index`]: super::RecvMeta::interface_index
    /// [`SendMeta::src_ip`]: super::SendMeta::src_ip
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::net::{SendMeta, UdpSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// annulus::run(async {
    ///     let server = UdpSocket::bind("0.0.0.0:0").await?;
    ///     server.set_recv_pktinfo(true)?;
    ///     let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let port = server.local_addr()?.port();
    ///     client.send_to("hello", ([127, 0, 0, 2], port).into()).await?;
    ///
    ///     let asked = server.recv().await?.meta();
    ///     let from_there = SendMeta::to(asked.addr).src_ip(asked.dst_ip.unwrap());
    ///     server.send_message("hello", &from_there).await?;
    ///     assert_eq!(client.recv().await?.addr(), ([127, 0, 0, 2], port).into());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn set_recv_pktinfo(&self, on: bool) -> io::Result<()> {
        let value = i32::from(on);
        if self.is_v6() {
            // It tells of IPv4 packets, too, by mapped addresses.
            self.set(option::IPPROTO_IPV6, option::IPV6_RECVPKTINFO, value)?;
        } else {
            self.set(option::IPPROTO_IP, option::IP_PKTINFO, value)?;
        }
        self.tell(PKTINFO, on);
        Ok(())
    }

    /// Sets whether datagrams come with the time when the kernel received them,
    /// [`RecvMeta::timestamp`] (`SO_TIMESTAMPNS`).
    ///
    /// [`RecvMeta::timestamp`]: super::RecvMeta::timestamp
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_recv_timestamps(&self, on: bool) -> io::Result<()> {
        let value = i32::from(on);
        self.set(option::SOL_SOCKET, option::SO_TIMESTAMPNS, value)?;
        self.tell(TIMESTAMPS, on);
        Ok(())
    }

    /// Sets whether it may send to broadcast addresses (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.set(option::SOL_SOCKET, option::SO_BROADCAST, i32::from(on))
    }

    /// Returns whether it may send to broadcast addresses.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn broadcast(&self) -> io::Result<bool> {
        Ok(self.option(option::SOL_SOCKET, option::SO_BROADCAST)? != 0)
    }

    /// Sets how many routers a datagram may pass (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    ///
    /// # Errors
    ///
    /// `EINVAL` for more than 255, and for 0 on an IPv4 socket.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = i32::try_from(ttl).unwrap_or(i32::MAX);
        self.set_both(option::IP_TTL, option::IPV6_UNICAST_HOPS, ttl)
    }

    /// Returns how many routers a datagram may pass.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        let ttl = self.option_of_family(option::IP_TTL, option::IPV6_UNICAST_HOPS)?;
        Ok(u32::try_from(ttl).unwrap_or(0))
    }

    /// Sets the type of service of the datagrams that are sent: six bits of the kind of traffic
    /// (DSCP, RFC 2474), and two of the congestion mark (`IP_TOS`, `IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_tos(&self, tos: u8) -> io::Result<()> {
        self.set_both(option::IP_TOS, option::IPV6_TCLASS, i32::from(tos))
    }

    /// Returns the type of service of the datagrams that are sent.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn tos(&self) -> io::Result<u8> {
        let tos = self.option_of_family(option::IP_TOS, option::IPV6_TCLASS)?;
        Ok(tos as u8)
    }

    /// Sets whether datagrams are never split on their way (`IP_PMTUDISC_PROBE`): one that is
    /// longer than the interface takes is an `EMSGSIZE`, and one that is longer than the route
    /// takes gets lost. The kernel's own knowledge of the route is left out, so that a program can
    /// probe it.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_dont_fragment(&self, on: bool) -> io::Result<()> {
        let value = if on {
            option::IP_PMTUDISC_PROBE
        } else {
            option::IP_PMTUDISC_DONT
        };
        self.set_both(option::IP_MTU_DISCOVER, option::IPV6_MTU_DISCOVER, value)
    }

    /// Sets the size of the kernel's receive buffer (`SO_RCVBUF`). The kernel takes at most
    /// `net.core.rmem_max`, and counts its own needs, too.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_recv_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        self.set(option::SOL_SOCKET, option::SO_RCVBUF, bytes)
    }

    /// Returns the size of the kernel's receive buffer, twice of what was asked for.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn recv_buffer_bytes(&self) -> io::Result<usize> {
        let bytes = self.option(option::SOL_SOCKET, option::SO_RCVBUF)?;
        Ok(usize::try_from(bytes).unwrap_or(0))
    }

    /// Sets the size of the kernel's send buffer (`SO_SNDBUF`), at most `net.core.wmem_max`.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        self.set(option::SOL_SOCKET, option::SO_SNDBUF, bytes)
    }

    /// Returns the size of the kernel's send buffer, twice of what was asked for.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        let bytes = self.option(option::SOL_SOCKET, option::SO_SNDBUF)?;
        Ok(usize::try_from(bytes).unwrap_or(0))
    }

    /// Receives what is sent to the group `multicast`, by the interface that has the address
    /// `interface`, or one of the system's choice for `0.0.0.0`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an address that is no group's, `ENODEV` without such an interface, `ENOBUFS`
    /// with too many groups (`net.ipv4.igmp_max_memberships`).
    pub fn join_multicast_v4(&self, multicast: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        let join = |socket: &std::net::UdpSocket| socket.join_multicast_v4(&multicast, &interface);
        sys::with_udp_socket(self.shared().raw(), join)
    }

    /// Leaves a group that was joined.
    ///
    /// # Errors
    ///
    /// `EADDRNOTAVAIL` when it was not.
    pub fn leave_multicast_v4(&self, multicast: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        let leave =
            |socket: &std::net::UdpSocket| socket.leave_multicast_v4(&multicast, &interface);
        sys::with_udp_socket(self.shared().raw(), leave)
    }

    /// Receives what is sent to the group `multicast`, by the interface `interface_index`, or one
    /// of the system's choice for 0.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an address that is no group's, `ENODEV` without such an interface.
    pub fn join_multicast_v6(&self, multicast: Ipv6Addr, interface_index: u32) -> io::Result<()> {
        let join =
            |socket: &std::net::UdpSocket| socket.join_multicast_v6(&multicast, interface_index);
        sys::with_udp_socket(self.shared().raw(), join)
    }

    /// Leaves a group that was joined.
    ///
    /// # Errors
    ///
    /// `EADDRNOTAVAIL` when it was not.
    pub fn leave_multicast_v6(&self, multicast: Ipv6Addr, interface_index: u32) -> io::Result<()> {
        let leave =
            |socket: &std::net::UdpSocket| socket.leave_multicast_v6(&multicast, interface_index);
        sys::with_udp_socket(self.shared().raw(), leave)
    }

    /// Sets whether the sockets of this host get what this one sends to a group; they do by
    /// default. It holds for IPv4 on an IPv4 socket, and for IPv6 on an IPv6 socket.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    pub fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        let is_v6 = self.is_v6();
        sys::with_udp_socket(self.shared().raw(), |socket| {
            if is_v6 {
                socket.set_multicast_loop_v6(on)
            } else {
                socket.set_multicast_loop_v4(on)
            }
        })
    }

    /// Sets how many routers a datagram to a group may pass; 1 by default, which is none
    /// (`IP_MULTICAST_TTL`, `IPV6_MULTICAST_HOPS`).
    ///
    /// # Errors
    ///
    /// `EINVAL` for more than 255.
    pub fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = i32::try_from(ttl).unwrap_or(i32::MAX);
        if self.is_v6() {
            self.set(option::IPPROTO_IPV6, option::IPV6_MULTICAST_HOPS, ttl)
        } else {
            self.set(option::IPPROTO_IP, option::IP_MULTICAST_TTL, ttl)
        }
    }

    /// Returns and clears the error that the network told and no call has returned yet
    /// (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        sys::with_udp_socket(self.shared().raw(), std::net::UdpSocket::take_error)
    }
}
