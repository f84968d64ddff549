//! A TCP connection between two runtimes.

use std::{io, os::fd::OwnedFd};

use super::TcpStream;
use crate::driver;

/// A connection that belongs to no runtime, with the bytes that were received and not taken. Made
/// by [`TcpStream::detach`], it can go to another thread.
#[derive(Debug)]
pub struct Detached {
    stream: std::net::TcpStream,
    received: Vec<u8>,
    /// The errno that ended the receive behind those bytes. The socket does not tell it again.
    error: Option<i32>,
}

impl Detached {
    pub(super) fn new(socket: OwnedFd, received: Vec<u8>, error: Option<i32>) -> Self {
        Self {
            stream: socket.into(),
            received,
            error,
        }
    }

    /// Makes it a stream of the runtime that this thread is inside of.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn attach(self) -> io::Result<TcpStream> {
        driver::current()?;
        let stream = TcpStream::from_std(self.stream)?;
        stream.unread(self.received, self.error);
        Ok(stream)
    }

    /// Returns a blocking stream of std's, and the bytes that come before those it will read.
    ///
    /// An error that was received behind those bytes is lost, as the socket told it already: the
    /// stream then reads the end. [`attach`](Self::attach) keeps it.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made to block.
    pub fn into_std(self) -> io::Result<(std::net::TcpStream, Vec<u8>)> {
        self.stream.set_nonblocking(false)?;
        Ok((self.stream, self.received))
    }
}
