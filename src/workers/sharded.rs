//! [`Sharded`]: a value on each worker, reached by a key.

use std::{
    any::Any,
    cell::RefCell,
    fmt,
    future::Future,
    hash::{BuildHasher as _, Hash, RandomState},
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::{Rc, Weak},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    remote_join_error::RemoteJoinError, remote_join_handle::RemoteJoinHandle, worker::Worker,
    workers_handle::WorkersHandle,
};
use crate::{sync::remote::oneshot, task};

/// A value on each worker of a set, of which each key has one: a map, a cache or a table of rooms
/// in as many parts as there are workers, each used by its own thread without a lock.
///
/// Each value is made on its worker, stays there, and need be neither `Send` nor `Sync`. A
/// [`call`](Self::call) with a key runs there: at once when that is the worker of the calling code,
/// and as a message otherwise. A handle is cheap to clone and goes to any thread. Dropping the last
/// one drops the values, each on its worker, after the calls that are under way. A worker that ends
/// drops its value with its tasks.
///
/// # Which worker has a key
///
/// The key's hash says so, and is the same for all values of this type in a process: what two
/// `Sharded` of one set have at one key is on one worker. It is made with keys that are drawn at
/// random when the process starts, so that a peer which chooses the keys cannot choose the worker.
/// So it differs from one run to the next, and does not belong into a file or a message to another
/// machine. For a placement of your own, use [`call_at`](Self::call_at).
///
/// The workers of a set stay the same for its whole life, so no key ever moves. The keys of a
/// worker that has ended have an error, and no other worker takes them over.
///
/// # Examples
///
/// Counters by name, without a lock:
///
/// ```
/// use annulus::{Workers, workers::Sharded};
/// use std::{cell::RefCell, collections::HashMap, io, time::Duration};
///
/// # fn main() -> io::Result<()> {
/// let workers = Workers::builder().count(2).start(async |worker| {
///     worker.stopping().await;
///     io::Result::Ok(())
/// })?;
/// let counters = Sharded::new(&workers, |_worker| RefCell::new(HashMap::new()));
/// for name in ["ann", "bob", "ann"] {
///     let count = counters.call(name, move |part| {
///         let mut part = part.borrow_mut();
///         let count = part.entry(name).or_insert(0);
///         *count += 1;
///         *count
///     });
///     println!("{name}: {}", count.join()?); // in a task: `count.await?`
/// }
/// // All parts, in the order of the workers' numbers.
/// let mut names = 0;
/// for part in counters.broadcast(|part| part.borrow().len()) {
///     names += part.join()?;
/// }
/// assert_eq!(names, 2);
/// workers.stop(Duration::from_secs(10));
/// workers.join()?;
/// # Ok(())
/// # }
/// ```
pub struct Sharded<T: 'static> {
    shared: Arc<Shared>,
    /// The values are elsewhere, so that a handle is `Send` whatever they are.
    values: PhantomData<fn() -> T>,
}

struct Shared {
    id: u64,
    workers: WorkersHandle,
    /// Their drop ends the task of each worker that holds the value.
    _holds: Vec<oneshot::Sender<()>>,
}

thread_local! {
    /// The values of this worker, one for each `Sharded`. A task holds each, so that it is dropped
    /// with the tasks and not with the thread.
    static PARTS: RefCell<Vec<Part>> = const { RefCell::new(Vec::new()) };
}

struct Part {
    id: u64,
    worker: usize,
    value: Weak<dyn Any>,
}

