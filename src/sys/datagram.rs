//! Datagrams in the kernel's layout: the buffer of a receive, and the control messages beside it.
//!
//! # The buffer of a received datagram
//!
//! A multishot recvmsg writes everything about a datagram into one buffer: a header (`struct
//! io_uring_recvmsg_out`), the sender's address, the control messages, and the payload. The plain
//! receive here fills its buffers in the same way, so that there is one reader for both.

use std::{
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    time::Duration,
};

use super::as_completion;

/// `struct io_uring_recvmsg_out`: the lengths of the address, the control messages and the payload,
/// then the flags, four bytes each.
const OUT_BYTES: usize = 16;

/// Room for an address. An IPv6 address takes 28 bytes; with four more, the control messages are
/// aligned.
const NAME_BYTES: usize = 32;

/// Room for all control messages that a socket can ask for here, which take 176 bytes.
const CONTROL_BYTES: usize = 192;

/// The parts of a datagram's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatagramLayout {
    has_control: bool,
}

impl DatagramLayout {
    /// Without control messages.
    pub(crate) const PLAIN: Self = Self { has_control: false };
    pub(crate) const WITH_CONTROL: Self = Self { has_control: true };

    /// The payload's place, and so what it leaves of a buffer.
    #[inline]
    pub(crate) fn payload_start(self) -> usize {
        OUT_BYTES + NAME_BYTES + self.control_bytes()
    }

    #[inline]
    fn control_bytes(self) -> usize {
        if self.has_control { CONTROL_BYTES } else { 0 }
    }

    /// The header that a multishot entry points to. The kernel reads it, at any time.
    pub(super) fn multishot_header(self) -> *const libc::msghdr {
        static PLAIN: StaticHeader = StaticHeader::new(0);
        static WITH_CONTROL: StaticHeader = StaticHeader::new(CONTROL_BYTES);
        if self.has_control {
            &raw const WITH_CONTROL.0
        } else {
            &raw const PLAIN.0
        }
    }
}

/// A message header that names no memory, only the lengths of address and control messages.
struct StaticHeader(libc::msghdr);

// SAFETY: its addresses are null, and it is never written to.
unsafe impl Sync for StaticHeader {}

impl StaticHeader {
    const fn new(control_bytes: usize) -> Self {
        let mut header = empty_header();
        header.msg_namelen = NAME_BYTES as libc::socklen_t;
        header.msg_controllen = control_bytes as _;
        Self(header)
    }
}

