//! The addresses and sockets that a server listens on.

#[cfg(feature = "tls")]
mod tls;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::{Server, prefaces::Prefaces};
use crate::{
    net::{
        self, Acceptor, Balance, InheritedSocket, JOIN_TIMEOUT, Loads, TcpListenOptions,
        UnixListenOptions, deal_by_core,
    },
    sys::errno,
    workers::AcceptPolicy,
};

/// Where a server shall listen.
pub(super) enum Place {
    /// The addresses that an address or a name stands for.
    Addrs(io::Result<Vec<SocketAddr>>),
    /// A Unix socket's path.
    Path(PathBuf),
    /// Listening sockets that the caller made.
    Sockets(io::Result<Vec<OwnedFd>>),
    /// One of those whose clients speak another protocol before HTTP.
    Prefaced(Box<Place>, Prefaces),
}

/// A listening socket, before it belongs to a worker.
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
    /// One of which each worker has a descriptor, and one worker accepts for all.
    Balanced {
        socket: Box<Listening>,
        balance: Arc<Balance>,
        worker: usize,
    },
    /// One whose clients speak another protocol before HTTP.
    Prefaced(Box<Listening>, Prefaces),
}

/// The options of a server's listening sockets.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    tcp: TcpListenOptions,
    unix: UnixListenOptions,
    policy: AcceptPolicy,
    /// How long connections that are handed over wait for all workers. None where all begin.
    join_timeout: Option<Duration>,
}

impl Server {
    /// Listens on sockets that listen already: std's listeners, or descriptors of TCP or Unix
    /// sockets that other code has made.
    ///
    /// The workers share each of them. When the server stops, it answers what waits in their
    /// queues, and closes its descriptors; a socket that another process has, too, goes on
    /// listening there.
    #[must_use]
    pub fn listen_on<S: Into<OwnedFd>>(self, sockets: impl IntoIterator<Item = S>) -> Self {
        let sockets = sockets.into_iter().map(Into::into).collect();
        self.listen_at(Place::Sockets(Ok(sockets)))
    }

    /// Listens on the sockets that the parent process has handed over, as systemd does for a socket
    /// unit (`LISTEN_FDS` and `LISTEN_PID`). They can be taken once. A program that has other uses
    /// for some of them takes them by [`inherited_sockets`](crate::net::inherited_sockets).
    ///
    /// [`run`](Self::run) fails when there are none, or one that does not listen.
    #[must_use]
    pub fn listen_inherited(self) -> Self {
        self.listen_at(Place::inherited())
    }

    /// Chooses which worker gets a connection. By default each worker has a socket at each address,
    /// and the kernel deals the connections out: [`AcceptPolicy::ReusePort`].
    ///
    /// [`IncomingCpu`](AcceptPolicy::IncomingCpu) is for the addresses of
    /// [`listen`](Self::listen): the workers share Unix sockets and those of
    /// [`listen_on`](Self::listen_on), each of which has one queue. With
    /// [`LeastConnections`](AcceptPolicy::LeastConnections) and
    /// [`least_load`](AcceptPolicy::least_load) one worker accepts from sockets of all kinds, and
    /// up to 64 connections wait for each worker beside those that it
    /// [keeps](Self::connections_max). The load is that of all addresses together.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::{http::Server, workers::AcceptPolicy};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .accept_policy(AcceptPolicy::LeastConnections)
    ///     .run(async |_request| "hello")
    ///     .map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn accept_policy(mut self, policy: AcceptPolicy) -> Self {
        self.options.policy = policy;
        self
    }
}

impl Options {
    pub(super) fn reuse_port(&mut self, reuse_port: bool) {
        self.tcp = self.tcp.clone().reuse_port(reuse_port);
    }

    /// Notes that some of the workers may never take their part.
    pub(super) fn some_may_not_join(&mut self) {
        self.join_timeout = Some(JOIN_TIMEOUT);
    }

    pub(super) fn backlog(&mut self, backlog: u32) {
        self.tcp = self.tcp.clone().backlog(backlog);
        self.unix = self.unix.clone().backlog(backlog);
    }

