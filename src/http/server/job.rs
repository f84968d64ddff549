//! Background jobs: work of a server beside its requests, from its start to its stop.

use std::{fmt, future::Future, pin::Pin, rc::Rc, sync::Arc};

use super::{Server, worker_shared::Shared};

impl Server {
    /// Runs `job` beside the requests, once: for the work of a server that no request asks for,
    /// such as to clean up every hour or to write its counts. A server may have several jobs.
    ///
    /// The job starts with the server, as a task of one of its workers, and should not block. It
    /// may end whenever it likes. [`Job::stopping`] tells it that the server stops. The server
    /// waits for it until the deadline of the stop, as for requests, and drops it then.
    ///
    /// A job that panics has ended, and the server goes on; `jobs_panicked` of the
    /// [`Report`](super::Report) counts it.
    ///
    /// An `Arc` holds state that job and handlers share. [`background_each`](Self::background_each)
    /// runs a job on each worker.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{
    ///     sync::{Arc, atomic::{AtomicU64, Ordering}},
    ///     time::Duration,
    /// };
    ///
    /// use annulus::{http::{Response, Server}, time};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let count = Arc::new(AtomicU64::new(0));
    /// let counted = Arc::clone(&count);
    /// let server = Server::new().listen("127.0.0.1:0");
    /// # let handle = server.handle();
    /// # let server = server.on_listening(move |_| handle.stop(Duration::from_secs(10)));
    /// server
    ///     .background(async move |job| {
    ///         let minute = Duration::from_secs(60);
    ///         while time::timeout(minute, job.stopping()).await.is_err() {
    ///             println!("{} requests", counted.load(Ordering::Relaxed));
    ///         }
    ///         println!("{} requests in the end", counted.load(Ordering::Relaxed));
    ///     })
    ///     .run(async move |_request| {
    ///         count.fetch_add(1, Ordering::Relaxed);
    ///         Response::text("hello")
    ///     })?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn background(mut self, job: impl AsyncFnOnce(Job) + Send + 'static) -> Self {
        self.jobs.once(job);
        self
    }

    /// Runs `job` beside the requests, once on each worker: for work on what a worker has for
    /// itself, as in a `thread_local!`. Otherwise as [`background`](Self::background).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::RefCell, collections::HashMap, time::Duration};
    ///
    /// use annulus::{http::Server, time};
    ///
    /// thread_local! {
    ///     static CACHE: RefCell<HashMap<String, String>> = RefCell::default();
    /// }
    ///
    /// let _ = Server::new().listen("127.0.0.1:8080").background_each(async |job| {
    ///     let hour = Duration::from_secs(3600);
    ///     while time::timeout(hour, job.stopping()).await.is_err() {
    ///         CACHE.with_borrow_mut(HashMap::clear);
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn background_each(mut self, job: impl AsyncFn(Job) + Send + Sync + 'static) -> Self {
        self.jobs.each(job);
        self
    }
}

/// The server as its background jobs see it: each job of
/// [`Server::background`](crate::http::Server::background) gets one.
pub struct Job {
    shared: Rc<Shared>,
}

impl Job {
    pub(crate) fn new(shared: Rc<Shared>) -> Self {
        Self { shared }
    }

    /// Waits until the server begins to stop. The job has the deadline of the stop to come to its
    /// end, as requests have.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// Work once a minute, and once more at the end:
    ///
    /// ```
    /// # use annulus::{http::Job, time};
    /// # use std::time::Duration;
    /// # async fn write_counts() {}
    /// async fn count(job: Job) {
    ///     while time::timeout(Duration::from_secs(60), job.stopping()).await.is_err() {
    ///         write_counts().await;
    ///     }
    ///     write_counts().await;
    /// }
    /// ```
    pub async fn stopping(&self) {
        self.shared.stopping().await;
    }

    /// Whether the server is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("is_stopping", &self.is_stopping())
            .finish_non_exhaustive()
    }
}

/// Starts a job on its worker's thread.
pub(crate) type Start = Box<dyn FnOnce(Job) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The jobs of a server before it runs.
#[derive(Default)]
pub(super) struct Jobs {
    once: Vec<Start>,
    each: Vec<Arc<dyn Fn() -> Start + Send + Sync>>,
}

impl Jobs {
    pub(super) fn once(&mut self, job: impl AsyncFnOnce(Job) + Send + 'static) {
        self.once.push(start(job));
    }

    pub(super) fn each(&mut self, job: impl AsyncFn(Job) + Send + Sync + 'static) {
        let job = Arc::new(job);
        self.each.push(Arc::new(move || {
            let job = Arc::clone(&job);
            start(async move |context| job(context).await)
        }));
    }

    /// The jobs of each of `count` workers. Those that run once go to the workers in turn.
    pub(super) fn share(self, count: usize) -> Vec<Vec<Start>> {
        let each = || self.each.iter().map(|make| make()).collect();
        let mut shares: Vec<Vec<Start>> = (0..count).map(|_| each()).collect();
        for (index, start) in self.once.into_iter().enumerate() {
            shares[index % count].push(start);
        }
        shares
    }
}

fn start(job: impl AsyncFnOnce(Job) + Send + 'static) -> Start {
    Box::new(|context| Box::pin(async move { job(context).await }))
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}
