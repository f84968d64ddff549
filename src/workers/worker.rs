//! The handle of one worker.

use std::{
    cell::OnceCell,
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    group::{Event, Group},
    post::Message,
    remote_join_handle::RemoteJoinHandle,
    remote_task::{self, Finisher, Slot},
    workers_handle::WorkersHandle,
};

thread_local! {
    static CURRENT: OnceCell<Worker> = const { OnceCell::new() };
}

/// One worker of a set, as its own code and all other threads see it.
///
/// A handle is cheap to clone, may go to any thread, and keeps no worker running. Tasks and calls
/// that one thread sends to one worker begin in the order in which they were sent.
///
/// # Examples
///
/// A map in two parts, each owned by a worker and used by it without a lock:
///
/// ```
/// use annulus::{Cores, Worker, Workers};
/// use std::{cell::RefCell, collections::HashMap, io};
///
/// thread_local! {
///     static PART: RefCell<HashMap<u64, String>> = RefCell::default();
/// }
///
/// fn owner(all: &[Worker], key: u64) -> &Worker {
///     &all[key as usize % all.len()]
/// }
///
/// # fn main() -> io::Result<()> {
/// let workers = Workers::builder().cores(Cores::Count(2)).start(async |worker| -> io::Result<()> {
///     worker.stopping().await;
///     Ok(())
/// })?;
/// let all: Vec<Worker> = workers.iter().collect();
/// let insert = |key: u64, value: String| {
///     owner(&all, key).call(move || PART.with_borrow_mut(|part| part.insert(key, value)))
/// };
/// insert(7, "seven".to_owned()).join()?;
/// let get = owner(&all, 7).call(|| PART.with_borrow(|part| part.get(&7).cloned()));
/// assert_eq!(get.join()?.as_deref(), Some("seven"));
/// workers.stop(std::time::Duration::from_secs(10));
/// workers.join()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Worker {
    group: Arc<Group>,
    index: usize,
}

impl Worker {
    pub(super) fn new(group: Arc<Group>, index: usize) -> Self {
        Self { group, index }
    }

    /// Makes this the worker of the calling thread.
    pub(super) fn set_current(&self) {
        CURRENT.with(|current| {
            current.get_or_init(|| self.clone());
        });
    }

