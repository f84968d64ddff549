//! One thread's runtime: its tasks, its timers and its driver, and the turn that keeps them going.

mod block_on;
mod builder;
mod catch_up;
mod cores;
mod dump;
mod outside;
pub(crate) mod registry;
mod spin;
mod stall;
mod stats;
mod watchdog;

use std::{
    cell::Cell,
    fmt,
    future::Future,
    io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use block_on::is_inside;
pub use builder::RuntimeBuilder;
pub use cores::{Cores, pin_to_core};
pub use dump::{Dump, TaskDump, WaitsFor, dump};
pub use registry::Silence;
pub use stall::Stall;
#[cfg(feature = "tokio-context")]
pub(crate) use stats::tokio_counts;
pub use stats::{Stats, TokioStats, stats};

use catch_up::CatchUp;
use registry::Seated;
use spin::Spin;
use watchdog::Watch;

use crate::{
    driver::{Driver, DriverKind, Remote},
    pool::Pool,
    sys::Features,
    task::{Tasks, Unpark},
    time::Timers,
    unwind::FirstPanic,
};

/// Runs `future` to its end, with a runtime of its own on this thread, and returns its output.
///
/// When it ends, the runtime goes: tasks that have not finished are dropped, writes that were
/// dropped in flight are finished, and everything that the kernel was asked for is cancelled and
/// waited for.
///
/// # Panics
///
/// When no driver can be set up, with a sentence that says why ([`RuntimeBuilder::build`] returns
/// that as an error); inside another runtime; and when `future` panics.
///
/// # Examples
///
/// ```
/// let sum = annulus::run(async {
///     let task = annulus::spawn(async { 2 });
///     1 + task.await.expect("the task does not panic")
/// });
/// assert_eq!(sum, 3);
/// ```
pub fn run<F: Future>(future: F) -> F::Output {
    block_on::refuse_nesting();
    match Runtime::builder().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("annulus cannot start: {error}"),
    }
}

/// A runtime on this thread, for programs that enter it more than once.
///
/// Dropping it ends what [`run`] ends.
///
/// # Examples
///
/// Tasks and connections stay in the runtime between two calls, and go on in the next:
///
/// ```
/// use annulus::{Runtime, net::UnixStream, spawn};
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new()?;
/// let (near, far) = runtime.block_on(async { UnixStream::pair() })?;
/// let answer = runtime.block_on(async { spawn(async move { far.recv().await }) });
/// // Here the program does something else.
/// runtime.block_on(async { near.write_all("hello").await })?;
/// assert_eq!(&*runtime.block_on(answer)??, b"hello");
/// # Ok(())
/// # }
/// ```
///
/// # Forks
///
/// A runtime works in the process that made it. So a program that becomes a daemon forks first, and
/// makes its runtime (or calls [`run`], or runs a server) in the child; listening sockets may be
/// opened before and handed over as std's.
///
/// A child that fork(2) makes, also from inside of a task, may make runtimes of its own. Those of
/// its parent are of no use to it: [`block_on`](Self::block_on) panics, calls of their handles are
/// errors, tasks spawned on them are cancelled, and dropping them closes the child's descriptors
/// and leaves the parent alone. Tasks from before the fork run in the parent only: the child's
/// handles to them wait until it drops the runtime. Received bytes stay readable. A child that is
/// made by a raw clone(2), past the C library, is not noticed; one that calls exec(3) needs none of
/// this.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// // A daemon forks here.
/// annulus::run(async {
///     let listener = annulus::net::TcpListener::from_std(listener)?;
///     // Serves.
/// #   drop(listener);
///     Ok(())
/// })
/// # }
/// ```
pub struct Runtime {
    /// Dropped before the tasks, which answer for it.
    seat: Seated,
    /// Dropped before the tasks, which it looks at.
    watch: Option<Watch>,
    driver: Rc<Driver>,
    pool: Rc<Pool>,
    timers: Rc<Timers>,
    tasks: Tasks,
    catch_up: CatchUp,
    spin: Spin,
    shutdown_timeout: Duration,
    /// The first timer's deadline at the end of the last turn of a foreign loop, which was told.
    told_deadline: Cell<Option<Instant>>,
}

/// Ends the driver's sleep.
struct WakeDriver(Arc<Remote>);

impl Unpark for WakeDriver {
    fn unpark(&self) {
        self.0.wake();
    }
}

impl Runtime {
    /// Makes the default runtime; [`builder`](Self::builder) makes others.
    ///
    /// # Errors
    ///
    /// As [`RuntimeBuilder::build`].
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Returns a builder for a runtime with other options.
    #[must_use]
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// Returns the driver that it runs on: `Ring` or `Poll`.
    #[must_use]
    pub fn driver_kind(&self) -> DriverKind {
        if self.driver.uses_ring() {
            DriverKind::Ring
        } else {
            DriverKind::Poll
        }
    }

    /// The features that its driver uses.
    pub(crate) fn features(&self) -> &Features {
        self.driver.features()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.seat.leave();
        let mut panic = FirstPanic::default();
        self.wind_down(&mut panic);
        self.driver.end(self.shutdown_timeout, &mut panic);
        panic.go_on();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("driver", &self.driver)
            .field("tasks", &self.tasks)
            .finish_non_exhaustive()
    }
}
