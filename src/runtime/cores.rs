//! The processors to use.

use std::io;

use crate::sys;

/// The processors to use, one worker on each.
///
/// # Examples
///
/// A TCP service on all cores. Its workers share the address, and the kernel gives each connection
/// to one of them:
///
/// ```no_run
/// use annulus::{Cores, Workers, net::TcpListener, spawn};
/// use std::io;
///
/// fn main() -> io::Result<()> {
///     let workers = Workers::builder().cores(Cores::All).start(async |_worker| -> io::Result<()> {
///         let options = TcpListener::options().reuse_port(true);
///         let listener = options.bind("127.0.0.1:7000").await?;
///         loop {
///             let (stream, _peer) = listener.accept().await?;
///             spawn(async move { stream.write_all("hello\n").await });
///         }
///     })?;
///     workers.join()?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cores {
    /// Those that the calling thread may use: its affinity mask, cut to what the control group's
    /// quota pays for. Under `taskset -c 1` that is one, and so it is on a thread that is pinned,
    /// such as a worker.
    #[default]
    All,
    /// The first so many of them, at least one.
    Count(usize),
    /// These, by their numbers. The control group's quota does not cut the list. A processor that
    /// stands there twice has two workers. An empty list is that of the first processor of `All`.
    List(Vec<usize>),
}

impl Cores {
    /// Returns the processors' numbers, never empty.
    #[must_use]
    pub fn list(&self) -> Vec<usize> {
        match self {
            Self::All => sys::allowed_cores(),
            Self::Count(count) => first(*count),
            Self::List(cores) if cores.is_empty() => first(1),
            Self::List(cores) => cores.clone(),
        }
    }
}

/// The first `count` of those that this process may use, at least one.
fn first(count: usize) -> Vec<usize> {
    let mut cores = sys::allowed_cores();
    cores.truncate(count.max(1));
    cores
}

/// Keeps the calling thread on one processor.
///
/// Threads that it starts afterwards begin on that processor as well, apart from the helper threads
/// of this crate, which go where the thread might run before.
///
/// # Errors
///
/// `EINVAL` when this process may not use that processor.
///
/// # Source
///
/// sched_setaffinity(2).
pub fn pin_to_core(core: usize) -> io::Result<()> {
    sys::pin_to_core(core)
}