impl<T: 'static> Sharded<T> {
    /// Has `make` called on each worker of the set, and keeps there what it returns. On the worker
    /// of the calling code that happens at once, on the others before the first call that is sent
    /// by this value.
    ///
    /// When `make` panics on a worker, that is the panic of a task without a handle there, and
    /// calls to that worker have an error. On the worker of the calling code it goes on to the
    /// caller.
    #[track_caller]
    pub fn new<M>(workers: &WorkersHandle, make: M) -> Self
    where
        M: Fn(Worker) -> T + Send + Sync + 'static,
    {
        static COUNT: AtomicU64 = AtomicU64::new(0);

        let id = COUNT.fetch_add(1, Ordering::Relaxed);
        let make = Arc::new(make);
        let own = Worker::current().filter(|own| own.workers().is(workers));
        let mut holds = Vec::with_capacity(workers.len());
        if let Some(own) = &own {
            // First, so that nothing was sent when it panics.
            let held = Held::new(id, own.index(), make(own.clone()));
            let (hold, end) = oneshot::channel::<()>();
            holds.push(hold);
            drop(task::spawn(held.until(end)));
        }
        for worker in workers.iter().filter(|worker| Some(worker) != own.as_ref()) {
            let (hold, end) = oneshot::channel::<()>();
            holds.push(hold);
            let (make, there) = (Arc::clone(&make), worker.clone());
            drop(worker.spawn(move || {
                let held = Held::new(id, there.index(), make(there));
                held.until(end)
            }));
        }
        let shared = Arc::new(Shared {
            id,
            workers: workers.clone(),
            _holds: holds,
        });
        Self {
            shared,
            values: PhantomData,
        }
    }

    /// Returns the workers that have the values.
    #[must_use]
    pub fn workers(&self) -> &WorkersHandle {
        &self.shared.workers
    }

    /// Returns the number of the worker that has `key`. Keys that are equal in the sense of
    /// [`Borrow`](std::borrow::Borrow), as `str` and `String`, have the same.
    #[must_use]
    pub fn index_of<K: Hash + ?Sized>(&self, key: &K) -> usize {
        static SEEDS: OnceLock<RandomState> = OnceLock::new();

        let hash = SEEDS.get_or_init(RandomState::new).hash_one(key);
        // The upper half of the product is below `len`.
        let index = (u128::from(hash) * self.workers().len() as u128) >> u64::BITS;
        index as usize
    }

    /// Returns the worker that has `key`.
    #[must_use]
    pub fn worker_of<K: Hash + ?Sized>(&self, key: &K) -> Worker {
        self.worker(self.index_of(key))
    }

    fn worker(&self, index: usize) -> Worker {
        let worker = self.workers().worker(index);
        worker.unwrap_or_else(|| {
            let len = self.workers().len();
            panic!("expected the number of one of {len} workers, found {index}")
        })
    }

    /// Calls `call` with the value of this thread's worker, and returns what it returns. `None` on
    /// threads that are none of the workers, and where the value was not made or is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::workers::Sharded;
    /// # use std::cell::Cell;
    /// /// Counts a connection of this worker; no message is sent.
    /// fn count(connections: &Sharded<Cell<u64>>) {
    ///     connections.with_own(|count| count.set(count.get() + 1));
    /// }
    /// ```
    pub fn with_own<R>(&self, call: impl FnOnce(&T) -> R) -> Option<R> {
        let (_worker, value) = self.own()?;
        Some(call(&value))
    }

    /// Calls `call` with the value that has `key`, on its worker, and returns a handle for what it
    /// returns. The call should not block, since it has the worker's thread to itself.
    ///
    /// When the worker is that of the calling code, the call is made before this returns, and
    /// nothing is sent. Otherwise calls of one thread to one worker are made in the order in which
    /// they were sent.
    ///
    /// The handle is as that of [`Worker::call`]: to be awaited on any runtime, or joined on a
    /// thread without one. Its errors tell a call that panicked from a worker that has ended. A
    /// call to a value that was not made, since its closure panicked, counts as one that panicked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the handle does not take the call back; what it returns is dropped.
    #[track_caller]
    pub fn call<K, R, C>(&self, key: &K, call: C) -> RemoteJoinHandle<R>
    where
        K: Hash + ?Sized,
        C: FnOnce(&T) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.call_at(self.index_of(key), call)
    }

    /// As [`call`](Self::call), with the value of a worker by its number.
    ///
    /// # Panics
    ///
    /// When there is no worker of that number.
    #[track_caller]
    pub fn call_at<R, C>(&self, index: usize, call: C) -> RemoteJoinHandle<R>
    where
        C: FnOnce(&T) -> R + Send + 'static,
        R: Send + 'static,
    {
        let worker = self.worker(index);
        match self.own() {
            Some((own, value)) if own == index => {
                let outcome = catch_unwind(AssertUnwindSafe(|| call(&value)))
                    .map_err(|payload| RemoteJoinError::panicked(index, payload));
                RemoteJoinHandle::finished(worker, outcome)
            }
            _ => {
                let there = self.clone();
                worker.call(move || call(&there.value()))
            }
        }
    }

    /// Starts a task on the worker that has `key`, with a future that `make` makes there of the
    /// value. Otherwise as [`Worker::spawn`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::{net::TcpStream, sync::Mutex, workers::{RemoteJoinError, Sharded}};
    /// # use std::io;
    /// /// Asks the upstream connection that serves `key`. The connection stays on its worker.
    /// async fn ask(
    ///     upstream: &Sharded<Mutex<TcpStream>>,
    ///     key: &str,
    ///     question: Vec<u8>,
    /// ) -> Result<io::Result<Vec<u8>>, RemoteJoinError> {
    ///     let answer = upstream.spawn(key, async move |stream| {
    ///         let stream = stream.lock().await;
    ///         stream.write_all(question).await.map_err(io::Error::from)?;
    ///         let answer = stream.recv().await?;
    ///         Ok(answer.to_vec()) // the buffer is one of that worker
    ///     });
    ///     answer.await
    /// }
    /// ```
    #[track_caller]
    pub fn spawn<K, M, F>(&self, key: &K, make: M) -> RemoteJoinHandle<F::Output>
    where
        K: Hash + ?Sized,
        M: FnOnce(Rc<T>) -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        self.spawn_at(self.index_of(key), make)
    }

    /// As [`spawn`](Self::spawn), on a worker by its number.
    ///
    /// # Panics
    ///
    /// When there is no worker of that number.
    #[track_caller]
    pub fn spawn_at<M, F>(&self, index: usize, make: M) -> RemoteJoinHandle<F::Output>
    where
        M: FnOnce(Rc<T>) -> F + Send + 'static,
        F: Future<Output: Send + 'static> + 'static,
    {
        let there = self.clone();
        self.worker(index).spawn(move || make(there.value()))
    }

    /// Calls `call` with each value, on its worker, and returns a handle for each, in the order of
    /// the workers' numbers. Otherwise as [`call`](Self::call).
    #[track_caller]
    pub fn broadcast<R, C>(&self, call: C) -> Vec<RemoteJoinHandle<R>>
    where
        C: Fn(&T) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let call = Arc::new(call);
        let mut handles = Vec::with_capacity(self.workers().len());
        for index in 0..self.workers().len() {
            let call = Arc::clone(&call);
            handles.push(self.call_at(index, move |value| call(value)));
        }
        handles
    }

    /// The value of this thread's worker, and the worker's number.
    fn own(&self) -> Option<(usize, Rc<T>)> {
        if self.workers().group().is_inherited() {
            return None;
        }
        let found = PARTS.try_with(|parts| {
            let parts = parts.borrow();
            let part = parts.iter().find(|part| part.id == self.shared.id)?;
            Some((part.worker, part.value.upgrade()?))
        });
        let (worker, value) = found.ok().flatten()?;
        let value = value.downcast().expect("a number stands for one type");
        Some((worker, value))
    }

    /// The value of this thread's worker, in a message to it.
    fn value(&self) -> Rc<T> {
        match self.own() {
            Some((_worker, value)) => value,
            // Without a report, as the closure has had one.
            None => resume_unwind(Box::new("the closure of the worker's value has panicked")),
        }
    }
}

