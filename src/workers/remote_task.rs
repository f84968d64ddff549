//! A task that another thread has asked for, on its worker's thread.

use std::{
    future::Future,
    mem,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use super::remote_join_error::RemoteJoinError;
use crate::{
    primitives::{AtomicBool, Mutex, Ordering, lock},
    task, unwind,
    wait_note::{self, WaitNote},
};

pub(super) type Outcome<T> = Result<T, RemoteJoinError>;

/// The place where a task leaves its output for its handle.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    /// Set once, before the task is woken.
    is_aborted: AtomicBool,
}

struct State<T> {
    outcome: Option<Outcome<T>>,
    /// Whether there was an outcome.
    is_finished: bool,
    has_handle: bool,
    /// The waker of the task that awaits the handle.
    joiner: Option<Waker>,
    /// The waker of the task itself, for an abort.
    task: Option<Waker>,
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                outcome: None,
                is_finished: false,
                has_handle: true,
                joiner: None,
                task: None,
            }),
            is_aborted: AtomicBool::new(false),
        }
    }

    /// The slot of a call that was made already.
    pub(super) fn finished(outcome: Outcome<T>) -> Self {
        Self {
            state: Mutex::new(State {
                outcome: Some(outcome),
                is_finished: true,
                has_handle: true,
                joiner: None,
                task: None,
            }),
            is_aborted: AtomicBool::new(false),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        lock(&self.state).is_finished
    }

    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Release);
        let task = lock(&self.state).task.take();
        // The waker of a task of ours, which does not panic.
        task.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Acquire)
    }

    /// The outcome, once.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Outcome<T>> {
        // Cloning and dropping wakers is the user's code, so the lock is not held then.
        let waker = context.waker().clone();
        let mut state = lock(&self.state);
        if state.is_finished {
            let outcome = state.outcome.take();
            drop(state);
            drop(waker);
            return Poll::Ready(outcome.expect("a join handle was polled after it returned"));
        }
        let before = state.joiner.replace(waker);
        drop(state);
        drop(before);
        wait_note::leave(WaitNote::OtherWorker);
        Poll::Pending
    }

    /// Notes that the handle is gone. Returns an outcome that it has not taken.
    pub(super) fn detach(&self) -> Option<Outcome<T>> {
        let mut state = lock(&self.state);
        state.has_handle = false;
        let (joiner, outcome) = (state.joiner.take(), state.outcome.take());
        drop(state);
        drop(joiner);
        outcome
    }

    pub(super) fn register(&self, task: &Waker) {
        let task = task.clone();
        lock(&self.state).task = Some(task);
    }

    /// Hands the outcome over, or returns it when the handle is gone.
    fn finish(&self, outcome: Outcome<T>) -> Option<Outcome<T>> {
        let mut state = lock(&self.state);
        state.is_finished = true;
        let left = if state.has_handle {
            state.outcome = Some(outcome);
            None
        } else {
            Some(outcome)
        };
        let (joiner, task) = (state.joiner.take(), state.task.take());
        drop(state);
        drop(task);
        // Its panic is no concern of this worker's.
        unwind::swallow(|| joiner.into_iter().for_each(Waker::wake));
        left
    }
}

/// The task's end of a slot. When it is dropped without an outcome, the worker has ended or the
/// task was aborted.
pub(super) struct Finisher<T> {
    slot: Option<Arc<Slot<T>>>,
    worker: usize,
}

impl<T> Finisher<T> {
    pub(super) fn new(slot: Arc<Slot<T>>, worker: usize) -> Self {
        let slot = Some(slot);
        Self { slot, worker }
    }

    /// Hands the outcome over. A panic that no handle will see goes on, as that of a task without a
    /// handle.
    pub(super) fn finish(mut self, outcome: Outcome<T>) {
        let slot = self.slot.take().expect("it finishes once");
        match slot
            .finish(outcome)
            .map(|left| left.map_err(RemoteJoinError::try_into_panic))
        {
            Some(Err(Ok(payload))) => resume_unwind(payload),
            left => drop(left),
        }
    }

    fn slot(&self) -> &Slot<T> {
        self.slot.as_ref().expect("it has not finished")
    }
}

impl<T> Drop for Finisher<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let error = if slot.is_aborted() {
                RemoteJoinError::aborted(self.worker)
            } else {
                RemoteJoinError::worker_ended(self.worker)
            };
            drop(slot.finish(Err(error)));
        }
    }
}

/// Spawns, on the worker's thread, the task that makes a future and polls it.
pub(super) fn spawn<M, F>(
    make: M,
    finisher: Finisher<F::Output>,
    location: &'static Location<'static>,
) where
    M: FnOnce() -> F + 'static,
    F: Future<Output: 'static> + 'static,
{
    let work = Work::Made { make: Some(make) };
    let finisher = Some(finisher);
    drop(task::spawn_at(RemoteTask { work, finisher }, location));
}

pin_project! {
    struct RemoteTask<M, F: Future> {
        #[pin]
        work: Work<M, F>,
        // Until the task is done. It is dropped after the work.
        finisher: Option<Finisher<F::Output>>,
    }
}

pin_project! {
    #[project = WorkProjection]
    enum Work<M, F> {
        Made { make: Option<M> },
        Running { #[pin] future: F },
        Done,
    }
}

impl<M: FnOnce() -> F, F: Future> Work<M, F> {
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if let WorkProjection::Made { make } = self.as_mut().project() {
            let make = make.take().expect("it is called once");
            let future = make();
            self.set(Self::Running { future });
        }
        match self.project() {
            WorkProjection::Running { future } => future.poll(context),
            WorkProjection::Made { .. } | WorkProjection::Done => {
                unreachable!("a task is not polled after its end")
            }
        }
    }
}

impl<M: FnOnce() -> F, F: Future> Future for RemoteTask<M, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let finisher = this.finisher.as_ref().expect("it is not done");
        if matches!(*this.work, Work::Made { .. }) {
            finisher.slot().register(context.waker());
        }
        let is_aborted = finisher.slot().is_aborted();
        let worker = finisher.worker;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let output = if is_aborted {
                None
            } else {
                match this.work.as_mut().poll(context) {
                    Poll::Ready(output) => Some(output),
                    Poll::Pending => return Poll::Pending,
                }
            };
            // Before its output shows, as with other tasks.
            this.work.set(Work::Done);
            Poll::Ready(output)
        }));
        let outcome = match outcome {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(output))) => Ok(output),
            Ok(Poll::Ready(None)) => Err(RemoteJoinError::aborted(worker)),
            Err(payload) => Err(RemoteJoinError::panicked(worker, payload)),
        };
        let finisher = mem::take(this.finisher).expect("it is not done");
        finisher.finish(outcome);
        Poll::Ready(())
    }
}
