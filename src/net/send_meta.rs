//! How a datagram is sent.

use std::net::{IpAddr, SocketAddr};

use crate::sys::SendControl;

/// The congestion mark of a datagram (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EcnCodepoint {
    /// The sender can react to marks: `ECT(1)`, which L4S uses (RFC 9331).
    Ect1 = 0b01,
    /// The sender can react to marks: `ECT(0)`.
    Ect0 = 0b10,
    /// A router on the way was congested.
    Ce = 0b11,
}

impl EcnCodepoint {
    /// Returns the codepoint in the lowest two bits, and `None` for a datagram that takes no part.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0b01 => Some(Self::Ect1),
            0b10 => Some(Self::Ect0),
            0b11 => Some(Self::Ce),
            _ => None,
        }
    }
}

/// How a datagram is sent, or several that the kernel makes of one buffer.
///
/// # Examples
///
/// ```
/// use annulus::net::{EcnCodepoint, SendMeta, UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
///     let meta = SendMeta::to(socket.local_addr()?)
///         .segment_size(1200)
///         .ecn(EcnCodepoint::Ect0);
///     // Three datagrams by one call, the last of them shorter.
///     socket.send_message(vec![7; 3000], &meta).await?;
///     let mut lens = Vec::new();
///     for _ in 0..3 {
///         lens.push(socket.recv().await?.len());
///     }
///     assert_eq!(lens, [1200, 1200, 600]);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendMeta {
    pub(super) destination: Option<SocketAddr>,
    segment_size: Option<u16>,
    ecn: Option<EcnCodepoint>,
    src_ip: Option<IpAddr>,
    interface_index: Option<u32>,
}

impl SendMeta {
    /// Sends to where the socket is [connected](super::UdpSocket::connect) to.
    #[must_use]
    pub fn connected() -> Self {
        Self::default()
    }

    /// Sends to `destination`.
    #[must_use]
    pub fn to(destination: SocketAddr) -> Self {
        Self {
            destination: Some(destination),
            ..Self::default()
        }
    }

    /// Sets the length of the datagrams that the kernel makes of the buffer (`UDP_SEGMENT`, GSO).
    /// The last one may be shorter. A buffer that is no longer is sent as one datagram.
    ///
    /// The kernel makes at most 64 of them at once (128 from 6.9 on), of at most 65,507 bytes
    /// together, and each has to fit the route's MTU.
    #[must_use]
    pub fn segment_size(mut self, bytes: u16) -> Self {
        self.segment_size = Some(bytes);
        self
    }

    /// Sets the congestion mark. The rest of the type of service is zero for this datagram. Without
    /// it the socket's own is sent, [`UdpSocket::set_tos`](super::UdpSocket::set_tos).
    #[must_use]
    pub fn ecn(mut self, ecn: EcnCodepoint) -> Self {
        self.ecn = Some(ecn);
        self
    }

    /// Sets the address that it is sent from, one of this host's. The answer of a server that is
    /// bound to a wildcard address needs the [`dst_ip`](super::RecvMeta::dst_ip) of the question.
    #[must_use]
    pub fn src_ip(mut self, ip: IpAddr) -> Self {
        self.src_ip = Some(ip);
        self
    }

    /// Sets the interface that it leaves by.
    #[must_use]
    pub fn interface_index(mut self, index: u32) -> Self {
        self.interface_index = Some(index);
        self
    }

    /// Whether it says no more than where to.
    pub(super) fn is_plain(&self) -> bool {
        self.segment_size.is_none()
            && self.ecn.is_none()
            && self.src_ip.is_none()
            && self.interface_index.is_none()
    }

    /// The control messages for a payload of `len` bytes.
    pub(super) fn control(&self, len: usize) -> SendControl {
        SendControl {
            // One segment needs no splitting, and some kernels refuse to be asked for it.
            segment_bytes: self.segment_size.filter(|bytes| len > usize::from(*bytes)),
            traffic_class: self.ecn.map(|ecn| ecn as u8),
            source: self.src_ip,
            interface: self.interface_index,
        }
    }
}