const fn empty_header() -> libc::msghdr {
    // SAFETY: all zeros are a valid `msghdr`: no address, no parts, no control messages.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// How many datagrams one call receives at most.
pub(crate) const BATCH_MAX: usize = 16;

/// Receives what is there into up to [`BATCH_MAX`] buffers, without waiting: the number of
/// datagrams, or minus the errno. `lens` are the bytes that each of these filled, header included.
///
/// # Safety
///
/// Each of `bufs` is the address and the length of memory that no other code touches during the
/// call, more than the layout's header.
pub(crate) unsafe fn recvmmsg_now(
    fd: i32,
    bufs: &[(*mut u8, usize)],
    layout: DatagramLayout,
    lens: &mut [usize; BATCH_MAX],
) -> i32 {
    let bufs = &bufs[..bufs.len().min(BATCH_MAX)];
    let start = layout.payload_start();
    let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH_MAX];
    for (index, &(buf, len)) in bufs.iter().enumerate() {
        // SAFETY: the buffer is longer than the header, as the caller promises.
        unsafe { buf.write_bytes(0, start) };
        let part = parts[index].write(libc::iovec {
            iov_base: buf.wrapping_add(start).cast(),
            iov_len: len - start,
        });
        let mut header = empty_header();
        header.msg_name = buf.wrapping_add(OUT_BYTES).cast();
        header.msg_namelen = NAME_BYTES as libc::socklen_t;
        header.msg_iov = part;
        header.msg_iovlen = 1;
        header.msg_control = buf.wrapping_add(OUT_BYTES + NAME_BYTES).cast();
        header.msg_controllen = layout.control_bytes() as _;
        headers[index].write(libc::mmsghdr {
            msg_hdr: header,
            msg_len: 0,
        });
    }
    // Also of a datagram that is cut the length is told that was sent.
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the headers of all buffers were written above, and each names parts of its buffer.
    let result = unsafe {
        libc::recvmmsg(
            fd,
            headers.as_mut_ptr().cast(),
            bufs.len() as _,
            flags as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(result).unwrap_or(0);
    for (index, &(buf, len)) in bufs.iter().enumerate().take(count) {
        // SAFETY: the header was written above.
        let header = unsafe { headers[index].assume_init_ref() };
        let out = [
            header.msg_hdr.msg_namelen,
            header.msg_hdr.msg_controllen as u32,
            header.msg_len,
            header.msg_hdr.msg_flags as u32,
        ];
        // SAFETY: the buffer is longer than this, and a `u32` is written wherever it stands.
        unsafe { buf.cast::<[u32; 4]>().write_unaligned(out) };
        lens[index] = len.min(start + header.msg_len as usize);
    }
    as_completion(result as isize)
}

/// A field of the header at the start of a datagram's buffer.
#[inline]
fn out_field(bytes: &[u8], index: usize) -> usize {
    number(bytes, index * 4).map_or(0, |field| u32::from_ne_bytes(field) as usize)
}

/// The `N` bytes at `start`.
#[inline]
fn number<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    bytes.get(start..start + N)?.try_into().ok()
}

/// How long the datagram was that a buffer holds, which may have been cut.
#[inline]
pub(crate) fn datagram_len(bytes: &[u8]) -> usize {
    out_field(bytes, 2)
}

/// The sender's address, of the datagram that a buffer holds.
#[inline]
pub(crate) fn datagram_addr(bytes: &[u8]) -> Option<SocketAddr> {
    let len = out_field(bytes, 0).min(NAME_BYTES);
    let name = bytes.get(OUT_BYTES..OUT_BYTES + len)?;
    let port = u16::from_be_bytes(number(name, 2)?);
    match i32::from(u16::from_ne_bytes(number(name, 0)?)) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(number::<4>(name, 4)?);
            Some(SocketAddrV4::new(ip, port).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(number::<16>(name, 8)?);
            let flow_info = u32::from_ne_bytes(number(name, 4)?);
            let scope = u32::from_ne_bytes(number(name, 24)?);
            Some(SocketAddrV6::new(ip, port, flow_info, scope).into())
        }
        _ => None,
    }
}

/// The control messages of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ancillary {
    /// The length of the datagrams that were received as one.
    pub(crate) segment_bytes: Option<usize>,
    /// The field of the IP header that has the ECN codepoint in its lowest two bits.
    pub(crate) traffic_class: Option<u8>,
    /// The address that the datagram was sent to, and the interface that it came by.
    pub(crate) destination: Option<(IpAddr, u32)>,
    /// When the kernel received it, since the start of 1970.
    pub(crate) timestamp: Option<Duration>,
}

/// The length, the level and the type of a control message, in the kernel's layout.
pub(super) const CONTROL_HEADER_BYTES: usize = size_of::<usize>() + 8;

/// The control messages of the datagram that a buffer holds.
pub(crate) fn datagram_ancillary(bytes: &[u8], layout: DatagramLayout) -> Ancillary {
    let mut ancillary = Ancillary::default();
    let start = OUT_BYTES + NAME_BYTES;
    let len = out_field(bytes, 1).min(layout.control_bytes());
    let mut rest = bytes.get(start..start + len).unwrap_or_default();
    while let Some((level, kind, data, next)) = first_message(rest) {
        ancillary.note(level, kind, data);
        rest = rest.get(next..).unwrap_or_default();
    }
    ancillary
}

/// The level, the type and the data of the first control message, and the place of the next.
pub(super) fn first_message(control: &[u8]) -> Option<(i32, i32, &[u8], usize)> {
    let len = usize::from_ne_bytes(number(control, 0)?);
    let level = i32::from_ne_bytes(number(control, size_of::<usize>())?);
    let kind = i32::from_ne_bytes(number(control, size_of::<usize>() + 4)?);
    let data = control.get(CONTROL_HEADER_BYTES..len)?;
    Some((level, kind, data, len.next_multiple_of(size_of::<usize>())))
}

