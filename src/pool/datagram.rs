//! A received datagram, in memory that the kernel filled.

use std::ops;

use super::ManagedBuf;
use crate::{buf::IoBuf, sys::DatagramLayout};

/// A received datagram: its bytes, in memory that the kernel filled, and its sender.
///
/// It reads as a slice. An empty one is a datagram without bytes, and not an end.
///
/// There are only a few hundred receive buffers in a runtime, and each datagram that is kept is one
/// that the kernel lacks: keep bytes for long as a `Vec`.
///
/// It is a buffer, so that a send takes it as it is and its bytes go on from where they arrived.
/// [`into_buf`](Self::into_buf) gives the bytes alone.
///
/// # Examples
///
/// ```
/// use annulus::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
///     socket.send_to("hello", socket.local_addr()?).await?;
///     let datagram = socket.recv().await?;
///     assert_eq!((&*datagram, datagram.addr()), (&b"hello"[..], socket.local_addr()?));
///     assert!(!datagram.is_truncated());
///
///     // It is sent back, and comes back from that as from every send.
///     let from = datagram.addr();
///     let datagram = socket.send_to(datagram, from).await?;
///     assert_eq!(*socket.recv().await?, *datagram);
///     Ok(())
/// })
/// # }
/// ```
pub struct Datagram {
    /// The header, the address and the control messages, and then the payload.
    ///
    /// Invariant: it is as long as `layout` says at the least.
    bytes: ManagedBuf,
    layout: DatagramLayout,
}

impl Datagram {
    /// The datagram that a receive with `layout` has put into `bytes`; `None` when it has not.
    pub(crate) fn new(bytes: ManagedBuf, layout: DatagramLayout) -> Option<Self> {
        (bytes.len() >= layout.payload_start()).then_some(Self { bytes, layout })
    }

    /// All that the kernel wrote, of which the payload is the end.
    pub(crate) fn memory(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn layout(&self) -> DatagramLayout {
        self.layout
    }

    /// Returns the bytes alone, in the memory where they are.
    #[must_use]
    pub fn into_buf(self) -> ManagedBuf {
        let mut bytes = self.bytes;
        bytes.advance(self.layout.payload_start());
        bytes
    }
}

impl ops::Deref for Datagram {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[self.layout.payload_start()..]
    }
}

impl AsRef<[u8]> for Datagram {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Datagram> for ManagedBuf {
    fn from(datagram: Datagram) -> Self {
        datagram.into_buf()
    }
}

// SAFETY: the payload is the end of `bytes`, which is such a buffer itself, and stays so: neither
// field changes.
unsafe impl IoBuf for Datagram {
    fn as_ptr(&self) -> *const u8 {
        let start = IoBuf::as_ptr(&self.bytes);
        start.wrapping_add(self.layout.payload_start())
    }

    fn len(&self) -> usize {
        IoBuf::len(&self.bytes) - self.layout.payload_start()
    }
}
