//! The sending side of a UDP socket. A datagram is sent whole or not at all, so sends need no
//! queue: each is tried at once, and waits by itself while the kernel has no room.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{SendMeta, UdpSocket, udp_socket::is_put_off};
use crate::{
    budget,
    buf::{BufError, IoBuf, bytes_of},
    op::{self, AnyFd, InFlight, SendDatagram},
    sys::{DatagramHeader, PollEvents, SendControl, SocketAddress},
};

impl UdpSocket {
    /// Sends `buf` as one datagram to `addr`. It is sent whole or not at all.
    ///
    /// It resolves when the kernel has taken the datagram, which tells nothing about its arrival.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` when it is longer than 65,507 bytes, or than the route's MTU where
    /// [`set_dont_fragment`](Self::set_dont_fragment) was called; `ENOBUFS`, `ENETUNREACH`, `EPERM`
    /// from a firewall, and others. On a connected socket what the network said about an earlier
    /// datagram, and then nothing was sent. The buffer comes back with the error.
    ///
    /// # Cancel safety
    ///
    /// Dropped in flight, which takes a full buffer or a busy thread, it may have been sent or not.
    pub async fn send_to<B>(&self, buf: B, addr: SocketAddr) -> Result<B, BufError<B>>
    where
        B: IoBuf, // the buffer itself: `send_to(text, addr)`, not `send_to(text.as_bytes(), addr)`
    {
        self.send_buf(buf, Some(addr)).await
    }

    /// Sends `buf` as one datagram to where the socket is [connected](Self::connect) to.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to), and `EDESTADDRREQ` when it is not connected.
    ///
    /// # Cancel safety
    ///
    /// As [`send_to`](Self::send_to).
    pub async fn send<B>(&self, buf: B) -> Result<B, BufError<B>>
    where
        B: IoBuf, // the buffer itself: `send(text)`, not `send(text.as_bytes())`
    {
        self.send_buf(buf, None).await
    }

    async fn send_buf<B: IoBuf>(&self, buf: B, addr: Option<SocketAddr>) -> Result<B, BufError<B>> {
        let shared = self.shared();
        let address = addr.map(SocketAddress::from);
        if shared.driver().is_current() && op::sends_at_once(shared) {
            match op::send_to_now(shared, bytes_of(&buf), address.as_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return sent(buf, result).await,
            }
        }
        let header = DatagramHeader::new(address, &SendControl::default(), self.family());
        self.submit(buf, header).await
    }

    /// Sends `buf` as `meta` says: as several datagrams by one call, with a congestion mark, from
    /// an address of one's choice.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to). `EINVAL` also when there are too many segments, or
    /// when an address does not belong to this host; `EIO` when the interface cannot compute
    /// checksums, without which the kernel does not make several datagrams.
    ///
    /// # Cancel safety
    ///
    /// As [`send_to`](Self::send_to).
    pub async fn send_message<B: IoBuf>(&self, buf: B, meta: &SendMeta) -> Result<B, BufError<B>> {
        let shared = self.shared();
        let mut header = self.header(meta, buf.len());
        if shared.driver().is_current() && op::sends_at_once(shared) {
            match op::send_with_header_now(shared, bytes_of(&buf), &mut header) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return sent(buf, result).await,
            }
        }
        self.submit(buf, header).await
    }

    fn header(&self, meta: &SendMeta, len: usize) -> DatagramHeader {
        let address = meta.destination.map(SocketAddress::from);
        DatagramHeader::new(address, &meta.control(len), self.family())
    }

    async fn submit<B: IoBuf>(&self, buf: B, header: DatagramHeader) -> Result<B, BufError<B>> {
        let fd = Rc::clone(self.shared()) as AnyFd;
        let driver = Rc::clone(self.shared().driver());
        let result = InFlight::new(driver, SendDatagram::new(fd, buf, header)).await;
        // It has waited.
        budget::spend();
        result
    }

    /// Sends `bytes` as one datagram to `addr`, if the kernel takes it at once.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it does not. Otherwise as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, bytes: &[u8], addr: SocketAddr) -> io::Result<()> {
        budget::spend();
        self.shared().driver().check_current()?;
        op::send_to_now(self.shared(), bytes, Some(&SocketAddress::from(addr)))
    }

    /// Sends `bytes` as one datagram to where the socket is connected to, if the kernel takes it at
    /// once.
    ///
    /// # Errors
    ///
    /// As [`try_send_to`](Self::try_send_to), and `EDESTADDRREQ` when it is not connected.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        budget::spend();
        self.shared().driver().check_current()?;
        op::send_to_now(self.shared(), bytes, None)
    }

    /// Sends `bytes` as `meta` says, if the kernel takes them at once.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it does not. Otherwise as [`send_message`](Self::send_message).
    pub fn try_send_message(&self, bytes: &[u8], meta: &SendMeta) -> io::Result<()> {
        budget::spend();
        self.shared().driver().check_current()?;
        let mut header = self.header(meta, bytes.len());
        op::send_with_header_now(self.shared(), bytes, &mut header)
    }

    /// Sends `bytes` as one datagram to `addr`. For adapters and for futures that are written by
    /// hand. Nothing was sent while it is pending.
    ///
    /// The socket keeps one waker for this direction, that of the last poll of this method or of
    /// [`poll_send_message`](Self::poll_send_message). It stays when the future that has polled is
    /// dropped. Receiving does not matter to it.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to). Outside of its runtime, or after the end of that, the error
    /// says so and the poll never waits.
    pub fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        addr: SocketAddr,
    ) -> Poll<io::Result<()>> {
        self.poll_send(context, || self.try_send_to(bytes, addr))
    }

    /// As [`poll_send_to`](Self::poll_send_to), as `meta` says.
    ///
    /// # Errors
    ///
    /// As [`send_message`](Self::send_message).
    pub fn poll_send_message(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        meta: &SendMeta,
    ) -> Poll<io::Result<()>> {
        self.poll_send(context, || self.try_send_message(bytes, meta))
    }

    fn poll_send(
        &self,
        context: &Context<'_>,
        send: impl Fn() -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        let shared = self.shared();
        let (udp, driver) = (&shared.extra, shared.driver());
        driver.check_current()?;
        if is_put_off(&udp.send_put_off, context) {
            return Poll::Pending;
        }
        loop {
            if let Some(key) = udp.send_wait.get() {
                ready!(driver.poll_op(key, context));
                udp.send_wait.set(None);
            }
            match send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            let waker = context.waker().clone();
            let (raw, source) = (shared.raw(), shared.source());
            let key = driver.submit_ready(raw, source, PollEvents::WRITE, waker)?;
            udp.send_wait.set(Some(key));
        }
    }
}

/// Ends a send that was done at once.
async fn sent<B>(buf: B, result: io::Result<()>) -> Result<B, BufError<B>> {
    budget::spend();
    if budget::is_spent() {
        budget::turn().await;
    }
    match result {
        Ok(()) => Ok(buf),
        Err(error) => Err(BufError::new(error, buf)),
    }
}
