//! A group of tasks.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    task::{Context, Poll},
};

use super::{AbortHandle, JoinError, JoinHandle, finished::Members, raw::Unnamed, spawn_as};
use crate::wait_note::{self, WaitNote};

/// A group of tasks, joined in the order in which they finish.
///
/// Joining takes the same time however many tasks are in the set. Dropping the set aborts all of
/// them; [`JoinSet::detach_all`] lets them go on.
///
/// # Examples
///
/// ```
/// use annulus::task::JoinSet;
///
/// annulus::run(async {
///     let mut set = JoinSet::new();
///     for number in 1..=4 {
///         set.spawn(async move { number * number });
///     }
///     let mut sum = 0;
///     while let Some(square) = set.join_next().await {
///         sum += square?;
///     }
///     assert_eq!(sum, 30);
///     Ok::<(), annulus::task::JoinError>(())
/// })
/// # .unwrap();
/// ```
pub struct JoinSet<T> {
    members: Members<T>,
    /// Returns the number of tasks in the set, finished or not.
    len: usize,
}

impl<T> JoinSet<T> {
    /// Makes an empty set. It allocates nothing until the first task.
    pub const fn new() -> Self {
        Self {
            members: Members::new(),
            len: 0,
        }
    }

    /// Returns the number of tasks in the set, finished or not.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no task is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the output of the next task that finishes, or `None` if the set is empty.
    ///
    /// # Errors
    ///
    /// That of the task, if it panicked or was aborted. It is out of the set then as well.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a task leaves the set when its output is returned.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Polls for the next output; see [`JoinSet::join_next`]. Only the last caller is woken.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        if let Some(output) = self.try_join_next() {
            return Poll::Ready(Some(output));
        }
        if self.is_empty() {
            return Poll::Ready(None);
        }
        self.members.register(cx);
        match self.try_join_next() {
            Some(output) => Poll::Ready(Some(output)),
            None => {
                wait_note::leave(WaitNote::TaskSet);
                Poll::Pending
            }
        }
    }

    /// Returns the output of a task that has finished, or `None` if no task has finished at the
    /// moment.
    ///
    /// # Errors
    ///
    /// As [`JoinSet::join_next`].
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let output = self.members.pop()?;
        self.len -= 1;
        if self.len == 0 {
            self.members.give_back();
        }
        Some(output)
    }

    /// Aborts every task. They stay in the set, and [`JoinSet::join_next`] returns them.
    pub fn abort_all(&mut self) {
        self.members.for_each(JoinHandle::abort);
    }

    /// Takes every task out of the set and lets it go on.
    pub fn detach_all(&mut self) {
        self.len = 0;
        // A handle's drop may drop an output, which is user code but cannot reach this set.
        drop(std::mem::replace(&mut self.members, Members::new()));
    }
}

#[cfg(all(test, not(loom)))]
impl<T> JoinSet<T> {
    /// How many tasks fit into the set without an allocation but their own.
    pub(super) fn member_count(&self) -> usize {
        self.members.others_count()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task into the set, on this thread's runtime.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](super::spawn).
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(spawn_as(future, Unnamed, Location::caller()))
    }

    /// Takes a task into the set that was spawned on this thread already.
    ///
    /// # Panics
    ///
    /// If the handle has returned its output already, as there is nothing left to wait for.
    #[track_caller]
    pub fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        assert!(
            !handle.has_returned(),
            "the join handle has returned its output already"
        );
        let abort_handle = handle.abort_handle();
        self.len += 1;
        self.members.push(handle);
        abort_handle
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        // Joined by then most of the time.
        if !self.is_empty() {
            self.abort_all();
        }
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
