//! [`SharedServer`]: a server on workers that have other work as well.

use std::{
    fmt,
    future::Future,
    io,
    sync::{Arc, Mutex},
};

use super::{
    Server, ServerHandle, message::handler::Handler, report::Report, worker::control::Control,
    workers::Part,
};
use crate::{unwind::lock, workers::Worker};

impl Server {
    /// Listens, and returns the server in `count` parts, for [`Workers`](crate::Workers) that have
    /// other work as well: a second server, a TCP service, jobs. Each worker serves one part.
    ///
    /// Limits, timeouts and jobs are those of [`run`](Self::run);
    /// [`connections_max`](Self::connections_max) is for all parts together. Two servers of one
    /// process have one limit on descriptors, so set it for both.
    ///
    /// The server stops with its workers, whose [`stop`](crate::workers::WorkersHandle::stop) has
    /// the one deadline for everything that they do: requests that have begun have that time, and
    /// are cut then. Its [`handle`](Self::handle) stops this server alone.
    ///
    /// [`notify_systemd`](Self::notify_systemd) says that it is ready when the last part is served.
    /// Of several servers choose the one whose parts are served last.
    ///
    /// By the policy [`IncomingCpu`](crate::workers::AcceptPolicy::IncomingCpu) the parts are those
    /// of this server's [`cores`](Self::cores), in turn, as the workers are by default.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run) for an address that cannot be bound. It comes before any worker
    /// starts. When [`shutdown_on`](Self::shutdown_on) was called, since its future stays on this
    /// thread.
    ///
    /// # Examples
    ///
    /// A server, a second one for its figures, and a job, on all cores. The scope of each worker
    /// ends all of them when one fails:
    ///
    /// ```
    /// use annulus::{
    ///     Worker, Workers,
    ///     http::{Report, Server},
    ///     signal::{self, SignalKind},
    ///     spawn, task, time,
    /// };
    /// use std::{io, time::Duration};
    ///
    /// async fn clean_up(worker: Worker) -> io::Result<()> {
    ///     let minute = Duration::from_secs(60);
    ///     while time::timeout(minute, worker.stopping()).await.is_err() {
    ///         println!("worker {} cleans up", worker.index());
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # fn main() -> io::Result<()> {
    /// let workers = Workers::builder();
    /// let count = workers.worker_count();
    /// let pages = Server::new().listen("127.0.0.1:0").share(count)?;
    /// let figures = Server::new().listen("127.0.0.1:0").share(count)?;
    /// let workers = workers.start(async move |worker| {
    ///     task::scope(async |scope| {
    ///         scope.spawn(clean_up(worker));
    ///         let figures = figures.serve(async |_request| format!("{:?}", annulus::stats()));
    ///         scope.spawn(async { figures.await.map(drop) });
    ///         pages.serve(async |_request| "hello").await
    ///     })
    ///     .await
    /// })?;
    /// let handle = workers.handle().clone();
    /// # handle.stop(Duration::from_secs(10));
    /// let reports = annulus::run(async {
    ///     let mut signals = signal::stream(SignalKind::interrupt())?;
    ///     // The first signal stops everything, and a second one cuts.
    ///     drop(spawn(async move {
    ///         while signals.recv().await.is_ok() {
    ///             handle.stop(Duration::from_secs(10));
    ///         }
    ///     }));
    ///     Ok::<_, io::Error>(workers.await?)
    /// })?;
    /// println!("{}", reports.into_iter().flatten().sum::<Report>());
    /// # Ok(())
    /// # }
    /// ```
    pub fn share(mut self, count: usize) -> io::Result<SharedServer> {
        if self.stop_when.stop.is_some() {
            let text = "a shared server stops with its workers or by its handle: expected no \
                        `shutdown_on`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let cores = self.cores.list().into_iter().cycle().take(count.max(1));
        let cores: Vec<usize> = cores.collect();
        self.options.some_may_not_join();
        let (workers, listeners) = self.prepare(&cores)?;
        let control = Arc::clone(&workers.control);
        let (parts, _) = workers.parts(listeners);
        Ok(SharedServer {
            parts: Arc::new(Mutex::new(parts.into_iter().map(Some).collect())),
            control,
        })
    }
}

/// A server in parts, one for each worker of a set. Made by [`Server::share`].
///
/// A clone is the same server. Its listening sockets are there from the beginning; those of parts
/// that no worker has taken are closed with the last clone.
#[derive(Clone)]
pub struct SharedServer {
    /// The parts by the workers' numbers, as far as they are not taken.
    parts: Arc<Mutex<Vec<Option<Part>>>>,
    control: Arc<Control>,
}

impl SharedServer {
    /// Takes a part, that of this worker's number if it is left, and returns the future that serves
    /// it on this thread until the server or its workers are stopped. Its output has the counts of
    /// this part; their sum is the server's.
    ///
    /// Await it in the worker's future, or in a task for which that waits: a worker drops its tasks
    /// when its future has returned. Every part should be served, since the kernel gives each its
    /// share of the connections.
    ///
    /// A thread that is no worker may serve a part, too. There the server stops by its
    /// [`handle`](Self::handle) only.
    ///
    /// # Errors
    ///
    /// When a listening socket fails: the other parts stop then, and have ten seconds.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when there is no part left, since there were
    /// more calls than parts. Outside of a runtime.
    ///
    /// # Panics
    ///
    /// When the server itself panics, which is a panic of the worker's. A handler's panic is
    /// answered 500.
    ///
    /// # Cancel safety
    ///
    /// The part ends when the future is dropped: its sockets are closed, and the handlers that run
    /// are dropped.
    pub fn serve<H: Handler>(
        &self,
        handler: H,
    ) -> impl Future<Output = io::Result<Report>> + use<H> {
        let part = self.take_part();
        let control = Arc::clone(&self.control);
        async move {
            let Some(part) = part else {
                let text = "expected a part of the shared server for each call of `serve`, found \
                            none that is left";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            };
            let says_alive = control.announcer.has_watchdog();
            let report = part.serve(|| handler, None, says_alive).await;
            match control.take_failure() {
                Some(failure) => Err(failure),
                None => report,
            }
        }
    }

    fn take_part(&self) -> Option<Part> {
        let mut parts = lock(&self.parts);
        let is_left = |index: &usize| parts.get(*index).is_some_and(Option::is_some);
        let own = Worker::current().map(|worker| worker.index());
        let own = own.filter(is_left);
        let index = own.or_else(|| parts.iter().rposition(Option::is_some))?;
        parts[index].take()
    }

    /// Returns a handle that stops this server alone, and shows its connections.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.control))
    }
}

impl fmt::Debug for SharedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedServer")
            .field("parts_left", &lock(&self.parts).iter().flatten().count())
            .finish_non_exhaustive()
    }
}
