//! Listening sockets of several workers, to which the kernel deals connections out by processor.

use std::{
    io, net,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::{Arc, Mutex},
};

use crate::{
    sys::{self, Process, option},
    unwind::lock,
};

/// The listening sockets at one address, in the order in which the kernel has them: its program
/// that deals connections out names a socket by its number in that order.
pub(crate) struct DealtByCore {
    sockets: Mutex<Vec<Socket>>,
    process: Process,
}

struct Socket {
    core: usize,
    fd: OwnedFd,
}

/// A socket among those that are dealt to. When it is dropped, the socket listens no more, and the
/// kernel deals to the others.
pub(crate) struct DealtSocket {
    all: Arc<DealtByCore>,
    /// The descriptor that `all` has of this socket.
    fd: RawFd,
}

impl DealtByCore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            sockets: Mutex::default(),
            process: Process::current(),
        })
    }

    /// Adds the socket that `listen` makes, for a worker on `core`.
    ///
    /// # Errors
    ///
    /// Those of `listen`, and when the kernel cannot deal to it.
    pub(crate) fn add(
        self: &Arc<Self>,
        core: usize,
        listen: impl FnOnce() -> io::Result<net::TcpListener>,
    ) -> io::Result<(net::TcpListener, DealtSocket)> {
        let mut sockets = lock(&self.sockets);
        let listener = listen()?;
        let fd = OwnedFd::from(listener.try_clone()?);
        let place = fd.as_raw_fd();
        sockets.push(Socket { core, fd });
        if let Err(error) = deal(&sockets) {
            sockets.pop();
            return Err(error);
        }
        drop(sockets);
        let all = Arc::clone(self);
        Ok((listener, DealtSocket { all, fd: place }))
    }

    /// The processors of the sockets, in the kernel's order.
    #[cfg(test)]
    fn cores(&self) -> Vec<usize> {
        cores(&lock(&self.sockets))
    }
}

impl Drop for DealtSocket {
    fn drop(&mut self) {
        // In a child that fork(2) has made, the sockets are still the parent's.
        if !self.all.process.is_current() {
            return;
        }
        let mut sockets = lock(&self.all.sockets);
        let place = sockets
            .iter()
            .position(|socket| socket.fd.as_raw_fd() == self.fd);
        // The kernel, too, puts its last socket into the place of one that ends. A close may come
        // later, when the last operation has ended; a shutdown is over when the call returns.
        let socket = sockets.swap_remove(place.expect("it stays until it is dropped"));
        sys::shutdown(socket.fd.as_raw_fd(), option::SHUT_RD);
        // If it fails, connections go to the wrong processors, as they may at any time.
        let _ = deal(&sockets);
    }
}

/// Has the kernel deal to `sockets`.
fn deal(sockets: &[Socket]) -> io::Result<()> {
    let one = sockets.first();
    one.map_or(Ok(()), |one| deal_by_core(&one.fd, &cores(sockets)))
}

fn cores(sockets: &[Socket]) -> Vec<usize> {
    sockets.iter().map(|socket| socket.core).collect()
}

/// Has each connection go to that of several sockets whose processor it arrives on; `cores` has the
/// processors in the order in which the sockets began to listen. One of the sockets is given.
///
/// # Errors
///
/// When the kernel cannot.
pub(crate) fn deal_by_core(socket: &impl AsRawFd, cores: &[usize]) -> io::Result<()> {
    sys::deal_by_core(socket.as_raw_fd(), cores).map_err(|error| {
        let text = format!(
            "cannot deal connections out by processor (SO_ATTACH_REUSEPORT_CBPF, Linux 4.6): {error}"
        );
        io::Error::new(error.kind(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::TcpListenOptions;

    #[test]
    fn a_socket_that_cannot_be_dealt_to_is_not_listed() {
        let all = DealtByCore::new();
        let options = TcpListenOptions::default();
        let any = "127.0.0.1:0".parse().unwrap();
        // It shares its address with no other, and the kernel has no list of such sockets.
        let refused = all.add(1, || options.listen(any));
        assert!(refused.is_err());
        assert!(all.cores().is_empty());
        let shared = options.clone().reuse_port(true);
        let (first, _first) = all.add(3, || shared.listen(any)).unwrap();
        let addr = first.local_addr().unwrap();
        let refused = all.add(1, || options.listen(addr));
        assert!(refused.is_err());
        assert_eq!(all.cores(), [3]);
        let _second = all.add(2, || shared.listen(addr)).unwrap();
        assert_eq!(all.cores(), [3, 2]);
    }

    #[test]
    fn the_last_socket_takes_the_place_of_one_that_ends() {
        let all = DealtByCore::new();
        let options = TcpListenOptions::default().reuse_port(true);
        let mut addr = "127.0.0.1:0".parse().unwrap();
        let mut sockets: Vec<_> = (0..4)
            .map(|core| {
                let added = all.add(core, || options.listen(addr)).unwrap();
                addr = added.0.local_addr().unwrap();
                added
            })
            .collect();
        let (listener, dealt) = sockets.remove(1);
        drop(dealt);
        assert_eq!(all.cores(), [0, 3, 2]);
        // It listens no more, although it is still open.
        listener.set_nonblocking(true).unwrap();
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        drop(sockets);
        assert!(all.cores().is_empty());
    }
}
