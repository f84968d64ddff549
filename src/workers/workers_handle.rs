//! The handle of all workers of a set.

use std::{fmt, sync::Arc, time::Duration};

use super::{group::Group, remote_join_handle::RemoteJoinHandle, worker::Worker};

/// All workers of a set: sends to them, and stops them, from any thread.
///
/// [`Workers`](super::Workers) and [`Worker::workers`] give it. It is cheap to clone, and keeps
/// nothing running.
#[derive(Clone)]
pub struct WorkersHandle {
    group: Arc<Group>,
}

impl WorkersHandle {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self { group }
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    /// Whether both are handles of one set.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.group, &other.group)
    }

    /// Returns how many workers the set was started with: one at least.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.group.posts.len()
    }

    /// Returns a worker by its number.
    #[must_use]
    pub fn worker(&self, index: usize) -> Option<Worker> {
        (index < self.len()).then(|| Worker::new(Arc::clone(&self.group), index))
    }

    /// Returns the workers in the order of their numbers, also those that have ended.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Worker> + use<> {
        let group = Arc::clone(&self.group);
        (0..self.len()).map(move |index| Worker::new(Arc::clone(&group), index))
    }

    /// Calls `call` on each worker, and returns a handle for each, in the order of their numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::workers::{RemoteJoinError, WorkersHandle};
    /// /// How many tasks there were on all workers.
    /// async fn tasks_spawned(workers: &WorkersHandle) -> Result<u64, RemoteJoinError> {
    ///     let mut sum = 0;
    ///     for count in workers.broadcast(|_worker| annulus::stats().tasks.spawned) {
    ///         sum += count.await?;
    ///     }
    ///     Ok(sum)
    /// }
    /// ```
    #[track_caller]
    pub fn broadcast<T, C>(&self, call: C) -> Vec<RemoteJoinHandle<T>>
    where
        C: Fn(Worker) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let call = Arc::new(call);
        let mut handles = Vec::with_capacity(self.len());
        for worker in self.iter() {
            let (own, call) = (worker.clone(), Arc::clone(&call));
            handles.push(worker.call(move || call(own)));
        }
        handles
    }

    /// Starts a task on each worker, and returns a handle for each, in the order of their numbers.
    /// Otherwise as [`Worker::spawn`].
    #[track_caller]
    pub fn spawn_each<T, M>(&self, make: M) -> Vec<RemoteJoinHandle<T>>
    where
        M: AsyncFn(Worker) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let make = Arc::new(make);
        let mut handles = Vec::with_capacity(self.len());
        for worker in self.iter() {
            let (own, make) = (worker.clone(), Arc::clone(&make));
            handles.push(worker.spawn(async move || make(own).await));
        }
        handles
    }

    /// Orders the workers to stop. The futures of those that have asked for it, by
    /// [`Worker::stopping`] or [`Worker::is_stopping`], have so much time to come to their end. The
    /// others, and what is left then, are dropped. A worker ends with its future, and drops its
    /// tasks. One that has asked for the cut ([`Worker::cutting`]) has a second more, to return
    /// what it has to tell.
    ///
    /// A second call ends the time at once; its own does not count. If the set stops because a
    /// worker has failed, the first call sets the time anew. This call does not wait, so any thread
    /// may make it, and a task or handler of the set as well.
    ///
    /// # Examples
    ///
    /// A handler that stops the whole set, an HTTP server and all else that the workers do:
    ///
    /// ```
    /// use annulus::Worker;
    /// use std::time::Duration;
    ///
    /// fn stop_all() -> &'static str {
    ///     let Some(worker) = Worker::current() else {
    ///         return "this thread is no worker\n";
    ///     };
    ///     worker.workers().stop(Duration::from_secs(10));
    ///     "stopping\n"
    /// }
    /// # assert_eq!(stop_all(), "this thread is no worker\n");
    /// ```
    pub fn stop(&self, timeout: Duration) {
        self.group.stop(timeout);
    }

    /// Whether the workers were ordered to stop, or stop because one of them has failed.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.group.is_stopping()
    }
}

impl fmt::Debug for WorkersHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkersHandle")
            .field("len", &self.len())
            .field("is_stopping", &self.is_stopping())
            .finish_non_exhaustive()
    }
}
