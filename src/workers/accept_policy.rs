//! The ways to give connections to workers.

use std::{fmt, sync::Arc};

use crate::net::LoadFigure;

/// How the connections that arrive at one address are given to the workers of a set.
///
/// [`SharedListener`](super::SharedListener) has it for TCP services, and the HTTP server by its
/// method `accept_policy`. A connection stays with its worker, unless the program
/// [moves](crate::net::Detached) it. So the choice matters where connections are few and live long.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum AcceptPolicy {
    /// Each worker has a listening socket at the address, and the kernel chooses one by a hash of
    /// the connection's addresses and ports (`SO_REUSEPORT`, socket(7)). It costs nothing, and
    /// deals many connections out evenly and few as dice do.
    #[default]
    ReusePort,
    /// One worker accepts and hands each connection to the worker that has the fewest of this
    /// listener or server. A connection counts until it is closed or taken out by `detach`. Equal
    /// workers take turns.
    ///
    /// Each connection costs a call of the acceptor, and wakes the worker that it is for. When the
    /// acceptor ends, another worker takes over. A worker that is blocked accepts for none: see
    /// [`RuntimeBuilder::stall_limit`](crate::RuntimeBuilder::stall_limit).
    LeastConnections,
    /// As `LeastConnections`, by a figure of the program's own, and by connections where the
    /// figures are equal. [`AcceptPolicy::least_load`] makes it.
    LeastLoad(Load),
    /// Each worker has a listening socket, and the kernel chooses that of the processor on which
    /// the connection has arrived, by a classic BPF program (`SO_ATTACH_REUSEPORT_CBPF`,
    /// socket(7)), which needs no privilege. So a network card with a queue for each processor,
    /// whose interrupts stay there, decides which worker has a connection, and its packets and its
    /// task use one cache.
    ///
    /// Connections of a processor without a worker are dealt out at random. A client on the same
    /// machine arrives on the processor that it runs on. When a worker drops its listener, the
    /// others have the connections of its processor. When another process listens at the address
    /// too, sockets change their places, and the processors do not match any more; no connection is
    /// lost by that.
    IncomingCpu,
}

/// A figure of how loaded a worker is, made by [`AcceptPolicy::least_load`].
#[derive(Clone)]
pub struct Load(LoadFigure);

impl AcceptPolicy {
    /// Hands each connection to the worker for whose number `load` returns the lowest figure.
    ///
    /// It is called for each worker and each connection, on the thread of the worker that accepts,
    /// and should be quick: a load of an atomic, most often. A worker for which it panics counts as
    /// the most loaded.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::workers::AcceptPolicy;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// /// How many players each worker has.
    /// static PLAYERS: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
    ///
    /// let policy = AcceptPolicy::least_load(|worker| PLAYERS[worker].load(Relaxed));
    /// ```
    #[must_use]
    pub fn least_load(load: impl Fn(usize) -> u64 + Send + Sync + 'static) -> Self {
        Self::LeastLoad(Load(Arc::new(load)))
    }

    /// Whether one worker accepts for all, and the figure that it goes by.
    pub(crate) fn balances(&self) -> Option<Option<LoadFigure>> {
        match self {
            Self::LeastConnections => Some(None),
            Self::LeastLoad(load) => Some(Some(Arc::clone(&load.0))),
            Self::ReusePort | Self::IncomingCpu => None,
        }
    }

    pub(crate) fn is_by_core(&self) -> bool {
        matches!(self, Self::IncomingCpu)
    }
}

impl fmt::Debug for AcceptPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReusePort => "ReusePort",
            Self::LeastConnections => "LeastConnections",
            Self::LeastLoad(_) => "LeastLoad(..)",
            Self::IncomingCpu => "IncomingCpu",
        })
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").finish_non_exhaustive()
    }
}
