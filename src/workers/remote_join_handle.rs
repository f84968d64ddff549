//! The handle of a task on another worker.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    remote_join_error::RemoteJoinError,
    remote_task::{Outcome, Slot},
    waiting::wait_for,
    worker::Worker,
};
use crate::{
    budget::{self, PutOff},
    task, unwind,
};

/// Waits for a task that runs on a worker, from any thread: [`Worker::spawn`] and [`Worker::call`]
/// return it.
///
/// It is a future that needs no runtime of ours: any executor may poll it. [`join`](Self::join) is
/// for a thread without one. Dropping the handle detaches the task, which goes on; its output is
/// dropped on its worker. An output that is there already is dropped with the handle.
///
/// # Errors
///
/// When the task panicked, was aborted, or its worker ended before the task was done. A task that
/// is sent to a worker that has ended never runs, and its handle says so at once.
///
/// # Panics
///
/// Polling the handle again after it returned the output panics.
///
/// # Cancel safety
///
/// Nothing is lost when a future that waits for `&mut handle` is dropped: the output stays until
/// the handle returns it.
#[must_use = "dropping the handle detaches the task; `drop` says that this is meant"]
pub struct RemoteJoinHandle<T: Send + 'static> {
    worker: Worker,
    slot: Arc<Slot<T>>,
    put_off: PutOff,
}

impl<T: Send + 'static> RemoteJoinHandle<T> {
    pub(super) fn new(worker: Worker, slot: Arc<Slot<T>>) -> Self {
        let put_off = PutOff::new();
        Self {
            worker,
            slot,
            put_off,
        }
    }

    /// The handle of a call that was made already.
    pub(super) fn finished(worker: Worker, outcome: Outcome<T>) -> Self {
        Self::new(worker, Arc::new(Slot::finished(outcome)))
    }

    /// Blocks the thread until the task is done, and returns its output.
    ///
    /// # Errors
    ///
    /// As awaiting the handle.
    ///
    /// # Panics
    ///
    /// Inside a runtime of this crate, whose tasks would stand still meanwhile: `.await` the handle
    /// there.
    #[track_caller]
    pub fn join(self) -> Result<T, RemoteJoinError> {
        wait_for(self)
    }

    /// Asks for the task to be stopped: its future is dropped at its next turn, and the handle
    /// returns an error that says so. A task that is finished already keeps its output.
    pub fn abort(&self) {
        if !self.worker.is_inherited() {
            self.slot.abort();
        }
    }

    /// Whether the output is there, or was returned already.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.worker.is_inherited() || self.slot.is_finished()
    }

    /// Returns the worker of the task.
    #[must_use]
    pub fn worker(&self) -> &Worker {
        &self.worker
    }
}

impl<T: Send + 'static> Future for RemoteJoinHandle<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        if budget::is_spent() && self.put_off.waits(context) {
            return Poll::Pending;
        }
        if self.worker.is_inherited() {
            let error = RemoteJoinError::inherited(self.worker.index());
            return Poll::Ready(Err(error));
        }
        let polled = self.slot.poll(context);
        if polled.is_ready() {
            budget::spend();
        }
        polled
    }
}

impl<T: Send + 'static> Drop for RemoteJoinHandle<T> {
    fn drop(&mut self) {
        if self.worker.is_inherited() {
            return;
        }
        // A panic that was not taken is that of a task without a handle, so its worker's reaction
        // to those is asked for.
        if let Some(Err(error)) = self.slot.detach() {
            if let Ok(payload) = error.try_into_panic() {
                let message = || drop(task::spawn(async { resume_unwind(payload) }));
                // When the worker has ended, the payload is dropped here.
                unwind::swallow(|| self.worker.post(Box::new(message)));
            }
        }
    }
}

impl<T: Send + 'static> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJoinHandle")
            .field("worker", &self.worker.index())
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
