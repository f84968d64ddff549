//! [`Queue`]: work for several tasks, and the wait until all of it is done.

mod join;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, thread,
};

use super::{
    closed::Closed,
    mpsc::{SendError, TrySendError},
    semaphore::Semaphore,
    try_recv_error::TryRecvError,
    waiters::Waiters,
};
use crate::{shrink, unwind, wait_note::WaitNote};

pub use join::Join;

/// A queue that any task puts values into and any task gets them from.
///
/// It also counts the values that are not done: [`task_done`](Queue::task_done) says that one is,
/// and [`join`](Queue::join) waits until all are. That is how tasks share work that makes new work,
/// such as the pages of a site and their links. The name and the methods are those of Python's
/// `asyncio.Queue`.
///
/// Values come out in the order in which they were put in. Tasks that wait are served in the order
/// in which they came, on both ends. All methods take `&self`: tasks share a queue by an `Rc`.
///
/// # Examples
///
/// ```
/// use annulus::{sync::Queue, task::JoinSet};
/// use std::{cell::Cell, rc::Rc};
///
/// annulus::run(async {
///     let queue = Rc::new(Queue::unbounded());
///     let sum = Rc::new(Cell::new(0));
///     let mut workers = JoinSet::new();
///     for _ in 0..3 {
///         let (queue, sum) = (Rc::clone(&queue), Rc::clone(&sum));
///         workers.spawn(async move {
///             while let Some(number) = queue.get().await {
///                 let _done = queue.task_done_on_drop();
///                 sum.set(sum.get() + number);
///                 if number > 1 {
///                     queue.try_put(number / 2).unwrap(); // new work
///                 }
///             }
///         });
///     }
///     queue.put(8).await?;
///     queue.put(4).await?;
///     queue.join().await; // also for the work that came meanwhile
///     queue.close(); // ends the workers
///     while workers.join_next().await.is_some() {}
///     assert_eq!(sum.get(), 8 + 4 + 2 + 1 + 4 + 2 + 1);
///     Ok::<(), annulus::sync::mpsc::SendError<u32>>(())
/// })
/// # .unwrap();
/// ```
///
/// # A queue that its own workers fill
///
/// A worker that waits in [`put`](Queue::put) gets nothing from the queue meanwhile. If all workers
/// of a bounded queue wait there, none goes on. So where the workers themselves put, take an
/// unbounded queue and limit the work in another way, or [`try_put`](Queue::try_put) and keep the
/// value that did not fit.
pub struct Queue<T> {
    queue: RefCell<VecDeque<T>>,
    capacity: usize,
    /// A permit for each value that no task was chosen for. Closed with the queue.
    values: Semaphore,
    /// A permit for each free place. Closed with the queue.
    places: Semaphore,
    /// Values that were put in and are not done.
    unfinished_count: Cell<usize>,
    /// Tasks that wait until nothing is unfinished.
    joining: Waiters<()>,
}

impl<T> Queue<T> {
    /// Returns a queue that holds at most `capacity` values.
    ///
    /// # Panics
    ///
    /// When `capacity` is zero.
    pub const fn bounded(capacity: usize) -> Queue<T> {
        assert!(
            capacity > 0,
            "expected a queue with room for a value, found a capacity of zero"
        );
        Queue {
            queue: RefCell::new(VecDeque::new()),
            capacity,
            values: Semaphore::noting(0, WaitNote::QueueValue),
            places: Semaphore::noting(capacity, WaitNote::QueueRoom),
            unfinished_count: Cell::new(0),
            joining: Waiters::new(),
        }
    }

    /// Returns a queue without a limit, into which [`put`](Queue::put) never waits.
    pub const fn unbounded() -> Queue<T> {
        Queue::bounded(usize::MAX)
    }

    /// Puts a value in, once there is room for it. It counts as unfinished from then on.
    ///
    /// # Errors
    ///
    /// Gives the value back when the queue was closed.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has not put its value in, and drops it.
    pub async fn put(&self, value: T) -> Result<(), SendError<T>> {
        match self.places.acquire().await {
            // A task that was given its place just before the close comes too late: those that get
            // values may have been told that there are no more.
            Ok(place) if !self.is_closed() => {
                place.forget();
                self.push(value);
                Ok(())
            }
            Ok(_) | Err(Closed) => Err(SendError(value)),
        }
    }

