//! The handle of a spawned task.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{abort_handle::AbortHandle, current, header::State, raw::Output, task_ref::TaskRef};
use crate::{
    unwind,
    wait_note::{self, WaitNote},
};

/// Waits for a task and returns its output.
///
/// Dropping the handle detaches the task, which goes on without it; [`JoinHandle::abort`] stops
/// it. The handle stays on the thread of its task and costs no atomic operation.
///
/// When the runtime ends, it drops the futures of all tasks; a handle that is still around then
/// returns that its task was cancelled.
///
/// A task runs only inside its own runtime. So a handle that is awaited in another runtime of the
/// thread waits until the thread is back in the first one and the task has finished. That is no
/// error, since the waiting task may well be polled again later, as the second call of `block_on`
/// here does. A `block_on` whose future waits for nothing else never returns.
///
/// ```
/// use annulus::{Runtime, spawn};
///
/// # fn main() -> std::io::Result<()> {
/// let (first, second) = (Runtime::new()?, Runtime::new()?);
/// let five = first.block_on(async { spawn(async { 5 }) });
/// let six = second.block_on(async { spawn(async { five.await.map(|five| five + 1) }) });
/// first.block_on(annulus::task::yield_now()); // Here the first task runs.
/// assert_eq!(second.block_on(six)??, 6);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Polling the handle again after it returned the output panics.
///
/// # Cancel safety
///
/// Nothing is lost when a future that waits for `&mut handle` is dropped: the output stays with
/// the task until the handle returns it.
///
/// # Examples
///
/// ```
/// annulus::run(async {
///     let handle = annulus::task::spawn(async { 6 * 7 });
///     assert_eq!(handle.await?, 42);
///     Ok::<(), annulus::task::JoinError>(())
/// })
/// # .unwrap();
/// ```
pub struct JoinHandle<T> {
    /// Invariant: the output of this task is an `Output<T>`, and this is its only join handle.
    task: TaskRef,
    _output: PhantomData<T>,
}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The output of the task is an `Output<T>`, it is marked as joinable, and no other join
    /// handle is made for it.
    pub(super) unsafe fn new(task: TaskRef) -> Self {
        Self {
            task,
            _output: PhantomData,
        }
    }

    /// Asks for the task to be stopped: its future is dropped at its next turn, and the handle
    /// returns an error that says it was cancelled.
    ///
    /// A task that is finished already keeps its output. One that aborts itself goes on to the
    /// next point where it waits.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Returns a handle that can only abort the task.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle::new(self.task.clone())
    }

    /// Whether the output is there (or was returned already). An aborted task is finished only
    /// when its future is dropped.
    pub fn is_finished(&self) -> bool {
        self.task.state().has(State::FINISHED)
    }

    /// Whether the output was there and is taken.
    pub(super) fn has_returned(&self) -> bool {
        self.is_finished() && !self.task.state().has(State::OUTPUT)
    }

    /// Sets what is woken when the task finishes, and returns what was to be woken before.
    ///
    /// It stays on this thread, which is the owner's, as the handle itself does. The owner wakes
    /// it, or this handle takes it and keeps the task until then. It is never cloned.
    pub(super) fn replace_join_waker(&self, waker: Option<Waker>) -> Option<Waker> {
        self.task.join_waker.replace(waker)
    }

    /// Registers `waker` for the end of the task, and wakes it at once if the task is finished.
    fn wake_when_finished(&self, waker: &Waker) {
        let registered = self.task.join_waker.take();
        if registered
            .as_ref()
            .is_some_and(|registered| registered.will_wake(waker))
        {
            self.task.join_waker.set(registered);
            return;
        }
        // Cloning and dropping wakers is user code, which may do with the task whatever a task may
        // do.
        let waker = waker.clone();
        if self.is_finished() {
            unwind::then(|| waker.wake(), || drop(registered));
        } else {
            let other = self.replace_join_waker(Some(waker));
            unwind::each([registered, other], drop);
        }
    }

    /// The output, if it is there. At most once.
    pub(super) fn take_output(&mut self) -> Option<Output<T>> {
        let state = self.task.state();
        if !state.has(State::OUTPUT) {
            return None;
        }
        self.task.set_state(state.without(State::OUTPUT));
        let mut output = MaybeUninit::<Output<T>>::uninit();
        let take_output = self.task.vtable.take_output;
        // SAFETY: the output is there, is of this type, and is marked as taken.
        unsafe { take_output(self.task.as_raw(), output.as_mut_ptr().cast()) };
        // SAFETY: it was written by `take_output`.
        Some(unsafe { output.assume_init() })
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Output<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output<T>> {
        if self.is_finished() {
            let output = self.take_output();
            return Poll::Ready(output.expect("a join handle was polled after it returned"));
        }
        self.wake_when_finished(cx.waker());
        wait_note::leave(WaitNote::Task);
        Poll::Pending
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.task
            .set_state(self.task.state().without(State::JOINABLE));
        let waker = self.task.join_waker.take();
        let output = self.take_output();
        if let Some(Err(error)) = &output {
            if current::is(self.task.inbox) {
                if let Some(scheduler) = current::get() {
                    scheduler.report_panic(&self.task, error);
                }
            }
        }
        // User code.
        unwind::then(|| drop(waker), || drop(output));
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task
            .describe(&mut f.debug_struct("JoinHandle"))
            .finish_non_exhaustive()
    }
}
