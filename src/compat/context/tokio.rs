//! [`Tokio`]: a runtime of tokio's beside this crate's, with threads of its own.

use std::{
    fmt,
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

use super::{
    in_tokio::InTokio,
    on_tokio::OnTokio,
    threads::{Threads, is_on_tokio},
};
use crate::sys::{self, PerProcess, Process};

/// How long the last handle that is dropped waits for tokio's threads.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The runtime of [`in_tokio`](super::in_tokio) and [`on_tokio`](super::on_tokio).
static SHARED: PerProcess<Mutex<Option<Tokio>>> = PerProcess::new(Mutex::new(None));

/// A runtime of tokio's beside this crate's, for libraries that need one.
///
/// It is a handle: clones mean the same runtime, may go to other threads, and keep it. There are
/// three kinds:
///
/// - [`Tokio::shared`] is one for the whole process, which [`in_tokio`](super::in_tokio) and
///   [`on_tokio`](super::on_tokio) use. It starts when it is first needed and runs until the
///   process ends.
/// - [`Tokio::new`] starts one more, for example one for each worker of a server, so that workers
///   do not share a helper thread.
/// - [`Tokio::with`] takes one that the program has, and leaves its life to the program.
///
/// The first two have one worker thread, named `annulus-tokio`, with tokio's sockets and timers.
/// Further threads of that name run calls given to `tokio::task::spawn_blocking`, such as the
/// name look-ups of `tokio::net`. None is pinned, also when a worker starts them.
///
/// # Shutdown
///
/// The runtime of [`Tokio::new`] ends when the last clone is dropped, and with it the last
/// [`InTokio`] and [`OnTokio`]. Tasks on it are dropped at their next `await`, and the thread that
/// drops waits for tokio's threads, for at most five seconds. A thread that is in a call that
/// blocks goes on without being waited for, and ends when the call returns. A clone that is dropped
/// on one of tokio's own threads waits for nothing. [`shutdown`](Self::shutdown) does the same at
/// once, with another time limit, and says whether it was kept.
///
/// The end of an annulus runtime or of a worker drops its tasks and with them what they hold of
/// tokio. It does not end the shared runtime: tasks that a library has spawned there, such as the
/// connections of a pool, go on, and end with the process as detached threads do. A program whose
/// library has to write something at the end waits for that, or uses a runtime of its own.
///
/// # Forks
///
/// A child that fork(2) makes has none of these threads. There polls of its parent's [`InTokio`]
/// and [`OnTokio`] panic with a sentence, and [`shared`](Self::shared) starts another runtime. A
/// child should not drop sockets of tokio's that its parent uses: tokio takes them out of the epoll
/// that both share.
///
/// Feature: `tokio-context`.
///
/// # Examples
///
/// ```
/// use annulus::compat::Tokio;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let tokio = Tokio::new()?;
/// annulus::run(async {
///     // Polled here, by annulus.
///     tokio.context(async { tokio::time::sleep(Duration::from_millis(1)).await }).await;
///     // Polled there, by tokio.
///     assert_eq!(tokio.spawn(async { 1 + 1 }).await, 2);
/// });
/// tokio.shutdown(Duration::from_secs(1))
/// # }
/// ```
#[derive(Clone)]
pub struct Tokio(Arc<Inner>);

struct Inner {
    handle: Handle,
    /// None if the program has made it.
    own: Option<Own>,
    process: Process,
}

struct Own {
    /// None after the end.
    runtime: Mutex<Option<Runtime>>,
    threads: Arc<Threads>,
}

impl Tokio {
    /// Starts a runtime of tokio's with one thread.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors; tokio needs three.
    ///
    /// # Panics
    ///
    /// When the process can start no thread.
    ///
    /// Feature: `tokio-context`.
    pub fn new() -> io::Result<Self> {
        let threads = Arc::new(Threads::default());
        let (starting, ending) = (Arc::clone(&threads), Arc::clone(&threads));
        // They serve all workers, each of which is on a processor of its own.
        let unpin = sys::unpin();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("annulus-tokio")
            .enable_all()
            .on_thread_start(move || {
                unpin();
                starting.start();
            })
            .on_thread_stop(move || ending.end())
            .build()?;
        // An end that comes at once finds a thread to wait for.
        threads.wait_for_start();
        let handle = runtime.handle().clone();
        let own = Own {
            runtime: Mutex::new(Some(runtime)),
            threads,
        };
        Ok(Self::from_parts(handle, Some(own)))
    }

    /// Uses a runtime that the program has. It needs its sockets and timers enabled, and threads of
    /// its own: one of the kind `current_thread` makes progress only while the program drives it.
    ///
    /// Feature: `tokio-context`.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::compat::Tokio;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// let tokio = Tokio::with(runtime.handle().clone());
    /// assert_eq!(annulus::run(tokio.spawn(async { 7 })), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with(handle: Handle) -> Self {
        Self::from_parts(handle, None)
    }

    /// Returns the runtime that the whole process shares, and starts it if it does not run.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    ///
    /// Feature: `tokio-context`.
    pub fn shared() -> io::Result<Self> {
        let shared = SHARED.of_this_process().lock();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        if let Some(tokio) = shared.as_ref().filter(|tokio| tokio.is_running()) {
            return Ok(tokio.clone());
        }
        let tokio = Self::new()?;
        let before = shared.replace(tokio.clone());
        drop(shared);
        // This may wait for threads of the one that has ended.
        drop(before);
        Ok(tokio)
    }

    fn from_parts(handle: Handle, own: Option<Own>) -> Self {
        Self(Arc::new(Inner {
            handle,
            own,
            process: Process::current(),
        }))
    }

    fn is_running(&self) -> bool {
        self.0.own.as_ref().is_none_or(|own| own.lock().is_some())
    }

    /// Polls `future` on this thread, inside the context of this runtime.
    ///
    /// As [`in_tokio`](super::in_tokio), which uses the shared runtime.
    ///
    /// Feature: `tokio-context`.
    pub fn context<F: Future>(&self, future: F) -> InTokio<F> {
        InTokio::new(self.clone(), future)
    }

    /// Runs `future` on a thread of this runtime.
    ///
    /// As [`on_tokio`](super::on_tokio), which uses the shared runtime.
    ///
    /// # Panics
    ///
    /// In a child that fork(2) has made since the runtime was started.
    ///
    /// Feature: `tokio-context`.
    pub fn spawn<F>(&self, future: F) -> OnTokio<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.check_process();
        OnTokio::new(self.clone(), self.0.handle.spawn(future))
    }

    /// Makes this runtime the context of this thread until the guard is dropped.
    ///
    /// It is the cheapest way for a thread of which most futures need tokio: a program enters
    /// before it calls [`annulus::run`](crate::run), and each future that the thread polls or drops
    /// finds the context. Guards are dropped in the reverse order of their making; tokio panics
    /// otherwise. These polls are not counted.
    ///
    /// # Panics
    ///
    /// In a child that fork(2) has made since the runtime was started.
    ///
    /// Feature: `tokio-context`.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::compat::Tokio;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let tokio = Tokio::shared()?;
    /// let _context = tokio.enter();
    /// annulus::run(async {
    ///     let task = annulus::spawn(async { tokio::spawn(async { 7 }).await });
    ///     assert_eq!(task.await.unwrap().unwrap(), 7);
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        self.check_process();
        self.0.handle.enter()
    }

    /// Returns tokio's own handle, for `Handle::spawn` and what else it has.
    ///
    /// Feature: `tokio-context`.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.0.handle
    }

    /// Ends the runtime now, for all clones, and waits for its threads, for at most `timeout`.
    ///
    /// Futures that still wait for its sockets and timers get tokio's error or panic, which says
    /// that the runtime is being shut down. [`shared`](Self::shared) starts a new one the next
    /// time. A runtime that the program has made goes on, and so does its parent's in a child that
    /// fork(2) has made.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when threads have not ended in time, since they are in
    /// calls that block, and when this is called on one of tokio's threads, which cannot wait for
    /// itself. They end when those calls return.
    ///
    /// Feature: `tokio-context`.
    pub fn shutdown(&self, timeout: Duration) -> io::Result<()> {
        match self.0.end(timeout) {
            0 => Ok(()),
            count => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "{count} of tokio's threads have not ended yet; they do when the calls return \
                     that they are in"
                ),
            )),
        }
    }

    /// Panics in a process that has none of this runtime's threads.
    #[inline]
    pub(super) fn check_process(&self) {
        assert!(
            self.is_of_this_process(),
            "this runtime of tokio's was started before fork(2), and its threads are in the \
             process that started it; start another one in this process, after the fork"
        );
    }

    #[inline]
    pub(super) fn is_of_this_process(&self) -> bool {
        self.0.process.is_current()
    }
}

impl Inner {
    /// Ends a runtime of our own, and returns how many threads have not ended.
    fn end(&self, timeout: Duration) -> usize {
        let Some(own) = &self.own else {
            return 0;
        };
        if !self.process.is_current() {
            return 0;
        }
        if let Some(runtime) = own.lock().take() {
            // It would wait itself, but panics where the thread is inside of another runtime of
            // tokio's.
            runtime.shutdown_background();
        }
        let timeout = if is_on_tokio() {
            Duration::ZERO
        } else {
            timeout
        };
        own.threads.wait_for_end(timeout)
    }
}

impl Own {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.end(SHUTDOWN_TIMEOUT);
        } else if let Some(own) = self.own.take() {
            // The threads are the parent's, and waiting for them would never end.
            std::mem::forget(own);
        }
    }
}

impl fmt::Debug for Tokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokio")
            .field("is_own", &self.0.own.is_some())
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}
