//! `IORING_OP_CONNECT`: connects a socket.

use std::{io, net::SocketAddr};

use super::{AnyFd, Op, WithoutRing};
use crate::sys::{self, Entry, PollEvents, SocketAddress, errno, opcode};

pub(crate) struct Connect {
    fd: AnyFd,
    /// Boxed, because the kernel reads it when it sees the entry.
    address: Box<SocketAddress>,
    started: bool,
}

impl Connect {
    pub(crate) fn new(fd: AnyFd, address: SocketAddr) -> Self {
        Self {
            fd,
            address: Box::new(address.into()),
            started: false,
        }
    }
}

// SAFETY: the entry points to the boxed address, which only `complete` frees.
unsafe impl Op for Connect {
    type Output = io::Result<()>;

    const OPCODE: u8 = opcode::CONNECT;

    fn entry(&mut self) -> Entry {
        Entry::connect(
            self.fd.raw(),
            self.address.as_bytes_ptr(),
            self.address.bytes(),
        )
    }

    fn without_ring(&mut self) -> WithoutRing {
        WithoutRing::Ready(PollEvents::WRITE)
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    /// The first call starts the connect of a non-blocking socket; once the socket is writable, the
    /// next one asks what came of it.
    fn attempt(&mut self) -> i32 {
        if self.started {
            return sys::socket_error(self.fd.raw());
        }
        self.started = true;
        match sys::connect_now(self.fd.raw(), &self.address) {
            result if result == -errno::EINPROGRESS => -errno::EAGAIN,
            result => result,
        }
    }

    fn complete(self, result: io::Result<u32>) -> io::Result<()> {
        result.map(drop)
    }

    fn left_behind(error: io::Error) -> Option<io::Result<()>> {
        Some(Err(error))
    }
}