    /// Listens at `places`, with a socket at each for the worker of each of `cores`.
    pub(super) fn listen(
        &self,
        places: Vec<Place>,
        cores: &[usize],
    ) -> io::Result<Vec<Vec<Listening>>> {
        let v4_ports: Vec<u16> = places.iter().flat_map(Place::v4_ports).collect();
        let mut workers: Vec<Vec<Listening>> = Vec::new();
        workers.resize_with(cores.len(), Vec::new);
        let balances = self.policy.balances().filter(|_| cores.len() > 1);
        let loads = balances.map(|figure| Loads::new(cores.len(), figure));
        for place in places {
            let (place, prefaces) = place.split();
            let mut added: Vec<Vec<Listening>> = Vec::new();
            added.resize_with(cores.len(), Vec::new);
            match place {
                Place::Addrs(addrs) => {
                    let addrs = addrs?;
                    self.listen_at(&addrs, &v4_ports, loads.as_ref(), cores, &mut added)?;
                }
                Place::Path(path) => {
                    // The socket file of a server that crashed must not keep the next one from
                    // starting.
                    let options = self.unix.clone().remove_stale(true);
                    let socket = options.listen(&path);
                    let socket = socket.map_err(|error| failed(path.display(), &error))?;
                    self.share(&Listening::Unix(socket), loads.as_ref(), &mut added)?;
                }
                Place::Sockets(sockets) => {
                    for socket in sockets? {
                        // Its mode stays: it is that of other processes as well, which may be about
                        // to accept what must not block.
                        self.share(&Listening::of(socket), loads.as_ref(), &mut added)?;
                    }
                }
                Place::Prefaced(..) => unreachable!("its prefaces were taken off"),
            }
            for (worker, added) in workers.iter_mut().zip(added) {
                worker.extend(
                    added
                        .into_iter()
                        .map(|socket| socket.prefaced(prefaces.as_ref())),
                );
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
        loads: Option<&Arc<Loads>>,
        cores: &[usize],
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
            let is_own = cores.len() > 1 && loads.is_none();
            let first = if is_own {
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
            if !is_own {
                self.share(&Listening::Tcp(first), loads, workers)?;
                continue;
            }
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
            if let (true, Some(Listening::Tcp(listener))) =
                (self.policy.is_by_core(), workers[0].last())
            {
                deal_by_core(listener, cores)?;
            }
        }
        match absent {
            Some(error) if !is_bound => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives every worker a handle to one socket. They take its connections from one queue, or are
    /// handed them by the one that accepts.
    fn share(
        &self,
        listening: &Listening,
        loads: Option<&Arc<Loads>>,
        workers: &mut [Vec<Listening>],
    ) -> io::Result<()> {
        let balance = loads.map(|loads| Balance::new(Arc::clone(loads), self.join_timeout));
        for (worker, listeners) in workers.iter_mut().enumerate() {
            let socket = listening.try_clone()?;
            listeners.push(match &balance {
                None => socket,
                Some(balance) => Listening::Balanced {
                    socket: Box::new(socket),
                    balance: Arc::clone(balance),
                    worker,
                },
            });
        }
        Ok(())
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

    /// Changes what its clients speak before HTTP.
    pub(super) fn prefaced(self, change: impl FnOnce(&mut Prefaces)) -> Self {
        let (place, prefaces) = self.split();
        let mut prefaces = prefaces.unwrap_or_default();
        change(&mut prefaces);
        Self::Prefaced(Box::new(place), prefaces)
    }

    /// The place, and what its clients speak before HTTP.
    fn split(self) -> (Self, Option<Prefaces>) {
        match self {
            Self::Prefaced(place, prefaces) => (*place, Some(prefaces)),
            place => (place, None),
        }
    }

    fn v4_ports(&self) -> impl Iterator<Item = u16> + '_ {
        let place = match self {
            Self::Prefaced(place, _) => place,
            place => place,
        };
        let addrs = match place {
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
            Self::Balanced { socket, .. } => return socket.try_clone(),
            Self::Prefaced(socket, prefaces) => {
                return Ok(socket.try_clone()?.prefaced(Some(prefaces)));
            }
        })
    }

    /// The same socket, for clients that speak this before HTTP.
    fn prefaced(self, prefaces: Option<&Prefaces>) -> Self {
        match prefaces {
            Some(prefaces) => Self::Prefaced(Box::new(self), prefaces.clone()),
            None => self,
        }
    }

    /// The address, unless it is a Unix socket.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
            Self::Balanced { socket, .. } | Self::Prefaced(socket, _) => socket.local_addr(),
        }
    }

    /// Gives it to this thread's runtime, with what its clients speak before HTTP.
    pub(super) fn into_acceptor(self) -> io::Result<(Acceptor, Prefaces)> {
        let (socket, prefaces) = match self {
            Self::Prefaced(socket, prefaces) => (*socket, prefaces),
            socket => (socket, Prefaces::default()),
        };
        let acceptor = match socket {
            Self::Tcp(listener) => Acceptor::from_tcp(listener)?,
            Self::Unix(listener) => Acceptor::from_unix(listener)?,
            Self::Balanced {
                socket,
                balance,
                worker,
            } => socket.balanced(&balance, worker)?,
            Self::Prefaced(..) => unreachable!("its prefaces were taken off"),
        };
        Ok((acceptor, prefaces))
    }

    fn balanced(self, balance: &Arc<Balance>, worker: usize) -> io::Result<Acceptor> {
        match self {
            Self::Tcp(listener) => Acceptor::balanced_tcp(listener, balance, worker),
            Self::Unix(listener) => Acceptor::balanced_unix(listener, balance, worker),
            Self::Balanced { socket, .. } | Self::Prefaced(socket, _) => {
                socket.balanced(balance, worker)
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addrs(addrs) => addrs.fmt(f),
            Self::Path(path) => path.fmt(f),
            Self::Sockets(sockets) => sockets.fmt(f),
            Self::Prefaced(place, _) => place.fmt(f),
        }
    }
}
