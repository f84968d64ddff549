//! The builder of a runtime.

use std::{cell::Cell, io, rc::Rc, sync::Arc, time::Duration};

use super::{
    Runtime, Stall, WakeDriver,
    catch_up::CatchUp,
    registry::Seated,
    spin::Spin,
    watchdog::{StallHook, Watch},
};
use crate::{
    blocking::{self, Work},
    driver::{Driver, DriverError, DriverKind, Helpers, Job, RingSize},
    pool::{Pool, PoolSize},
    sys,
    task::{OnTaskPanic, TaskPanic, Tasks},
    time::Timers,
    trace,
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
    measures: bool,
    is_listed: bool,
    /// None for the default.
    stall_limit: Option<Duration>,
    stall_hook: Option<StallHook>,
    on_task_panic: OnTaskPanic,
    task_panic_hook: Option<PanicHook>,
}

/// A thread that is stuck for longer is reported unless the program says otherwise.
const DEFAULT_STALL_LIMIT: Duration = if cfg!(debug_assertions) {
    Duration::from_secs(1)
} else {
    Duration::ZERO
};

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
            measures: false,
            is_listed: true,
            stall_limit: None,
            stall_hook: None,
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
    /// threads than processors. With 100 microseconds the echo of a lone connection came after 20
    /// in place of 63 (medians on a virtual machine), and the thread used 98 % of its processor in
    /// place of 39 %.
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

    /// Has the runtime measure its polls and its sleeps, and count entries by the kind of their
    /// operation; off by default.
    ///
    /// [`Stats`](super::Stats) has the figures then, and [`dump`](super::dump) the polls of each
    /// task. It costs a look at the clock for each poll and two for each sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = annulus::Runtime::builder().measure(true).build()?;
    /// let stats = runtime.block_on(async {
    ///     let blocks = async { std::thread::sleep(std::time::Duration::from_millis(20)) };
    ///     annulus::spawn(blocks).await.ok();
    ///     annulus::stats()
    /// });
    /// assert!(stats.polls.longest.as_millis() >= 20);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn measure(mut self, measures: bool) -> Self {
        self.measures = measures;
        self
    }

    /// Has a watchdog report this thread when it is stuck for `limit`, or never for zero.
    ///
    /// By default that is one second in a build with debug assertions, as of `cargo run` and
    /// `cargo test`, and never in a release build.
    ///
    /// A thread is stuck when it is inside of its runtime, does not sleep there, and neither ends a
    /// poll nor begins one for the limit: a task, a handler or the future of
    /// [`block_on`](Runtime::block_on) computes for too long, or waits in a call that blocks. All
    /// other tasks of the thread wait meanwhile. The report comes while the thread is still stuck,
    /// also when that never ends. It goes to standard error, or to the
    /// [`stall_hook`](Self::stall_hook): the thread, the running task with the place where it was
    /// spawned, the system call that the thread is in, and a backtrace. When the thread goes on, a
    /// second report tells how long that was, to a quarter of the limit. [`Stall`] has the parts.
    ///
    /// A limit of 100 milliseconds finds what users notice. Below 4 milliseconds it counts as 4,
    /// and a time that the thread may [`spin`](Self::spin) is added. The report also comes when the
    /// machine has no processor for the thread.
    ///
    /// # Cost
    ///
    /// The watchdog is one thread a process. It wakes four times in each limit and reads two words
    /// of each runtime. The watched threads do nothing for it but at the beginning and the end of
    /// a `block_on`. With the default limit of a debug build that was 25 microseconds for each
    /// runtime and 0.03 % of a processor.
    ///
    /// To learn which task runs, the watchdog interrupts a stuck thread by a signal, once for each
    /// stall: the highest real-time signal (see signal(7)) without a handler at that time. Calls
    /// that signals end, such as poll(2) and nanosleep(2), end with `EINTR` then; std's go on by
    /// themselves. A thread that has the signal blocked is reported without its code.
    ///
    /// A runtime that a foreign loop drives is watched during its [`turn`](Runtime::turn). A child
    /// that fork(2) makes has a watchdog of its own for runtimes of its own.
    ///
    /// # Examples
    ///
    /// A sleep that blocks keeps all tasks of the thread from running, and one that does not
    /// blocks none:
    ///
    /// ```
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// use annulus::{Runtime, spawn, time::sleep};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (reports, reported) = mpsc::channel();
    /// let runtime = Runtime::builder()
    ///     .stall_limit(Duration::from_millis(20))
    ///     .stall_hook(move |stall| {
    ///         let _ = reports.send(stall.location());
    ///     })
    ///     .build()?;
    /// runtime.block_on(async move {
    ///     let good = spawn(async { sleep(Duration::from_millis(50)).await });
    ///     let bad = spawn(async { std::thread::sleep(Duration::from_millis(500)) });
    ///     (good.await.unwrap(), bad.await.unwrap());
    /// });
    /// // The place is that of the second `spawn`.
    /// let place = reported.recv().unwrap();
    /// println!("stuck in the task that was spawned at {place:?}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Source
    ///
    /// tgkill(2), proc_pid_syscall(5), backtrace(3).
    #[must_use]
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.stall_limit = Some(limit);
        self
    }

    /// Sets a function that is called with each report of a stall, in place of standard error.
    ///
    /// It is called on the watchdog's thread, which looks at no runtime meanwhile, and shortly
    /// after the end of a runtime that was stuck until then. A panic of the function is ignored.
    #[must_use]
    pub fn stall_hook(mut self, hook: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.stall_hook = Some(Arc::new(hook));
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

    /// Has other threads ask this runtime nothing: it is one that asks.
    pub(crate) fn unlisted(mut self) -> Self {
        self.is_listed = false;
        self
    }

    /// Makes the runtime on this thread, where it stays.
    ///
    /// # Errors
    ///
    /// When no driver can be set up: the ring is forbidden and was asked for, this process is out
    /// of descriptors or of locked memory, or an environment variable makes no sense. The error's
    /// text says what to do; `annulus::diagnose` tells more. Also when the watchdog's thread cannot
    /// be started that [`stall_limit`](Self::stall_limit) asks for.
    pub fn build(self) -> io::Result<Runtime> {
        let (runtime, refusal) = self.build_silently()?;
        if let Some(refusal) = refusal {
            refusal.warn_once();
        }
        trace::note_runtime(runtime.driver.uses_ring(), || runtime.features().missing());
        Ok(runtime)
    }

    /// As [`build`](Self::build), but the refusal of a ring comes with the runtime, and no warning
    /// is written.
    pub(crate) fn build_silently(mut self) -> io::Result<(Runtime, Option<DriverError>)> {
        let (driver, refusal) = Driver::new(self.driver, self.ring)?;
        let driver = Rc::new(driver);
        driver.set_helpers(Rc::new(BlockingThreads));
        let pool = Pool::new(&driver, self.pool)?;
        let tasks = Tasks::new(Arc::new(WakeDriver(driver.remote().clone())));
        driver.set_system_tasks(tasks.system_spawner());
        tasks.set_on_task_panic(self.on_task_panic);
        if let Some(hook) = self.task_panic_hook.take() {
            tasks.set_task_panic_hook(hook);
        }
        let watch = self.watch(&tasks)?;
        if self.measures {
            tasks.start_measure();
            driver.start_kinds();
        }
        let shutdown_timeout = self.shutdown_timeout;
        let runtime = Runtime {
            seat: Seated::new(&tasks, self.is_listed),
            watch,
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

    fn watch(&mut self, tasks: &Tasks) -> io::Result<Option<Watch>> {
        let is_wanted = self.stall_limit.is_some();
        let limit = self.stall_limit.unwrap_or(DEFAULT_STALL_LIMIT);
        if limit.is_zero() {
            return Ok(None);
        }
        let limit = limit.saturating_add(self.spin);
        match Watch::new(tasks, limit, self.stall_hook.take()) {
            Err(error) if is_wanted => Err(error),
            // A program that did not ask for a watchdog runs without one.
            watch => Ok(watch.ok()),
        }
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
