//! A group of tasks.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::Location,
    task::{Context, Poll, ready},
};

use super::{AbortHandle, JoinError, JoinHandle, index_wakes::IndexWakes, raw::Unnamed, spawn_as};

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
    /// The slots whose tasks have finished. Made with the first task.
    ///
    /// A slot may be in it although its task is not finished: an earlier task of the slot was.
    finished: Option<IndexWakes>,
    slots: Vec<Option<JoinHandle<T>>>,
    free: Vec<u32>,
}

impl<T> JoinSet<T> {
    /// An empty set. It allocates nothing until the first task.
    pub const fn new() -> Self {
        Self {
            finished: None,
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// How many tasks are in the set, finished or not.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
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

    /// The poll function of [`JoinSet::join_next`]. Only the last caller is woken.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        loop {
            if let Some(output) = self.try_join_next() {
                return Poll::Ready(Some(output));
            }
            match &self.finished {
                Some(finished) if !self.is_empty() => ready!(finished.poll_ready(cx)),
                _ => return Poll::Ready(None),
            }
        }
    }

    /// Returns the output of a task that has finished, or `None` if there is none at the moment.
    ///
    /// # Errors
    ///
    /// As [`JoinSet::join_next`].
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        loop {
            let index = self.finished.as_ref()?.pop()?;
            let slot = &mut self.slots[index as usize];
            let output = slot.as_mut().and_then(JoinHandle::take_output);
            if output.is_some() {
                *slot = None;
                self.free.push(index);
                return output;
            }
        }
    }

    /// Aborts every task. They stay in the set, and [`JoinSet::join_next`] returns them.
    pub fn abort_all(&mut self) {
        for handle in self.slots.iter().flatten() {
            handle.abort();
        }
    }

    /// Takes every task out of the set and lets it go on.
    pub fn detach_all(&mut self) {
        self.free.clear();
        // Some slots may be in the list, and there will be none.
        self.finished = None;
        // A handle's drop may drop an output, which is user code but cannot reach this set.
        self.slots.clear();
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
        let finished = self.finished.get_or_insert_with(IndexWakes::new);
        let abort_handle = handle.abort_handle();
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("four billion tasks do not fit in memory")
        });
        handle.wake_when_finished(&finished.waker(index));
        self.slots[index as usize] = Some(handle);
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
        self.abort_all();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
