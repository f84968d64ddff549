//! `IORING_OP_SENDMSG` of one datagram.

use std::io;

use super::{AnyFd, Descriptor, Op, Owner, WithoutRing, held::Held};
use crate::{
    buf::{BufError, IoBuf},
    driver::Driver,
    sys::{
        self, Completion, DatagramHeader, Destination, Entry, PollEvents, errno, opcode, option,
    },
};

pub(crate) struct SendDatagram<B: IoBuf> {
    fd: AnyFd,
    buf: Held<B>,
    /// Boxed, because the kernel reads it until the send has completed.
    header: Held<Box<DatagramHeader>>,
}

impl<B: IoBuf> SendDatagram<B> {
    pub(crate) fn new(fd: AnyFd, buf: B, header: Box<DatagramHeader>) -> Self {
        Self {
            fd,
            buf: Held::new(buf),
            header: Held::new(header),
        }
    }

    /// The header, which names the payload.
    fn header(&mut self) -> &DatagramHeader {
        let buf = self.buf.get();
        let (start, len) = (buf.as_ptr(), buf.len());
        let header = self.header.get_mut();
        header.name(start, len);
        header
    }
}

// SAFETY: the entry points to the boxed header, which points to itself and to the buffer's bytes;
// by `IoBuf` these stay where they are when the value moves, and `Held` keeps both untouched until
// `complete`.
unsafe impl<B: IoBuf> Op for SendDatagram<B> {
    /// The header comes back to be used again.
    type Output = (Result<B, BufError<B>>, Box<DatagramHeader>);

    const OPCODE: u8 = opcode::SENDMSG;

    fn entry(&mut self) -> Entry {
        let fd = self.fd.raw();
        Entry::sendmsg(fd, self.header().as_ptr(), option::MSG_NOSIGNAL)
    }

    fn without_ring(&mut self) -> WithoutRing {
        WithoutRing::Ready(PollEvents::WRITE)
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    fn attempt(&mut self) -> i32 {
        let fd = self.fd.raw();
        // SAFETY: all that the header names is here, and no code writes it.
        unsafe { sys::send_message_now(fd, self.header()) }
    }

    fn complete(self, result: io::Result<u32>) -> Self::Output {
        let buf = self.buf.into_inner();
        let result = match result {
            Ok(_) => Ok(buf),
            Err(error) => Err(BufError::new(error, buf)),
        };
        (result, self.header.into_inner())
    }
}

/// Sends a datagram if the kernel takes it at once.
#[inline]
pub(crate) fn send_to_now<T: Owner + ?Sized>(
    fd: &Descriptor<T>,
    bytes: &[u8],
    destination: Option<&Destination>,
) -> io::Result<()> {
    try_send(fd, || sys::send_to_now(fd.raw(), bytes, destination))
}

/// As [`send_to_now`], with a header.
pub(crate) fn send_with_header_now<T: Owner + ?Sized>(
    fd: &Descriptor<T>,
    bytes: &[u8],
    header: &mut DatagramHeader,
) -> io::Result<()> {
    header.name(bytes.as_ptr(), bytes.len());
    // SAFETY: all that the header names is borrowed for the time of the call.
    try_send(fd, || unsafe { sys::send_message_now(fd.raw(), header) })
}

#[inline]
fn try_send<T: Owner + ?Sized>(fd: &Descriptor<T>, send: impl Fn() -> i32) -> io::Result<()> {
    let driver: &Driver = fd.driver();
    loop {
        driver.count_attempt();
        match send() {
            result if result == -errno::EINTR => {}
            result => {
                if result == -errno::EAGAIN {
                    driver.not_ready(fd.source(), PollEvents::WRITE, false);
                }
                return Completion::new(result).result().map(drop);
            }
        }
    }
}