    pub(super) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.group.is_inherited()
    }

    /// Returns the worker that this thread is; `None` on other threads, helper threads among them.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT
            .try_with(|current| current.get().cloned())
            .ok()
            .flatten()
    }

    /// Returns the worker's number, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the number of the processor to which the worker's thread is pinned. Several workers
    /// may share one.
    #[must_use]
    pub fn core(&self) -> usize {
        self.group.cores[self.index]
    }

    /// Returns a handle of all workers of the set, this one among them.
    #[must_use]
    pub fn workers(&self) -> WorkersHandle {
        WorkersHandle::new(Arc::clone(&self.group))
    }

    /// Starts a task on the worker: `make` is called there and returns the future, which need not
    /// be `Send`. An async closure will do.
    ///
    /// The output is `Send`, since the handle may be anywhere. Dropping the handle detaches the
    /// task. The closure and the future are called inside of the task, so that a panic of either is
    /// the task's.
    ///
    /// There is no limit on what is sent to a worker that is slow. A sender that waits for the
    /// handle before it sends more has one.
    ///
    /// A worker may send to itself. The worker drops its tasks when its own future has ended, and
    /// what is sent after that never runs: the handle says which it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{Cores, Worker, Workers, spawn};
    /// use std::{io, rc::Rc};
    ///
    /// # fn main() -> io::Result<()> {
    /// let workers = Workers::builder().cores(Cores::Count(1)).start(async |worker| -> io::Result<()> {
    ///     worker.stopping().await;
    ///     Ok(())
    /// })?;
    /// let worker = workers.worker(0).expect("there is one at least");
    /// let sum = worker.spawn(async || {
    ///     let two = Rc::new(2); // stays on its thread
    ///     let three = spawn(async { 3 });
    ///     *two + three.await.expect("the task does not panic")
    /// });
    /// assert_eq!(sum.join()?, 5);
    /// # workers.stop(std::time::Duration::ZERO);
    /// # workers.join()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<M, F>(&self, make: M) -> RemoteJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let location = Location::caller();
        let slot = Arc::new(Slot::new());
        let finisher = Finisher::new(Arc::clone(&slot), self.index);
        if !self.is_inherited() {
            self.post(Box::new(move || {
                remote_task::spawn(make, finisher, location);
            }));
        }
        RemoteJoinHandle::new(self.clone(), slot)
    }

    /// Calls `call` on the worker and returns what it returns. It should not block, since it has
    /// the worker's thread to itself.
    ///
    /// Otherwise as [`spawn`](Self::spawn). A call and a task that were sent by one thread begin in
    /// the order in which they were sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::{Worker, workers::RemoteJoinError};
    /// async fn name_of(worker: &Worker) -> Result<Option<String>, RemoteJoinError> {
    ///     worker.call(|| std::thread::current().name().map(str::to_owned)).await
    /// }
    /// ```
    #[track_caller]
    pub fn call<T, C>(&self, call: C) -> RemoteJoinHandle<T>
    where
        C: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn(move || async move { call() })
    }

    /// Hands in a message, which is dropped when the worker has ended.
    pub(super) fn post(&self, message: Message) {
        if let Err(message) = self.group.posts[self.index].send(message) {
            drop(message);
        }
    }

    /// Whether the set was ordered to stop. A worker that asks this or [`stopping`](Self::stopping)
    /// is given the time of the stop to come to its end; one that has asked neither by then would
    /// not notice, and its future is dropped at once.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.group.posts[self.index].ask_for(Event::Stop);
        self.group.is_stopping()
    }

    /// Waits until the set is ordered to stop, by [`WorkersHandle::stop`] or because another worker
    /// has failed. The worker's future has the time of the stop to come to its end, and should
    /// return then. The tasks of the worker are dropped when it does.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        self.wait_for(Event::Stop)
    }

    /// Waits until the time of a stop is over: its deadline has passed, or a second order has come.
    /// The worker's future should end what it does and return, with what it has to tell. It has a
    /// second for that. The future of a worker that has not asked for this is dropped at once, and
    /// [`Workers`](super::Workers) has no output of it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// Jobs that have the time of a stop to end, and the number of those that had not:
    ///
    /// ```
    /// use annulus::{Worker, future::race, task::JoinSet};
    /// use std::io;
    ///
    /// /// Returns how many jobs were cut off.
    /// async fn work(worker: Worker) -> io::Result<usize> {
    ///     let mut jobs: JoinSet<()> = JoinSet::new();
    ///     // Spawn jobs until the stop.
    ///     worker.stopping().await;
    ///     let ended = async { while jobs.join_next().await.is_some() {} };
    ///     race(ended, worker.cutting()).await;
    ///     Ok(jobs.len())
    /// }
    /// ```
    pub fn cutting(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        self.wait_for(Event::Cut)
    }

    fn wait_for(&self, event: Event) -> WaitFor {
        self.group.posts[self.index].ask_for(event);
        WaitFor {
            group: Arc::clone(&self.group),
            event,
            key: None,
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("index", &self.index)
            .field("core", &self.core())
            .finish_non_exhaustive()
    }
}

/// Two handles are equal when they are of one worker.
impl PartialEq for Worker {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && Arc::ptr_eq(&self.group, &other.group)
    }
}

impl Eq for Worker {}

/// Waits for an event of the stop.
struct WaitFor {
    group: Arc<Group>,
    event: Event,
    /// The place of its waker in the group.
    key: Option<usize>,
}

impl Future for WaitFor {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.group.poll_event(this.event, &mut this.key, context)
    }
}

impl Drop for WaitFor {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.group.leave(self.event, key);
        }
    }
}
