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
/// use annulus::{Cores, net::TcpListener, pin_to_core};
/// use std::{io, thread};
///
/// fn main() -> io::Result<()> {
///     let workers = Cores::All.list().into_iter().map(|core| {
///         thread::spawn(move || {
///             pin_to_core(core)?;
///             annulus::run(async {
///                 let options = TcpListener::options().reuse_port(true);
///                 let listener = options.bind("127.0.0.1:7000").await?;
///                 loop {
///                     let (stream, _peer) = listener.accept().await?;
///                     annulus::spawn(async move { stream.write_all("hello\n").await });
///                 }
///             })
///         })
///     });
///     let workers: Vec<thread::JoinHandle<io::Result<()>>> = workers.collect();
///     workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cores {
    /// Those that this process may use: its affinity mask, cut to what its control group's quota
    /// pays for. Under `taskset -c 1` that is one.
    #[default]
    All,
    /// The first so many of them, at least one.
    Count(usize),
}

impl Cores {
    /// Returns the processors' numbers, never empty.
    #[must_use]
    pub fn list(&self) -> Vec<usize> {
        let mut cores = sys::allowed_cores();
        if let Self::Count(count) = self {
            cores.truncate((*count).max(1));
        }
        cores
    }
}

/// Keeps the calling thread on one processor.
///
/// # Errors
///
/// `EINVAL` when this process may not use that processor.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    sys::pin_to_core(core)
}
