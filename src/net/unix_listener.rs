//! A Unix socket that accepts connections.

use std::{
    fmt, io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::net::{self as std_unix, SocketAddr},
    },
    path::Path,
    rc::Rc,
};

use super::{
    Incoming, UnixListenOptions, UnixStream,
    acceptor::Acceptor,
    socket::{Family, Stream as _},
};
use crate::{
    driver::{self, Driver},
    sys,
};

/// A Unix socket that accepts connections.
///
/// Once [`accept`](Self::accept) was called, the kernel accepts ahead where it can (5.19), as a
/// [`TcpListener`](super::TcpListener) tells. Dropping the listener closes those that wait. Its
/// socket file stays.
///
/// # Examples
///
/// ```no_run
/// use annulus::net::UnixListener;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let options = UnixListener::options().mode(0o600).remove_stale(true);
///     let listener = options.bind("/run/hello.sock")?;
///     let (stream, _peer) = listener.accept().await?;
///     stream.write_all("hello").await?;
///     Ok(())
/// })
/// # }
/// ```
pub struct UnixListener {
    acceptor: Acceptor,
}

impl UnixListener {
    /// Listens at `path`, with the default options.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` when there is something at the path; `EACCES` and others.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::options().bind(path)
    }

    /// Listens on `name` in the abstract namespace, with the default options.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` when another socket has the name.
    pub fn bind_abstract(name: impl AsRef<[u8]>) -> io::Result<Self> {
        Self::options().bind_abstract(name)
    }

    /// Returns the options of a listening socket, for [`UnixListenOptions::bind`].
    #[must_use]
    pub fn options() -> UnixListenOptions {
        UnixListenOptions::default()
    }

    /// Takes over a listening socket of std's.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_std(listener: std_unix::UnixListener) -> io::Result<Self> {
        let driver = driver::current()?;
        listener.set_nonblocking(false)?;
        Self::from_fd(listener.into(), &driver)
    }

    pub(super) fn from_fd(socket: OwnedFd, driver: &Rc<Driver>) -> io::Result<Self> {
        let acceptor = Acceptor::from_fd(socket, Family::Unix, driver)?;
        Ok(Self { acceptor })
    }

    /// Accepts the next connection. Several callers are served in the order of asking.
    ///
    /// # Errors
    ///
    /// `EMFILE` and `ENFILE` mean that this process or the system is out of descriptors. The
    /// connection stays queued: close something, or simply call again, which waits for a tenth of
    /// a second before it tries.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a connection that the kernel accepts after the future is dropped stays in
    /// the listener, and the next accept returns it.
    ///
    /// # Kernel
    ///
    /// One operation serves many connections from 5.19 on.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let stream = UnixStream::from_socket(self.acceptor.accept().await?);
        // Bytes that a peer has sent can be read, even if its address is unknown.
        let peer = match stream.peer_addr() {
            Ok(peer) => peer,
            Err(_) => SocketAddr::from_pathname("")?,
        };
        Ok((stream, peer))
    }

    /// Returns the connections as a stream that never ends.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_, UnixStream> {
        Incoming::new(&self.acceptor)
    }

    /// Returns the address that it listens on.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::unix_local_addr(self.acceptor.raw())
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.acceptor.raw()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixListener")
            .field("fd", &self.acceptor.raw())
            .finish_non_exhaustive()
    }
}
