//! The addresses and sockets that a server listens on.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
};

use crate::{
    net::{self, Acceptor, InheritedSocket, TcpListenOptions, UnixListenOptions},
    sys::errno,
};

/// Where a server shall listen.
pub(super) enum Place {
    /// The addresses that an address or a name stands for.
    Addrs(io::Result<Vec<SocketAddr>>),
    /// A Unix socket's path.
    Path(PathBuf),
    /// Listening sockets that the caller made.
    Sockets(io::Result<Vec<OwnedFd>>),
}

/// A listening socket, before it belongs to a worker.
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The options of a server's listening sockets.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    tcp: TcpListenOptions,
    unix: UnixListenOptions,
}

impl Options {
    pub(super) fn reuse_port(&mut self, reuse_port: bool) {
        self.tcp = self.tcp.clone().reuse_port(reuse_port);
    }

    pub(super) fn backlog(&mut self, backlog: u32) {
        self.tcp = self.tcp.clone().backlog(backlog);
        self.unix = self.unix.clone().backlog(backlog);
    }

    /// Listens at `places`, with a socket at each for each of `count` workers.
    pub(super) fn listen(
        &self,
        places: Vec<Place>,
        count: usize,
    ) -> io::Result<Vec<Vec<Listening>>> {
        let v4_ports: Vec<u16> = places.iter().flat_map(Place::v4_ports).collect();
        let mut workers: Vec<Vec<Listening>> = Vec::new();
        workers.resize_with(count, Vec::new);
        for place in places {
            match place {
                Place::Addrs(addrs) => self.listen_at(&addrs?, &v4_ports, &mut workers)?,
                Place::Path(path) => {
                    // The socket file of a server that crashed must not keep the next one from
                    // starting.
                    let options = self.unix.clone().remove_stale(true);
                    let socket = options.listen(&path);
                    let socket = socket.map_err(|error| failed(path.display(), &error))?;
                    share(&Listening::Unix(socket), &mut workers)?;
                }
                Place::Sockets(sockets) => {
                    for socket in sockets? {
                        // Its mode stays: it is that of other processes as well, which may be about
                        // to accept what must not block.
                        share(&Listening::of(socket), &mut workers)?;
                    }
                }
            }
        }
        if workers.iter().any(Vec::is_empty) {
            let text = "expected an address to listen at, found none";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(workers)
    }

    /// Listens at all of `addrs` that this machine has, and at least at one. The kernel deals the
    /// connections out among the workers' sockets.
    fn listen_at(
        &self,
        addrs: &[SocketAddr],
        v4_ports: &[u16],
        workers: &mut [Vec<Listening>],
    ) -> io::Result<()> {
        let mut absent = None;
        let mut is_bound = false;
        for &addr in addrs {
            let mut options = self.tcp.clone();
            if addr.is_ipv6() && v4_ports.contains(&addr.port()) {
                // Else `[::]` would take the other's place.
                options = options.only_v6(true);
            }
            let first = if workers.len() > 1 {
                options.listen_first(addr)
            } else {
                options.listen(addr)
            };
            let first = match first {
                Ok(first) => first,
                Err(error) if is_absent(&error) => {
                    absent = Some(failed(addr, &error));
                    continue;
                }
                Err(error) => return Err(failed(addr, &error)),
            };
            is_bound = true;
            let addr = first.local_addr()?;
            let mut first = Some(first);
            options = options.reuse_port(true);
            for worker in &mut *workers {
                let listener = match first.take() {
                    Some(first) => first,
                    None => options.listen(addr).map_err(|error| failed(addr, &error))?,
                };
                worker.push(Listening::Tcp(listener));
            }
        }
        match absent {
            Some(error) if !is_bound => Err(error),
            _ => Ok(()),
        }
    }
}

/// An error of the same kind that names the place.
fn failed(place: impl fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {place}: {error}"))
}

/// Whether this machine lacks the address or its whole family.
fn is_absent(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(errno, Some(errno::EADDRNOTAVAIL | errno::EAFNOSUPPORT))
}

/// Gives every worker a handle to one socket, whose connections they take from one queue.
fn share(listening: &Listening, workers: &mut [Vec<Listening>]) -> io::Result<()> {
    for worker in &mut *workers {
        worker.push(listening.try_clone()?);
    }
    Ok(())
}

impl Place {
    /// The sockets of the parent process.
    pub(super) fn inherited() -> Self {
        let sockets = net::inherited_sockets().and_then(|sockets| {
            if sockets.is_empty() {
                let text = "expected sockets from the parent process (LISTEN_FDS, LISTEN_PID), \
                            found none that are left";
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
            let sockets = sockets.into_iter();
            sockets.map(InheritedSocket::into_listening).collect()
        });
        Self::Sockets(sockets)
    }

    fn v4_ports(&self) -> impl Iterator<Item = u16> + '_ {
        let addrs = match self {
            Self::Addrs(Ok(addrs)) => addrs.as_slice(),
            _ => &[],
        };
        addrs
            .iter()
            .filter(|addr| addr.is_ipv4())
            .map(SocketAddr::port)
    }
}

impl Listening {
    fn of(socket: OwnedFd) -> Self {
        let listener = TcpListener::from(socket);
        // Only an address of the internet is one to std.
        match listener.local_addr() {
            Ok(_) => Self::Tcp(listener),
            Err(_) => Self::Unix(OwnedFd::from(listener).into()),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }

    /// The address, unless it is a Unix socket.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Gives it to this thread's runtime.
    pub(super) fn into_acceptor(self) -> io::Result<Acceptor> {
        Ok(match self {
            Self::Tcp(listener) => Acceptor::from_tcp(listener)?,
            Self::Unix(listener) => Acceptor::from_unix(listener)?,
        })
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addrs(addrs) => addrs.fmt(f),
            Self::Path(path) => path.fmt(f),
            Self::Sockets(sockets) => sockets.fmt(f),
        }
    }
}
