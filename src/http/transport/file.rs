//! Bytes of a file, sent by the kernel.

use std::{io, os::fd::RawFd};

use super::{Kind, Transport};

impl Transport {
    /// As [`try_write`](Self::try_write), of `len` bytes from `offset` of a file, which the page
    /// cache has. `Unsupported` where they have to be read.
    pub(in crate::http) fn try_send_file(
        &self,
        file: RawFd,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.try_send_file(file, offset, len),
            Kind::Other(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
