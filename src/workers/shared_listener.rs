//! An address at which several workers accept.

use std::{
    fmt, io,
    net::{self, SocketAddr, ToSocketAddrs},
    sync::{Arc, OnceLock},
};

use super::{accept_policy::AcceptPolicy, worker::Worker};
use crate::net::{Balance, DealtByCore, JOIN_TIMEOUT, Loads, TcpListenOptions, TcpListener};

/// A TCP address at which the workers of one set accept, each by a listener of its own.
///
/// It is made before the workers start, or by one of them, and each worker asks it for
/// [its listener](Self::listener). The [`AcceptPolicy`] says which worker gets a connection.
///
/// # Examples
///
/// An echo service whose workers all have as many connections as the others, give or take one:
///
/// ```
/// use annulus::{Cores, Workers, net::TcpStream, spawn, workers::{AcceptPolicy, SharedListener}};
/// use std::io;
///
/// async fn echo(stream: TcpStream) -> io::Result<()> {
///     loop {
///         let bytes = stream.recv().await?;
///         if bytes.is_empty() {
///             return Ok(());
///         }
///         stream.write_all(bytes).await?;
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let shared = SharedListener::bind("127.0.0.1:0", AcceptPolicy::LeastConnections)?;
/// let addr = shared.local_addr()?;
/// let workers = Workers::builder().cores(Cores::All).start(async move |worker| {
///     let listener = shared.listener(&worker)?;
///     loop {
///         let (stream, _peer) = listener.accept().await?;
///         spawn(echo(stream));
///     }
///     # #[expect(unreachable_code, reason = "it names the error")]
///     # io::Result::Ok(())
/// })?;
/// # use std::io::{Read as _, Write as _};
/// # let mut stream = std::net::TcpStream::connect(addr)?;
/// # stream.write_all(b"hello")?;
/// # stream.read_exact(&mut [0; 5])?;
/// # workers.stop(std::time::Duration::ZERO);
/// workers.join()?;
/// # Ok(())
/// # }
/// ```
pub struct SharedListener {
    kind: Kind,
    local_addr: SocketAddr,
}

enum Kind {
    /// Each worker has a socket at the address, which `place` keeps: it is bound and does not
    /// listen.
    Sockets {
        options: TcpListenOptions,
        _place: net::TcpListener,
        /// The sockets, if connections are dealt to them by processor.
        dealt: Option<Arc<DealtByCore>>,
    },
    /// All workers have the same socket.
    Socket {
        socket: net::TcpListener,
        policy: AcceptPolicy,
        /// Made for as many workers as the first has at its side.
        balance: OnceLock<Arc<Balance>>,
    },
}

impl SharedListener {
    /// Binds the first of `addrs` that can be bound, with the default options. A name is looked up
    /// by std, which blocks.
    ///
    /// With `ReusePort` and `IncomingCpu` clients are refused until the first worker has its
    /// listener, and with the others they wait.
    ///
    /// # Errors
    ///
    /// The last address's error when none can be bound: `EADDRINUSE`, `EACCES` and others.
    pub fn bind(addrs: impl ToSocketAddrs, policy: AcceptPolicy) -> io::Result<Self> {
        let mut failed = None;
        for addr in addrs.to_socket_addrs()? {
            match Self::with_options(&TcpListenOptions::default(), addr, policy.clone()) {
                Ok(shared) => return Ok(shared),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "expected an address to listen at, found none",
            )
        }))
    }

    /// As [`bind`](Self::bind), with options. Where each worker has a socket,
    /// [`reuse_port`](TcpListenOptions::reuse_port) says whether other programs of this user may
    /// have one there as well.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EACCES` and others.
    pub fn with_options(
        options: &TcpListenOptions,
        addr: SocketAddr,
        policy: AcceptPolicy,
    ) -> io::Result<Self> {
        if policy.balances().is_some() {
            return Self::from_std(options.listen(addr)?, policy);
        }
        let place = options.bind_first(addr)?;
        let local_addr = place.local_addr()?;
        let kind = Kind::Sockets {
            options: options.clone().reuse_port(true),
            _place: place,
            dealt: policy.is_by_core().then(DealtByCore::new),
        };
        Ok(Self { kind, local_addr })
    }

    /// Shares a socket that listens already, such as one that another process has handed over
    /// ([`inherited_sockets`](crate::net::inherited_sockets)). With `ReusePort` the workers take
    /// connections from its one queue, as each is free.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for `IncomingCpu`, which needs a socket for
    /// each worker.
    pub fn from_std(listener: net::TcpListener, policy: AcceptPolicy) -> io::Result<Self> {
        if policy.is_by_core() {
            let text = "expected an address for `IncomingCpu`, which needs a socket for each \
                        worker, found a socket";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let local_addr = listener.local_addr()?;
        let kind = Kind::Socket {
            socket: listener,
            policy,
            balance: OnceLock::new(),
        };
        Ok(Self { kind, local_addr })
    }

    /// Returns the address, with the port that the system chose for port 0.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local_addr)
    }

    /// Returns the listener of `worker`, which calls this on its own thread.
    ///
    /// Where connections are handed over, they wait until all workers have theirs, for at most a
    /// tenth of a second. Dropping it leaves new connections to the others, and those that it was
    /// handed as well. Those in a socket of its own are closed.
    ///
    /// # Errors
    ///
    /// Outside of the worker's runtime, and when there are no descriptors left. Where connections
    /// are handed over, [`InvalidInput`](io::ErrorKind::InvalidInput) when a worker of this number
    /// has its listener already, also one of another set, and when the set of the first worker that
    /// asked was smaller.
    pub fn listener(&self, worker: &Worker) -> io::Result<TcpListener> {
        match &self.kind {
            Kind::Sockets { options, dealt, .. } => {
                let listen = || options.listen(self.local_addr);
                match dealt {
                    Some(dealt) => TcpListener::dealt(dealt, worker.core(), listen),
                    None => TcpListener::from_std(listen()?),
                }
            }
            Kind::Socket {
                socket,
                policy,
                balance,
            } => match policy.balances() {
                None => TcpListener::from_std(socket.try_clone()?),
                Some(figure) => {
                    let count = worker.workers().len();
                    let make = || Balance::new(Loads::new(count, figure), Some(JOIN_TIMEOUT));
                    let balance = balance.get_or_init(make);
                    TcpListener::balanced(socket.try_clone()?, balance, worker.index())
                }
            },
        }
    }

    /// Returns how many connections each worker has, by the workers' numbers, where they are handed
    /// over; nothing before the first worker has its listener, and with other policies.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Socket { balance, .. } => balance.get().map_or(Vec::new(), |b| b.connections()),
            Kind::Sockets { .. } => Vec::new(),
        }
    }
}

impl fmt::Debug for SharedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedListener")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
