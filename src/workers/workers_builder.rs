//! The builder of a set of workers.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex},
    thread,
};

use super::{
    Workers, WorkersHandle,
    group::Group,
    thread::{Configure, Start},
    worker::Worker,
    workers_error::{Cause, WorkersError},
};
use crate::{
    runtime::{Cores, RuntimeBuilder},
    sys,
};

/// Builds [`Workers`]; [`Workers::builder`] returns one.
#[must_use = "a builder does nothing until `start`"]
pub struct WorkersBuilder {
    cores: Cores,
    count: Option<usize>,
    thread_name: String,
    configure: Option<Configure>,
}

impl WorkersBuilder {
    pub(super) fn new() -> Self {
        Self {
            cores: Cores::All,
            count: None,
            // The kernel shows 15 bytes of a name, and the number is to be among them.
            thread_name: "annulus".to_owned(),
            configure: None,
        }
    }

    /// Chooses the processors, one worker on each; all that this process may use by default.
    pub fn cores(mut self, cores: Cores) -> Self {
        self.cores = cores;
        self
    }

    /// Sets how many workers there are, one at least; by default one for each processor. If there
    /// are more workers than processors, each processor has some of them, in turn. That makes
    /// nothing faster, and is for tests: a program that runs with eight workers on two cores runs
    /// on a machine of eight.
    pub fn count(mut self, count: usize) -> Self {
        self.count = Some(count.max(1));
        self
    }

    /// Returns how many workers [`start`](Self::start) will start.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.count.unwrap_or_else(|| self.cores.list().len())
    }

    /// Sets the beginning of the threads' names, to which a hyphen and the worker's number are
    /// added; `annulus` by default, so that the first is `annulus-0`. Tools such as top(1) show 15
    /// bytes.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Sets the options of the workers' runtimes. `configure` is called for each worker, on its
    /// thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{DriverKind, Workers};
    ///
    /// let _ = Workers::builder()
    ///     .runtime(|runtime| runtime.driver(DriverKind::Poll).receive_buffers(1024));
    /// ```
    pub fn runtime(
        mut self,
        configure: impl Fn(RuntimeBuilder) -> RuntimeBuilder + Send + Sync + 'static,
    ) -> Self {
        self.configure = Some(Arc::new(configure));
        self
    }

    /// Starts the workers. Each makes its runtime, and when all have one, each calls `run` and runs
    /// the future that it returns. The future stays on its thread, and need not be `Send`.
    ///
    /// This blocks the calling thread for as long as the runtimes take, some milliseconds, and may
    /// be called in a runtime.
    ///
    /// A worker ends when its future returns, and drops the tasks that it has left. The others go
    /// on if it has returned `Ok`. An error or a panic stops them, with ten seconds for those that
    /// have asked for the stop ([`Worker::stopping`]).
    ///
    /// # Errors
    ///
    /// When a worker gets no thread or no runtime, with its number and a sentence that says why
    /// ([`RuntimeBuilder::build`]). No future has run then, and no worker is left. When the list of
    /// [`Cores::List`] has a processor that the calling thread may not use, and when the thread
    /// name has a zero byte.
    pub fn start<T, E, M>(self, run: M) -> Result<Workers<T>, WorkersError>
    where
        M: AsyncFn(Worker) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        let cores = self.spread()?;
        let count = cores.len();
        let group = Arc::new(Group::new(cores));
        let make = Arc::new(run);
        let outputs = Arc::new(Mutex::new((0..count).map(|_| None).collect()));
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let start = Start {
                worker: Worker::new(Arc::clone(&group), index),
                configure: self.configure.clone(),
                make: Arc::clone(&make),
                outputs: Arc::clone(&outputs),
            };
            let thread = thread::Builder::new().name(format!("{}-{index}", self.thread_name));
            match thread.spawn(move || start.run()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    group.refuse(index, Cause::Start(error));
                    break;
                }
            }
        }
        drop(make);
        if let Err(error) = group.wait_until_running() {
            for thread in threads {
                // A thread that is refused does not panic but in what the closure holds.
                let _ = thread.join();
            }
            return Err(error);
        }
        Ok(Workers {
            handle: WorkersHandle::new(group),
            outputs,
            threads,
        })
    }

    /// The processor of each worker.
    fn spread(&self) -> Result<Vec<usize>, WorkersError> {
        if self.thread_name.contains('\0') {
            let text = "the thread name has a zero byte".to_owned();
            return Err(WorkersError::of_options(text));
        }
        let cores = self.cores.list();
        if let Cores::List(_) = self.cores {
            let usable = sys::affine_cores();
            if let Some(core) = cores.iter().find(|core| !usable.contains(core)) {
                return Err(WorkersError::of_options(format!(
                    "expected cores among {usable:?}, which this thread may use, found {core}"
                )));
            }
        }
        let count = self.worker_count();
        Ok(cores.into_iter().cycle().take(count).collect())
    }
}

impl fmt::Debug for WorkersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkersBuilder")
            .field("cores", &self.cores)
            .field("count", &self.count)
            .field("thread_name", &self.thread_name)
            .finish_non_exhaustive()
    }
}
