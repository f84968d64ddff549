//! The builder of a runtime.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use super::{Runtime, WakeDriver, catch_up::CatchUp, spin::Spin};
use crate::{
    blocking::{self, Work},
    driver::{Driver, DriverError, DriverKind, Helpers, Job, RingSize},
    pool::{Pool, PoolSize},
    sys,
    task::{OnTaskPanic, TaskPanic, Tasks},
    time::Timers,
};

/// Builds a [`Runtime`]; [`Runtime::builder`] returns one. Each option has a default that suits a
/// server.
///
/// # Examples
///
/// ```
/// use annulus::{DriverKind, Runtime};
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::builder().driver(DriverKind::Poll).build()?;
/// assert_eq!(runtime.block_on(async { 7 }), 7);
/// # Ok(())
/// # }
/// ```
pub struct RuntimeBuilder {
    driver: DriverKind,
    ring: RingSize,
    pool: PoolSize,
    shutdown_timeout: Duration,
    spin: Duration,
    on_task_panic: OnTaskPanic,
    task_panic_hook: Option<PanicHook>,
}

type PanicHook = Box<dyn Fn(&TaskPanic<'_>)>;

impl RuntimeBuilder {
    pub(super) fn new() -> Self {
        Self {
            driver: DriverKind::Auto,
            // Larger ones cost cache and locked memory, and bring nothing: what does not fit one
            // turn goes into the next.
            ring: RingSize {
                entry_count: 256,
                completion_count: 1024,
            },
            // Half a megabyte, which stays in the second-level cache.
            pool: PoolSize {
                buffer_count: 128,
                buffer_bytes: 4096,
            },
            shutdown_timeout: Duration::from_secs(5),
            spin: Duration::ZERO,
            on_task_panic: OnTaskPanic::default(),
            task_panic_hook: None,
        }
    }

    /// Chooses the driver. By default the ring, or epoll where the ring is forbidden.
    #[must_use]
    pub fn driver(mut self, driver: DriverKind) -> Self {
        self.driver = driver;
        self
    }

    /// Sets how many entries the submission queue takes; 256 by default. The completion queue takes
    /// four times as many. The number is rounded up to a power of two, and lowered when the limit
    /// on locked memory demands it.
    #[must_use]
    pub fn ring_entries(mut self, entry_count: u32) -> Self {
        let entry_count = entry_count.clamp(1, 1 << 15);
        self.ring = RingSize {
            entry_count,
            completion_count: entry_count * 4,
        };
        self
    }

    /// Sets the number of receive buffers; 128 by default, rounded up to a power of two. A receive
    /// that finds none brings memory of its own.
    #[must_use]
    pub fn receive_buffers(mut self, count: u16) -> Self {
        self.pool.buffer_count = count;
        self
    }

    /// Sets the size of a receive buffer in bytes; 4096 by default, at least 64 and at most 1 MiB.
    #[must_use]
    pub fn receive_buffer_bytes(mut self, bytes: u32) -> Self {
        self.pool.buffer_bytes = bytes.clamp(64, 1 << 20);
        self
    }

    /// Sets how long the end of the runtime waits, first for writes that were dropped in flight,
    /// then for the kernel to give back what it was lent; five seconds by default. Memory that the
    /// kernel still holds then is leaked, and never freed while the kernel may use it. A future
    /// that was waiting for it fails when it is polled again, and panics when it would have to give
    /// back a buffer that is among that memory.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets how long the thread looks for events before it sleeps; zero by default, which is never.
    ///
    /// A thread that sleeps is woken by the kernel, which takes tens of microseconds. One that
    /// looks sees an event at once, and uses its processor meanwhile. So this is for services in
    /// which an answer that comes some microseconds earlier is worth a processor, with no more
    /// threads than processors.
    ///
    /// It adapts: the thread looks for the whole time as long as events come closer together than
    /// that, and half as long after each pause that was longer. A thread that falls idle looks in
    /// vain for less than twice the time, and then sleeps without a look until two events come
    /// close together again. Timers are as exact as before. A foreign loop that calls
    /// [`Runtime::turn`] sleeps itself, and this option means nothing there.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use annulus::Runtime;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Runtime::builder()
    ///     .spin(Duration::from_micros(100))
    ///     .build()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn spin(mut self, duration: Duration) -> Self {
        self.spin = duration;
        self
    }

    /// Sets the reaction to a panic of a task that has no join handle; by default the others go on.
    #[must_use]
    pub fn on_task_panic(mut self, on_task_panic: OnTaskPanic) -> Self {
        self.on_task_panic = on_task_panic;
        self
    }

    /// Sets a function that is called with each panic of a task without a join handle, before
    /// [`on_task_panic`](Self::on_task_panic) acts.
    #[must_use]
    pub fn task_panic_hook(mut self, hook: impl Fn(&TaskPanic<'_>) + 'static) -> Self {
        self.task_panic_hook = Some(Box::new(hook));
        self
    }

    /// Makes the runtime on this thread, where it stays.
    ///
    /// # Errors
    ///
    /// When no driver can be set up: the ring is forbidden and was asked for, this process is out
    /// of descriptors or of locked memory, or an environment variable makes no sense. The error's
    /// text says what to do; `annulus::diagnose` tells more.
    pub fn build(self) -> io::Result<Runtime> {
        let (runtime, refusal) = self.build_silently()?;
        if let Some(refusal) = refusal {
            refusal.warn_once();
        }
        Ok(runtime)
    }

    /// As [`build`](Self::build), but the refusal of a ring comes with the runtime, and no warning
    /// is written.
    pub(crate) fn build_silently(self) -> io::Result<(Runtime, Option<DriverError>)> {
        let (driver, refusal) = Driver::new(self.driver, self.ring)?;
        let driver = Rc::new(driver);
        driver.set_helpers(Rc::new(BlockingThreads));
        let pool = Pool::new(&driver, self.pool)?;
        let tasks = Tasks::new(std::sync::Arc::new(WakeDriver(driver.remote().clone())));
        driver.set_system_tasks(tasks.system_spawner());
        tasks.set_on_task_panic(self.on_task_panic);
        if let Some(hook) = self.task_panic_hook {
            tasks.set_task_panic_hook(hook);
        }
        let shutdown_timeout = self.shutdown_timeout;
        let runtime = Runtime {
            driver,
            pool,
            timers: Timers::new(Some(sys::monotonic_nanos)),
            tasks,
            catch_up: CatchUp::default(),
            spin: Spin::new(self.spin),
            shutdown_timeout,
            told_deadline: Cell::new(None),
        };
        Ok((runtime, refusal))
    }
}

impl std::fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeBuilder")
            .field("driver", &self.driver)
            .field("ring", &self.ring)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// The process's helper threads, as the driver asks for them.
struct BlockingThreads;

impl Helpers for BlockingThreads {
    fn run(&self, job: Job) {
        blocking::submit(Work::Files, Box::new(move || job.run()));
    }
}
