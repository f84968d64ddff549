//! A connection over a Unix socket.

use std::{
    io,
    net::Shutdown,
    os::{
        fd::{AsRawFd, RawFd},
        linux::net::SocketAddrExt as _,
        unix::net::{self as std_unix, SocketAddr},
    },
    path::Path,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Detached, OwnedReadHalf, OwnedWriteHalf, UCred,
    socket::{Family, Socket, Stream},
    stream_methods::stream_methods,
};
use crate::{
    budget,
    buf::{BufError, BufResult, IoBuf, IoBufMut, IoVectored, Room},
    driver,
    pool::ManagedBuf,
    sys::{self, SocketAddress, errno},
    time,
};

/// How long a connect first waits for room in a listener's full queue, of which nothing tells. It
/// waits twice as long each time after that, up to the other.
const FULL_PAUSE_MIN: Duration = Duration::from_millis(1);
const FULL_PAUSE_MAX: Duration = Duration::from_millis(64);

/// A connection over a Unix socket.
///
/// Everything works through `&self`: one task may receive while another sends. Share it by `Rc`, or
/// by [`into_split`](Self::into_split), whose halves need no lock.
///
/// Dropping the last handle closes the connection. A write that was dropped in flight is finished
/// first, for at most five seconds.
///
/// # Examples
///
/// ```
/// use annulus::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let (near, far) = UnixStream::pair()?;
///     near.write_all("hello").await?;
///     assert_eq!(far.recv().await?.as_ref(), b"hello");
///     Ok(())
/// })
/// # }
/// ```
pub struct UnixStream {
    socket: Socket,
}

stream_methods!(UnixStream, Family::Unix);

impl UnixStream {
    /// Connects to the socket file at `path`.
    ///
    /// When the listener's queue of connections is full, it tries again after a while.
    ///
    /// # Errors
    ///
    /// `ENOENT` without such a file, `ECONNREFUSED` when the file has no listener, `EACCES`.
    ///
    /// # Cancel safety
    ///
    /// A connection under way is closed.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?).await
    }

    /// Connects to the socket that has `name` in the abstract namespace, which has no files.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); `ECONNREFUSED` also when there is no such name.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_abstract(name: impl AsRef<[u8]>) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_abstract_name(name)?).await
    }

    /// Connects to a path or an abstract name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<Self> {
        budget::turn().await;
        let driver = driver::current()?;
        let address = SocketAddress::from(addr);
        let fd = sys::new_socket(address.family(), true)?;
        let mut pause = FULL_PAUSE_MIN;
        // A connect between two processes of one machine is done at once, or not at all.
        loop {
            match sys::connect_now(fd.as_raw_fd(), &address) {
                result if result == -errno::EINTR => {}
                result if result == -errno::EAGAIN => {
                    time::sleep(pause).await;
                    // The sleep may have ended in another runtime.
                    driver.check_current()?;
                    pause = (2 * pause).min(FULL_PAUSE_MAX);
                }
                result => {
                    sys::Completion::new(result).result()?;
                    break;
                }
            }
        }
        if driver.uses_ring() {
            // The ring waits by itself, and old kernels only do so for a socket in blocking mode.
            sys::set_nonblocking(fd.as_raw_fd(), false)?;
        }
        let socket = Socket::from_fd(fd, Family::Unix, &driver);
        Ok(Self { socket })
    }

    /// Makes two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// Outside a runtime, or when this process is out of descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = std_unix::UnixStream::pair()?;
        Ok((Self::from_std(near)?, Self::from_std(far)?))
    }

    /// Takes over a connected socket of std's.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_std(stream: std_unix::UnixStream) -> io::Result<Self> {
        let socket = Socket::from_std(stream, Family::Unix, std_unix::UnixStream::set_nonblocking)?;
        Ok(Self { socket })
    }

    /// Returns the address of this end, which has none unless it was bound.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::unix_local_addr(self.socket.raw())
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::unix_peer_addr(self.socket.raw())
    }

    /// Returns the process, user and group at the other end when it connected, listened or made the
    /// pair.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn peer_cred(&self) -> io::Result<UCred> {
        let (pid, uid, gid) = sys::peer_credentials(self.socket.raw())?;
        Ok(UCred::new(pid, uid, gid))
    }
}

impl AsRawFd for UnixStream {
    /// The descriptor. Reading from it races with the receive that the kernel may be doing for
    /// this stream; take the stream out by [`detach`](Self::detach) first.
    fn as_raw_fd(&self) -> RawFd {
        self.socket.raw()
    }
}