impl Ancillary {
    fn note(&mut self, level: i32, kind: i32, data: &[u8]) {
        let int = || number(data, 0).map(i32::from_ne_bytes);
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                self.segment_bytes = int().and_then(|bytes| usize::try_from(bytes).ok());
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => self.traffic_class = data.first().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                self.traffic_class = int().map(|class| class as u8);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // Interface, the address of this host that answers, and the destination.
                if let (Some(interface), Some(addr)) = (int(), number::<4>(data, 8)) {
                    self.destination = Some((Ipv4Addr::from(addr).into(), interface as u32));
                }
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                if let (Some(addr), Some(interface)) = (number::<16>(data, 0), number(data, 16)) {
                    let addr = Ipv6Addr::from(addr).into();
                    self.destination = Some((addr, u32::from_ne_bytes(interface)));
                }
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => self.timestamp = timestamp(data),
            _ => {}
        }
    }
}

/// A `timespec`, of which there is one with two words in use.
fn timestamp(data: &[u8]) -> Option<Duration> {
    let word = |index: usize| {
        let word = number(data, index * size_of::<libc::c_long>())?;
        u64::try_from(libc::c_long::from_ne_bytes(word)).ok()
    };
    Some(Duration::new(word(0)?, u32::try_from(word(1)?).ok()?))
}

/// The control messages of a datagram that is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendControl {
    pub(crate) segment_bytes: Option<u16>,
    pub(crate) traffic_class: Option<u8>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) interface: Option<u32>,
}

impl SendControl {
    pub(crate) fn is_empty(&self) -> bool {
        self.segment_bytes.is_none()
            && self.traffic_class.is_none()
            && self.source.is_none()
            && self.interface.is_none()
    }