    /// Puts a value in if there is room for it and no other task waits to put.
    ///
    /// # Errors
    ///
    /// Gives the value back, and says whether the queue is full or closed.
    pub fn try_put(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        match self.places.try_acquire() {
            Some(place) => {
                place.forget();
                self.push(value);
                Ok(())
            }
            None => Err(TrySendError::Full(value)),
        }
    }

    /// Waits for the next value. It stays unfinished until [`task_done`](Queue::task_done).
    ///
    /// `None` means that the queue was closed and has no value left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a value stays in the queue until it is returned, and one that a dropped
    /// future was chosen for goes to the next in line.
    pub async fn get(&self) -> Option<T> {
        match self.values.acquire().await {
            Ok(value) => {
                value.forget();
                Some(self.pop())
            }
            Err(Closed) => self.try_get().ok(),
        }
    }

    /// Returns the next value if there is one and no other task waits for it.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether one may still come.
    pub fn try_get(&self) -> Result<T, TryRecvError> {
        if self.values.take_even_closed() {
            Ok(self.pop())
        } else if self.is_closed() {
            Err(TryRecvError::Closed)
        } else {
            Err(TryRecvError::Empty)
        }
    }

    /// Says that a value that was got is done. The last one ends each [`join`](Queue::join).
    ///
    /// # Panics
    ///
    /// When it is called more often than values were put in.
    pub fn task_done(&self) {
        let left = self.unfinished_count.get().checked_sub(1);
        self.unfinished_count
            .set(left.expect("expected a value that is not done, found that all are"));
        if left == Some(0) {
            self.joining.wake_all(());
        }
    }

    /// Returns a guard that calls [`task_done`](Queue::task_done) when it is dropped, also by a `?`,
    /// a panic or an abort.
    pub fn task_done_on_drop(&self) -> TaskDone<'_, T> {
        TaskDone { queue: self }
    }

    /// Waits until each value that was put in is done. It returns at once if none is unfinished.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub fn join(&self) -> Join<'_, T> {
        Join::new(self)
    }

    /// Refuses values from now on. Those in the queue can still be got, then `None` follows.
    ///
    /// Tasks that wait to put have their values back, and tasks that wait for a value are told that
    /// there is none.
    pub fn close(&self) {
        unwind::then(|| self.places.close(), || self.values.close());
    }

    /// Whether the queue was closed.
    pub fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    /// Returns the number of values in the queue.
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Whether no value is in the queue.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many values the queue holds at most; `usize::MAX` for an unbounded one.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the number of values that were put in and are not done. It includes those in the
    /// queue.
    pub fn unfinished(&self) -> usize {
        self.unfinished_count.get()
    }

    /// Puts a value into a place that was taken for it.
    fn push(&self, value: T) {
        self.queue.borrow_mut().push_back(value);
        self.unfinished_count.set(self.unfinished_count.get() + 1);
        self.values.add_permits(1);
    }

    /// Takes a value for which a permit was taken.
    fn pop(&self) -> T {
        let value = {
            let mut queue = self.queue.borrow_mut();
            let value = queue.pop_front();
            shrink::queue(&mut queue);
            value.expect("there is a value for each permit")
        };
        // It may wake a task that waits to put, whose panic must not cost the value.
        unwind::swallow(|| self.places.add_permits(1));
        value
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("unfinished", &self.unfinished())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Calls [`Queue::task_done`] when it is dropped.
#[must_use = "dropping it says at once that the value is done"]
pub struct TaskDone<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Drop for TaskDone<'_, T> {
    fn drop(&mut self) {
        // A count of zero panics, and a second panic would end the process.
        if self.queue.unfinished() > 0 || !thread::panicking() {
            self.queue.task_done();
        }
    }
}

impl<T> fmt::Debug for TaskDone<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskDone").finish_non_exhaustive()
    }
}
