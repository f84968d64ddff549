//! Workers: a runtime on each core, and the calls between them.
//!
//! [`Workers`] starts the threads, each pinned to its processor, with a runtime of its own and the
//! future that a closure makes there. Nothing moves from one to another by itself. A [`Worker`]
//! names one of them, and sends it tasks and calls, from any thread:
//!
//! ```
//! use annulus::{Cores, Workers, net::TcpListener};
//! use std::{io, net::TcpStream, time::Duration};
//!
//! # fn main() -> io::Result<()> {
//! let workers = Workers::builder().cores(Cores::Count(2)).start(async |worker| {
//!     // Each worker listens at the address, and the kernel gives each connection to one of them.
//!     let listener = TcpListener::options().reuse_port(true).bind("127.0.0.1:0").await?;
//!     # let addr = listener.local_addr()?;
//!     # annulus::spawn(annulus::blocking::run(move || TcpStream::connect(addr)));
//!     let (stream, _peer) = listener.accept().await?;
//!     stream.write_all(format!("hello from worker {}\n", worker.index())).await?;
//!     io::Result::Ok(1)
//! })?;
//! let counts = workers.join()?;
//! assert_eq!(counts, [Some(1), Some(1)]);
//! # Ok(())
//! # }
//! ```
//!
//! # What ends what
//!
//! | Event | The worker | The others |
//! |---|---|---|
//! | A thread or a runtime cannot be had | none runs | none runs |
//! | Its future returns `Ok` | ends, and drops its tasks | go on |
//! | Its future returns an error, or panics | the same | are stopped, with ten seconds |
//! | A task panics, or a call | goes on: the join handle has the panic | go on |
//! | [`stop`](WorkersHandle::stop) | sees [`Worker::stopping`] | the same |
//! | The time of a stop is over | sees [`Worker::cutting`], and is dropped | the same |
//! | [`Workers`] is dropped | goes on | go on |
//!
//! # Forks
//!
//! Workers belong to the process that started them. In a child of fork(2) the handles of tasks and
//! calls return at once that the worker belongs to another process, and an order to stop never
//! comes.

// A message is a boxed closure in the worker's mailbox (`post.rs`), so that many wake a sleeping
// worker once. It spawns a task (`remote_task.rs`), which leaves its output in a slot for the
// handle. `group.rs` has what all workers share, with the start and the stop; `thread.rs` is one
// thread from its start to its end.

mod accept_policy;
mod group;
#[cfg(all(test, loom))]
mod loom_tests;
mod post;
mod remote_join_error;
mod remote_join_handle;
mod remote_task;
mod sharded;
mod shared_listener;
mod thread;
mod waiting;
mod worker;
mod workers_builder;
mod workers_error;
mod workers_handle;

use std::{
    fmt,
    future::Future,
    mem,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
    thread::JoinHandle,
};

pub(crate) use thread::Configure;
use thread::Outputs;
use waiting::wait_for;

pub use accept_policy::{AcceptPolicy, Load};
pub use remote_join_error::RemoteJoinError;
pub use remote_join_handle::RemoteJoinHandle;
pub use sharded::Sharded;
pub use shared_listener::SharedListener;
pub use worker::Worker;
pub use workers_builder::WorkersBuilder;
pub use workers_error::WorkersError;
pub use workers_handle::WorkersHandle;

use crate::unwind::lock;

/// Threads with a runtime each, one for each core that was asked for.
///
/// It waits for their end: [`join`](Self::join) on a thread, and as a future on any runtime. The
/// output has what each worker's future returned, by the worker's number, and `None` for one that
/// was dropped because of a stop. It has the methods of a [`WorkersHandle`] as well, so that
/// `workers.stop(..)` stops them. Dropping it ends no worker; but the process ends them when `main`
/// returns.
///
/// # Cancel safety
///
/// A future that waits for `&mut workers` may be dropped, and nothing is lost.
///
/// # Examples
///
/// An echo service on all cores, until ctrl-c:
///
/// ```no_run
/// use annulus::{Workers, future::race, net::TcpListener, signal, spawn};
/// use std::io;
///
/// fn main() -> io::Result<()> {
///     let workers = Workers::builder().start(async |_worker| {
///         let options = TcpListener::options().reuse_port(true);
///         let listener = options.bind("127.0.0.1:7000").await?;
///         let serve = async {
///             loop {
///                 let (stream, _peer) = listener.accept().await?;
///                 spawn(async move {
///                     while let Ok(bytes) = stream.recv().await {
///                         if bytes.is_empty() || stream.write_all(bytes).await.is_err() {
///                             break;
///                         }
///                     }
///                 });
///             }
///         };
///         race(serve, signal::ctrl_c()).await.into_inner()
///     })?;
///     workers.join().map(drop).map_err(io::Error::from)
/// }
/// ```
#[must_use = "the process ends the workers when `main` returns: wait for them by `join`"]
pub struct Workers<T> {
    handle: WorkersHandle,
    outputs: Outputs<T>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers<()> {
    /// Returns a builder: a worker on each core that this process may use, with the default
    /// runtime.
    pub fn builder() -> WorkersBuilder {
        WorkersBuilder::new()
    }
}

impl<T> Workers<T> {
    /// Blocks the thread until all workers have ended, and returns what their futures returned.
    ///
    /// # Errors
    ///
    /// The first failure of a worker: its future has returned an error, or has panicked. The others
    /// were stopped then, and what they have returned is dropped.
    ///
    /// # Panics
    ///
    /// Inside a runtime of this crate, whose tasks would stand still meanwhile: `.await` it there.
    #[track_caller]
    pub fn join(mut self) -> Result<Vec<Option<T>>, WorkersError> {
        let ended = wait_for(&mut self);
        if self.handle.group().is_inherited() {
            // The threads are not here, and joining them would wait for ever.
            mem::forget(mem::take(&mut self.threads));
            return ended;
        }
        for thread in mem::take(&mut self.threads) {
            // Its panic, if any, is one of a destructor of a `thread_local`.
            let _ = thread.join();
        }
        ended
    }

    /// Returns a handle of all workers, which can be cloned and sent to other threads.
    #[must_use]
    pub fn handle(&self) -> &WorkersHandle {
        &self.handle
    }
}

impl<T> Future for Workers<T> {
    type Output = Result<Vec<Option<T>>, WorkersError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = self.handle.group().poll_ended(context);
        ended.map_ok(|()| mem::take(&mut *lock(&self.outputs)))
    }
}

impl<T> Deref for Workers<T> {
    type Target = WorkersHandle;

    fn deref(&self) -> &WorkersHandle {
        &self.handle
    }
}

impl<T> Drop for Workers<T> {
    fn drop(&mut self) {
        self.handle.group().leave_joining();
    }
}

impl<T> fmt::Debug for Workers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