    /// Writes the messages for a socket of `family`. One that means the other family's packets is
    /// ignored by the kernel, so a socket that sends both gets both.
    fn write(&self, family: i32, messages: &mut ControlMessages) {
        if let Some(bytes) = self.segment_bytes {
            messages.add(libc::SOL_UDP, libc::UDP_SEGMENT, &bytes.to_ne_bytes());
        }
        let is_v6 = family == libc::AF_INET6;
        if let Some(class) = self.traffic_class {
            let class = i32::from(class).to_ne_bytes();
            messages.add(libc::IPPROTO_IP, libc::IP_TOS, &class);
            if is_v6 {
                messages.add(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class);
            }
        }
        if self.source.is_none() && self.interface.is_none() {
            return;
        }
        let interface = self.interface.unwrap_or(0).to_ne_bytes();
        if is_v6 {
            let source = match self.source {
                Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped(),
                Some(IpAddr::V6(ip)) => ip,
                None => Ipv6Addr::UNSPECIFIED,
            };
            let mut info = [0; 20];
            info[..16].copy_from_slice(&source.octets());
            info[16..].copy_from_slice(&interface);
            messages.add(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        } else {
            let source = match self.source {
                Some(IpAddr::V4(ip)) => ip,
                // The kernel has no IPv6 address for it either, and says so.
                Some(IpAddr::V6(ip)) => ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::BROADCAST),
                None => Ipv4Addr::UNSPECIFIED,
            };
            let mut info = [0; 12];
            info[..4].copy_from_slice(&interface);
            info[4..8].copy_from_slice(&source.octets());
            messages.add(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
    }
}

/// Room for the control messages of a send: the segments, the traffic class of both families, and
/// the source.
const SEND_CONTROL_BYTES: usize = 112;

/// Control messages, aligned as the kernel reads them.
#[repr(align(8))]
struct ControlMessages {
    bytes: [u8; SEND_CONTROL_BYTES],
    len: usize,
}

impl ControlMessages {
    fn add(&mut self, level: i32, kind: i32, data: &[u8]) {
        let len = CONTROL_HEADER_BYTES + data.len();
        let message = &mut self.bytes[self.len..][..len];
        let (head, rest) = message.split_at_mut(CONTROL_HEADER_BYTES);
        let (level_at, kind_at) = (size_of::<usize>(), size_of::<usize>() + 4);
        head[..level_at].copy_from_slice(&len.to_ne_bytes());
        head[level_at..kind_at].copy_from_slice(&level.to_ne_bytes());
        head[kind_at..].copy_from_slice(&kind.to_ne_bytes());
        rest.copy_from_slice(data);
        self.len += len.next_multiple_of(size_of::<usize>());
    }
}

/// An address that a datagram is sent to, in the kernel's layout. It is a fifth of a
/// [`SocketAddress`](super::SocketAddress), which has room for those of every family.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
pub(crate) struct Destination {
    bytes: [u8; size_of::<libc::sockaddr_in6>()],
    len: u32,
}

impl From<SocketAddr> for Destination {
    fn from(addr: SocketAddr) -> Self {
        let mut bytes = [0; size_of::<libc::sockaddr_in6>()];
        bytes[2..4].copy_from_slice(&addr.port().to_be_bytes());
        let (family, len) = match addr {
            SocketAddr::V4(addr) => {
                bytes[4..8].copy_from_slice(&addr.ip().octets());
                (libc::AF_INET, size_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(addr) => {
                bytes[4..8].copy_from_slice(&addr.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&addr.ip().octets());
                bytes[24..].copy_from_slice(&addr.scope_id().to_ne_bytes());
                (libc::AF_INET6, size_of::<libc::sockaddr_in6>())
            }
        };
        bytes[..2].copy_from_slice(&(family as libc::sa_family_t).to_ne_bytes());
        Self {
            bytes,
            len: len as u32,
        }
    }
}

/// Everything about a datagram that is sent but its payload. It lives in a box of its own while an
/// entry points to it.
pub(crate) struct DatagramHeader {
    header: libc::msghdr,
    part: libc::iovec,
    destination: Option<Destination>,
    control: Option<Box<ControlMessages>>,
}

impl DatagramHeader {
    pub(crate) fn new() -> Self {
        Self {
            header: empty_header(),
            part: libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            },
            destination: None,
            control: None,
        }
    }

    /// Is one to `destination`, or where the socket is connected to, from a socket of `family`.
    pub(crate) fn set(
        &mut self,
        destination: Option<Destination>,
        control: &SendControl,
        family: i32,
    ) {
        self.destination = destination;
        let spare = self.control.take();
        self.control = (!control.is_empty()).then(|| {
            let mut messages = spare.unwrap_or_else(|| {
                Box::new(ControlMessages {
                    bytes: [0; SEND_CONTROL_BYTES],
                    len: 0,
                })
            });
            messages.len = 0;
            control.write(family, &mut messages);
            messages
        });
    }

    /// Names the payload, and everything that stands here. It must not move from then on.
    pub(crate) fn name(&mut self, start: *const u8, len: usize) {
        self.part = libc::iovec {
            iov_base: start.cast_mut().cast(),
            iov_len: len,
        };
        let header = &mut self.header;
        header.msg_iov = &raw mut self.part;
        header.msg_iovlen = 1;
        (header.msg_name, header.msg_namelen) = match &self.destination {
            Some(to) => ((&raw const to.bytes).cast_mut().cast(), to.len),
            None => (std::ptr::null_mut(), 0),
        };
        (header.msg_control, header.msg_controllen) = match &mut self.control {
            Some(control) => (control.bytes.as_mut_ptr().cast(), control.len as _),
            None => (std::ptr::null_mut(), 0),
        };
    }

    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        &raw const self.header
    }
}

impl std::fmt::Debug for DatagramHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramHeader")
            .field("has_control", &self.control.is_some())
            .finish_non_exhaustive()
    }
}

/// Sends `bytes` to `destination`, or where the socket is connected to, if that can be done at
/// once.
#[inline]
pub(crate) fn send_to_now(fd: i32, bytes: &[u8], destination: Option<&Destination>) -> i32 {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let (address, address_bytes) = match destination {
        Some(to) => ((&raw const to.bytes).cast(), to.len),
        None => (std::ptr::null(), 0),
    };
    let (start, len) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: bytes and address live through the call and have the lengths given.
    as_completion(unsafe { libc::sendto(fd, start, len, flags, address, address_bytes) })
}

/// Sends a message if that can be done at once.
///
/// # Safety
///
/// The memory that `header` names is readable during the call.
pub(crate) unsafe fn send_message_now(fd: i32, header: &DatagramHeader) -> i32 {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: as the caller promises.
    as_completion(unsafe { libc::sendmsg(fd, header.as_ptr(), flags) })
}
