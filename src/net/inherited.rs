//! Sockets that the parent process has handed over.

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    process::{Child, Command},
};

use super::{TcpListener, UdpSocket, UnixListener};
use crate::{
    driver,
    sys::{self, option},
};

/// Takes the sockets that the parent process has handed over, in its order, as systemd does for
/// socket units (sd_listen_fds(3)). There are none unless `LISTEN_PID` names this process and
/// `LISTEN_FDS` says how many.
///
/// They can be taken once in a process; a later call finds none. They are not passed on to
/// processes that this one starts. No runtime is needed: a program may take them first, and give
/// each to the worker or thread that shall use it.
///
/// # Errors
///
/// When a descriptor that was promised is not open, and [`InvalidData`](io::ErrorKind::InvalidData)
/// when `LISTEN_FDNAMES` has more or fewer names than there are descriptors. The descriptors cannot
/// be taken by another call then.
///
/// # Examples
///
/// A service that listens by itself where it was handed no socket:
///
/// ```
/// use annulus::net::{self, TcpListener};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let mut sockets = net::inherited_sockets()?;
///     let listener = match sockets.pop() {
///         Some(socket) => socket.into_tcp_listener()?,
///         None => TcpListener::bind("127.0.0.1:0").await?,
///     };
///     println!("listening on {}", listener.local_addr()?);
///     Ok(())
/// })
/// # }
/// ```
pub fn inherited_sockets() -> io::Result<Vec<InheritedSocket>> {
    let descriptors = sys::inherited_descriptors()?;
    Ok(descriptors
        .into_iter()
        .map(|(name, fd)| InheritedSocket { name, fd })
        .collect())
}

/// Starts `command` and hands the sockets over to it, each with a name, so that it takes them by
/// [`inherited_sockets`] or as a service of systemd's does.
///
/// Both processes have each socket then, and take connections from one queue. So a program starts
/// its next version in this way, waits until that is ready, and stops: no connection is refused.
/// Hand over listening sockets that a server was given by `listen_on`, or the clones of std's
/// listeners.
///
/// The process has the variables of this one, with the changes of `command`, apart from those of
/// the protocol and `WATCHDOG_PID`. [`Command::env_clear`] and [`CommandExt::arg0`] have no effect.
/// Other descriptors are inherited as always, that is, only those without the flag close-on-exec.
///
/// [`CommandExt::arg0`]: std::os::unix::process::CommandExt::arg0
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a name with a colon, a line break or a zero.
/// Those of [`Command::spawn`]: when the program cannot be started the error says why.
///
/// # Examples
///
/// ```
/// use std::{io, net::TcpListener, process::Command};
///
/// # fn main() -> io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut command = Command::new("sh");
/// command.args(["-c", "test $LISTEN_PID = $$ && test $LISTEN_FDNAMES = web"]);
/// let mut next = annulus::net::spawn_with_sockets(command, [("web", &listener)])?;
/// assert!(next.wait()?.success());
/// # Ok(())
/// # }
/// ```
pub fn spawn_with_sockets<N: AsRef<str>, S: AsFd>(
    command: Command,
    sockets: impl IntoIterator<Item = (N, S)>,
) -> io::Result<Child> {
    let sockets: Vec<(N, S)> = sockets.into_iter().collect();
    let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_ref()).collect();
    if let Some(name) = names.iter().find(|name| name.contains([':', '\n', '\0'])) {
        let text = format!("expected a name without a colon, line break or zero, found {name:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let fds: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    sys::spawn_with_descriptors(command, &fds, &names.join(":"))
}

/// A socket that another process has handed over: the parent process, whose sockets
/// [`inherited_sockets`] takes, or the process before this one, by a [`Handover`](super::Handover).
///
/// It may go to any thread, and belongs to a runtime once it was turned into a socket of this
/// module. A connection, as systemd hands over with `Accept=yes`, comes by std's types:
/// `TcpStream::from_std(OwnedFd::from(socket).into())`.
pub struct InheritedSocket {
    name: Option<String>,
    fd: OwnedFd,
}

/// The kinds of socket that a process can hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InheritedKind {
    /// A TCP socket that listens.
    TcpListener,
    /// A Unix socket of streams that listens.
    UnixListener,
    /// A UDP socket.
    UdpSocket,
    /// Another socket, such as a connection, or a descriptor that is no socket.
    Other,
}

