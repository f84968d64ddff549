//! The facts about a received datagram.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    slice::Chunks,
    time::{Duration, SystemTime},
};

use super::EcnCodepoint;
pub use crate::pool::Datagram;
use crate::sys;

impl Datagram {
    /// Returns the sender's address. On an IPv6 socket an IPv4 address is a mapped one.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        // The kernel always names one, except for a receive that a shutdown(2) has ended.
        sys::datagram_addr(self.memory()).unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Returns the length that was sent. There are fewer bytes here when the datagram
    /// [was truncated](Self::is_truncated).
    #[must_use]
    pub fn sent_len(&self) -> usize {
        sys::datagram_len(self.memory()).max(self.len())
    }

    /// Returns whether the end of the datagram is missing, because it did not fit the memory that
    /// was there for it. [`UdpSocket::set_datagram_bytes_max`] makes room for longer ones.
    ///
    /// [`UdpSocket::set_datagram_bytes_max`]: super::UdpSocket::set_datagram_bytes_max
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.sent_len() > self.len()
    }

    /// Returns the datagrams that were received as one, in order; this one alone without
    /// [`UdpSocket::set_gro`](super::UdpSocket::set_gro).
    #[must_use]
    pub fn segments(&self) -> Segments<'_> {
        Segments::new(self, self.meta().stride)
    }

    /// Returns everything that is known about it.
    #[must_use]
    pub fn meta(&self) -> RecvMeta {
        let ancillary = sys::datagram_ancillary(self.memory(), self.layout());
        let class = ancillary.traffic_class;
        RecvMeta {
            addr: self.addr(),
            len: self.len(),
            sent_len: self.sent_len(),
            stride: ancillary.segment_bytes.unwrap_or(self.len()),
            ecn: class.and_then(EcnCodepoint::from_bits),
            dst_ip: ancillary.destination.map(|(ip, _)| ip),
            interface_index: ancillary.destination.map(|(_, index)| index),
            timestamp: ancillary.timestamp.and_then(system_time),
        }
    }
}

fn system_time(since_epoch: Duration) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("addr", &self.addr())
            .field("sent_len", &self.sent_len())
            .field("bytes", &&**self)
            .finish()
    }
}

/// Facts about a received datagram, or about several that were received as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvMeta {
    /// The sender's address. On an IPv6 socket an IPv4 address is a mapped one.
    pub addr: SocketAddr,
    /// The number of bytes that are here.
    pub len: usize,
    /// The number of bytes that were sent. It is larger than `len` when the end did not fit the
    /// memory that was there for it.
    pub sent_len: usize,
    /// The length of each of the datagrams that were received as one, but for the last, which may
    /// be shorter. Without [`UdpSocket::set_gro`](super::UdpSocket::set_gro) it is `len`.
    pub stride: usize,
    /// The congestion mark, after [`UdpSocket::set_recv_ecn`](super::UdpSocket::set_recv_ecn).
    pub ecn: Option<EcnCodepoint>,
    /// The address that it was sent to, after
    /// [`UdpSocket::set_recv_pktinfo`](super::UdpSocket::set_recv_pktinfo).
    pub dst_ip: Option<IpAddr>,
    /// The interface that it came by, after
    /// [`UdpSocket::set_recv_pktinfo`](super::UdpSocket::set_recv_pktinfo).
    pub interface_index: Option<u32>,
    /// When the kernel received it, after
    /// [`UdpSocket::set_recv_timestamps`](super::UdpSocket::set_recv_timestamps).
    pub timestamp: Option<SystemTime>,
}

impl RecvMeta {
    /// Returns whether the end of the datagram is missing.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.sent_len > self.len
    }

    /// The same, of a copy of the first `len` bytes.
    pub(super) fn cut_to(mut self, len: usize) -> Self {
        self.len = len;
        self.stride = self.stride.min(len);
        self
    }
}

/// The datagrams that were received as one. Made by [`Datagram::segments`].
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    chunks: Chunks<'a, u8>,
    /// A datagram without bytes is one, too.
    is_empty_one: bool,
}

impl<'a> Segments<'a> {
    fn new(bytes: &'a [u8], stride: usize) -> Self {
        Self {
            chunks: bytes.chunks(stride.max(1)),
            is_empty_one: bytes.is_empty(),
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if std::mem::take(&mut self.is_empty_one) {
            return Some(&[]);
        }
        self.chunks.next()
    }
}