impl<T: 'static> Clone for Sharded<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            values: PhantomData,
        }
    }
}

impl<T: 'static> fmt::Debug for Sharded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded")
            .field("workers", self.workers())
            .finish_non_exhaustive()
    }
}

/// A value on its worker's thread, and its entry among the parts.
struct Held<T: 'static> {
    id: u64,
    /// Dropped after the entry.
    _value: Rc<T>,
}

impl<T: 'static> Held<T> {
    fn new(id: u64, worker: usize, value: T) -> Self {
        let value = Rc::new(value);
        let any: Rc<dyn Any> = Rc::clone(&value) as Rc<dyn Any>;
        let part = Part {
            id,
            worker,
            value: Rc::downgrade(&any),
        };
        PARTS.with_borrow_mut(|parts| parts.push(part));
        Self { id, _value: value }
    }

    /// Holds the value until the last handle is dropped.
    async fn until(self, end: oneshot::Receiver<()>) {
        let _ = end.await;
    }
}

impl<T: 'static> Drop for Held<T> {
    fn drop(&mut self) {
        let part = PARTS.try_with(|parts| {
            let mut parts = parts.borrow_mut();
            let place = parts.iter().position(|part| part.id == self.id)?;
            Some(parts.swap_remove(place))
        });
        // Its value is still held here, so no code of the user's runs in this drop.
        drop(part);
    }
}
