//! The sending side of a UDP socket. A datagram is sent whole or not at all, so sends need no
//! queue: each is tried at once, and waits by itself while the kernel has no room.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{SendMeta, UdpSocket, udp_socket::is_put_off};
use crate::{
    budget::{self, Turn},
    buf::{BufError, IoBuf, bytes_of},
    op::{self, AnyFd, InFlight, SendDatagram},
    sys::{DatagramHeader, Destination, PollEvents},
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
    pub fn send_to<B>(
        &self,
        buf: B,
        addr: SocketAddr,
    ) -> impl Future<Output = Result<B, BufError<B>>> + use<'_, B>
    where
        B: IoBuf, // the buffer itself: `send_to(text, addr)`, not `send_to(text.as_bytes(), addr)`
    {
        self.send_as(buf, SendMeta::to(addr))
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
    pub fn send<B>(&self, buf: B) -> impl Future<Output = Result<B, BufError<B>>> + use<'_, B>
    where
        B: IoBuf, // the buffer itself: `send(text)`, not `send(text.as_bytes())`
    {
        self.send_as(buf, SendMeta::connected())
    }

    fn send_as<B: IoBuf>(&self, buf: B, meta: SendMeta) -> SendFuture<'_, B> {
        let stage = Stage::Start(buf, meta);
        SendFuture {
            socket: self,
            stage,
        }
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
    pub fn send_message<B: IoBuf>(
        &self,
        buf: B,
        meta: &SendMeta,
    ) -> impl Future<Output = Result<B, BufError<B>>> + use<'_, B> {
        self.send_as(buf, *meta)
    }

    /// The header of a datagram, in the box of the one before if that is free.
    fn header(&self, meta: &SendMeta, len: usize) -> Box<DatagramHeader> {
        let spare = self.shared().extra.spare_header.take();
        let mut header = spare.unwrap_or_else(|| Box::new(DatagramHeader::new()));
        let destination = meta.destination.map(Destination::from);
        header.set(destination, &meta.control(len), self.family());
        header
    }

    /// Sends what the kernel takes at once.
    fn send_now(&self, bytes: &[u8], meta: &SendMeta) -> io::Result<()> {
        if meta.is_plain() {
            let destination = meta.destination.map(Destination::from);
            return op::send_to_now(self.shared(), bytes, destination.as_ref());
        }
        let mut header = self.header(meta, bytes.len());
        let sent = op::send_with_header_now(self.shared(), bytes, &mut header);
        self.shared().extra.spare_header.set(Some(header));
        sent
    }

    /// Sends `bytes` as one datagram to `addr`, if the kernel takes it at once.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it does not. Otherwise as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, bytes: &[u8], addr: SocketAddr) -> io::Result<()> {
        budget::spend();
        self.shared().driver().check_current()?;
        self.send_now(bytes, &SendMeta::to(addr))
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
        self.send_now(bytes, &SendMeta::connected())
    }

    /// Sends `bytes` as `meta` says, if the kernel takes them at once.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it does not. Otherwise as [`send_message`](Self::send_message).
    pub fn try_send_message(&self, bytes: &[u8], meta: &SendMeta) -> io::Result<()> {
        budget::spend();
        self.shared().driver().check_current()?;
        self.send_now(bytes, meta)
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
            // To clone it may run code of the user's that polls the same socket.
            if udp.send_wait.get().is_none() {
                let (raw, source) = (shared.raw(), shared.source());
                let key = driver.submit_ready(raw, source, PollEvents::WRITE, waker)?;
                udp.send_wait.set(Some(key));
            }
        }
    }
}

/// The future of a send.
struct SendFuture<'a, B: IoBuf> {
    socket: &'a UdpSocket,
    stage: Stage<B>,
}

enum Stage<B: IoBuf> {
    Start(B, SendMeta),
    InFlight(InFlight<SendDatagram<B>>),
    /// It was sent, or has failed, and its task has done as much as it may in one poll.
    PutOff(Result<B, BufError<B>>, Turn),
    Done,
}

impl<B: IoBuf> Unpin for SendFuture<'_, B> {}

impl<B: IoBuf> SendFuture<'_, B> {
    /// Begins a send, and ends it if that can be done at once.
    fn start(&mut self, buf: B, meta: &SendMeta) -> Option<Result<B, BufError<B>>> {
        let shared = self.socket.shared();
        let driver = shared.driver();
        if let Err(error) = driver.check_current() {
            return Some(Err(BufError::new(error, buf)));
        }
        if op::sends_at_once(shared) {
            match self.socket.send_now(bytes_of(&buf), meta) {
                Ok(()) => return Some(Ok(buf)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Some(Err(BufError::new(error, buf))),
            }
        }
        let header = self.socket.header(meta, buf.len());
        let send = SendDatagram::new(Rc::clone(shared) as AnyFd, buf, header);
        self.stage = Stage::InFlight(InFlight::new(Rc::clone(driver), send));
        None
    }
}

impl<B: IoBuf> Future for SendFuture<'_, B> {
    type Output = Result<B, BufError<B>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Stage::Start(..) = this.stage {
            let Stage::Start(buf, meta) = std::mem::replace(&mut this.stage, Stage::Done) else {
                unreachable!("it was looked at above")
            };
            if let Some(result) = this.start(buf, &meta) {
                budget::spend();
                if !budget::is_spent() {
                    return Poll::Ready(result);
                }
                this.stage = Stage::PutOff(result, budget::turn());
            }
        }
        match &mut this.stage {
            Stage::InFlight(send) => {
                let (result, header) = ready!(Pin::new(send).poll(context));
                this.stage = Stage::Done;
                this.socket.shared().extra.spare_header.set(Some(header));
                // It has waited.
                budget::spend();
                Poll::Ready(result)
            }
            Stage::PutOff(_, turn) => {
                ready!(Pin::new(turn).poll(context));
                match std::mem::replace(&mut this.stage, Stage::Done) {
                    Stage::PutOff(result, _) => Poll::Ready(result),
                    _ => unreachable!("it was looked at above"),
                }
            }
            Stage::Start(..) | Stage::Done => {
                panic!("a future is not polled after it is ready")
            }
        }
    }
}