impl InheritedSocket {
    pub(super) fn new(name: String, fd: OwnedFd) -> Self {
        Self {
            name: Some(name),
            fd,
        }
    }

    /// Returns its name (`FileDescriptorName=` of a socket unit), or `None` where the process
    /// before has named none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns what the kernel says that it is.
    #[must_use]
    pub fn kind(&self) -> InheritedKind {
        let ask = |name| sys::socket_option(self.as_raw_fd(), option::SOL_SOCKET, name).ok();
        let listens = ask(option::SO_ACCEPTCONN) == Some(1);
        match (ask(option::SO_DOMAIN), ask(option::SO_TYPE)) {
            (Some(option::AF_INET | option::AF_INET6), Some(option::SOCK_STREAM)) if listens => {
                InheritedKind::TcpListener
            }
            (Some(option::AF_UNIX), Some(option::SOCK_STREAM)) if listens => {
                InheritedKind::UnixListener
            }
            (Some(option::AF_INET | option::AF_INET6), Some(option::SOCK_DGRAM)) => {
                InheritedKind::UdpSocket
            }
            _ => InheritedKind::Other,
        }
    }

    /// Turns it into a listener of the current runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when it is no TCP socket that listens. Outside
    /// a runtime. The socket is closed with an error, so look at its [`kind`](Self::kind) before.
    pub fn into_tcp_listener(self) -> io::Result<TcpListener> {
        self.expect(&[InheritedKind::TcpListener])?;
        // Not by way of std, which would set a mode that the socket has in other processes, too.
        TcpListener::from_fd(self.fd, &driver::current()?)
    }

    /// Turns it into a listener of the current runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when it is no Unix socket that listens.
    /// Outside a runtime. The socket is closed with an error.
    pub fn into_unix_listener(self) -> io::Result<UnixListener> {
        self.expect(&[InheritedKind::UnixListener])?;
        UnixListener::from_fd(self.fd, &driver::current()?)
    }

    /// Turns it into a socket of the current runtime, and sets its blocking mode as the driver
    /// wants it. Processes that share a socket share its mode, so all should have the same driver.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when it is no UDP socket. Outside a runtime.
    /// The socket is closed with an error.
    pub fn into_udp_socket(self) -> io::Result<UdpSocket> {
        self.expect(&[InheritedKind::UdpSocket])?;
        UdpSocket::from_std(self.fd.into())
    }

    /// Turns it into the descriptor of a socket that accepts connections.
    pub(crate) fn into_listening(self) -> io::Result<OwnedFd> {
        self.expect(&[InheritedKind::TcpListener, InheritedKind::UnixListener])?;
        Ok(self.fd)
    }

    fn expect(&self, expected: &[InheritedKind]) -> io::Result<()> {
        let found = self.kind();
        if expected.contains(&found) {
            return Ok(());
        }
        let expected: Vec<&str> = expected.iter().map(|kind| kind.as_str()).collect();
        let text = format!(
            "expected {} to be handed over, found {} (descriptor {})",
            expected.join(" or "),
            found.as_str(),
            self.as_raw_fd()
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

impl InheritedKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::TcpListener => "a TCP socket that listens",
            Self::UnixListener => "a Unix socket that listens",
            Self::UdpSocket => "a UDP socket",
            Self::Other => "something else",
        }
    }
}

impl From<InheritedSocket> for OwnedFd {
    fn from(socket: InheritedSocket) -> Self {
        socket.fd
    }
}

impl AsFd for InheritedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for InheritedSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for InheritedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InheritedSocket")
            .field("name", &self.name)
            .field("fd", &self.as_raw_fd())
            .field("kind", &self.kind())
            .finish()
    }
}
