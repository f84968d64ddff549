//! The one allocation of a task, and the few functions that know its future's type.

use std::{
    alloc::{Layout, handle_alloc_error},
    any::Any,
    borrow::Cow,
    future::Future,
    mem::{self, ManuallyDrop},
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    ptr::{self, NonNull},
    task::{Context, Poll},
};

use super::{
    header::{Header, State},
    inbox::Inbox,
    join_error::JoinError,
    primitives::{alloc, dealloc},
    task_ref::TaskRef,
};
use crate::unwind::swallow;

/// The result that a finished task leaves to its join handle.
pub(super) type Output<T> = Result<T, JoinError>;

/// The state of a future after a poll or a cancel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is still there.
    Pending,
    /// It is dropped, the output is stored.
    Finished,
    /// The same, and the output is its panic.
    Panicked,
}

/// The functions that know the type of a task's future.
///
/// All are called on the owner's thread, except `dealloc`.
pub(super) struct Vtable {
    /// Polls the future, which must be there and not be polled already.
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Outcome,
    /// Drops the future, which must be there and not be polled, and stores `Cancelled`.
    pub(super) cancel: unsafe fn(NonNull<Header>) -> Outcome,
    /// Moves the output, which must be there, to an `Output<T>`.
    pub(super) take_output: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the output, which must be there. User code, which may panic.
    pub(super) drop_output: unsafe fn(NonNull<Header>),
    /// The error in the output, which must be there.
    pub(super) error: unsafe fn(NonNull<Header>) -> Option<NonNull<JoinError>>,
    /// The task's name.
    pub(super) name: unsafe fn(NonNull<Header>) -> Option<NonNull<Name>>,
    /// Frees the task. Neither future nor output are there any more.
    pub(super) dealloc: unsafe fn(NonNull<Header>),
}

pub(super) type Name = Cow<'static, str>;

/// A task's name, or the lack of one, which takes no memory.
pub(super) trait MaybeName: 'static {
    fn name(&self) -> Option<&Name>;
}

pub(super) struct Unnamed;

impl MaybeName for Unnamed {
    fn name(&self) -> Option<&Name> {
        None
    }
}

impl MaybeName for Name {
    fn name(&self) -> Option<&Name> {
        Some(self)
    }
}

/// Invariant: a pointer to a task is a pointer to its header.
#[repr(C)]
struct Task<F: Future, N> {
    header: Header,
    name: N,
    stage: Stage<F>,
}

/// The future until it is finished, then the output until it is taken, then nothing.
///
/// `State::FINISHED` and `State::OUTPUT` tell which of them is there. Invariant: a pointer to this
/// is a pointer to either.
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<Output<F::Output>>,
}

/// Makes a task. The caller says with `state` who refers to it besides the result.
pub(super) fn allocate<F, N>(
    future: F,
    name: N,
    state: State,
    inbox: *const Inbox,
    location: &'static Location<'static>,
) -> TaskRef
where
    F: Future + 'static,
    N: MaybeName,
{
    let layout = Layout::new::<Task<F, N>>();
    // SAFETY: a task is at least as large as its header.
    let Some(task) = NonNull::new(unsafe { alloc(layout) }) else {
        handle_alloc_error(layout)
    };
    let task = task.cast::<Task<F, N>>();
    let header = Header::new(const { &vtable::<F, N>() }, state, inbox, location);
    let stage = Stage {
        future: ManuallyDrop::new(future),
    };
    // SAFETY: the allocation has this layout and is ours.
    unsafe {
        task.write(Task {
            header,
            name,
            stage,
        })
    };
    // SAFETY: the pointer is that of the allocation, and `Header::new` counts one reference.
    unsafe { TaskRef::adopt(task.cast()) }
}

const fn vtable<F, N>() -> Vtable
where
    F: Future + 'static,
    N: MaybeName,
{
    Vtable {
        poll: poll::<F, N>,
        cancel: cancel::<F, N>,
        take_output: take_output::<F, N>,
        drop_output: drop_output::<F, N>,
        error: error::<F, N>,
        name: name::<F, N>,
        dealloc: dealloc_task::<F, N>,
    }
}

/// # Safety
///
/// `task` is alive and was allocated with these types.
unsafe fn stage<F: Future, N>(task: NonNull<Header>) -> *mut Stage<F> {
    let task = task.cast::<Task<F, N>>().as_ptr();
    // SAFETY: the field is inside the allocation.
    unsafe { &raw mut (*task).stage }
}

/// # Safety
///
/// See [`Vtable::poll`].
unsafe fn poll<F: Future, N>(task: NonNull<Header>, cx: &mut Context<'_>) -> Outcome {
    // SAFETY: the vtable belongs to the task.
    let stage = unsafe { stage::<F, N>(task) };
    // SAFETY: the future is there, and `State::RUNNING` keeps all other code away from it.
    let future = unsafe { &mut *stage.cast::<F>() };
    // SAFETY: it stays where it is until it is dropped in place.
    let future = unsafe { Pin::new_unchecked(future) };
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(Poll::Pending) => Outcome::Pending,
        Ok(Poll::Ready(output)) => {
            // SAFETY: the future is there, and is not touched again.
            match unsafe { drop_future(stage) } {
                // SAFETY: the future is gone.
                Ok(()) => unsafe { store(stage, Ok(output)) },
                Err(payload) => {
                    swallow(|| drop(output));
                    // SAFETY: as above.
                    unsafe { store(stage, Err(JoinError::panicked(payload))) }
                }
            }
        }
        Err(payload) => {
            // SAFETY: as above.
            if let Err(second) = unsafe { drop_future(stage) } {
                swallow(|| drop(second));
            }
            // SAFETY: as above.
            unsafe { store(stage, Err(JoinError::panicked(payload))) }
        }
    }
}

/// # Safety
///
/// See [`Vtable::cancel`].
unsafe fn cancel<F: Future, N>(task: NonNull<Header>) -> Outcome {
    // SAFETY: the vtable belongs to the task.
    let stage = unsafe { stage::<F, N>(task) };
    // SAFETY: the future is there, and is not touched again.
    let error = match unsafe { drop_future(stage) } {
        Ok(()) => JoinError::cancelled(),
        Err(payload) => JoinError::panicked(payload),
    };
    // SAFETY: the future is gone.
    unsafe { store(stage, Err(error)) }
}

/// Drops the future and returns its panic.
///
/// # Safety
///
/// The future is there. It counts as dropped also when it panics.
unsafe fn drop_future<F: Future>(stage: *mut Stage<F>) -> Result<(), Box<dyn Any + Send>> {
    if !mem::needs_drop::<F>() {
        return Ok(());
    }
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller says that it is there, and does not touch it again.
        unsafe { ptr::drop_in_place(stage.cast::<F>()) };
    }))
}

/// # Safety
///
/// The future is gone and no output is there.
unsafe fn store<F: Future>(stage: *mut Stage<F>, output: Output<F::Output>) -> Outcome {
    let outcome = match &output {
        Err(error) if error.is_panic() => Outcome::Panicked,
        _ => Outcome::Finished,
    };
    // SAFETY: nothing is overwritten (see above).
    unsafe { stage.cast::<Output<F::Output>>().write(output) };
    outcome
}

/// # Safety
///
/// See [`Vtable::take_output`].
unsafe fn take_output<F: Future, N>(task: NonNull<Header>, to: *mut ()) {
    // SAFETY: the vtable belongs to the task.
    let stage = unsafe { stage::<F, N>(task) };
    // SAFETY: the output is there, `to` is of its type, and the caller marks it as taken.
    unsafe { ptr::copy_nonoverlapping(stage.cast::<Output<F::Output>>(), to.cast(), 1) };
}

/// # Safety
///
/// See [`Vtable::drop_output`].
unsafe fn drop_output<F: Future, N>(task: NonNull<Header>) {
    // SAFETY: the vtable belongs to the task.
    let stage = unsafe { stage::<F, N>(task) };
    // SAFETY: the output is there, and the caller has marked it as taken.
    unsafe { ptr::drop_in_place(stage.cast::<Output<F::Output>>()) };
}

/// # Safety
///
/// See [`Vtable::error`].
unsafe fn error<F: Future, N>(task: NonNull<Header>) -> Option<NonNull<JoinError>> {
    // SAFETY: the vtable belongs to the task.
    let stage = unsafe { stage::<F, N>(task) };
    // SAFETY: the output is there.
    let output = unsafe { &*stage.cast::<Output<F::Output>>() };
    output.as_ref().err().map(NonNull::from)
}

/// # Safety
///
/// See [`Vtable::name`].
unsafe fn name<F: Future, N: MaybeName>(task: NonNull<Header>) -> Option<NonNull<Name>> {
    let task = task.cast::<Task<F, N>>().as_ptr();
    // SAFETY: the task is alive, and its name never changes.
    let name = unsafe { &(*task).name };
    name.name().map(NonNull::from)
}

/// # Safety
///
/// See [`Vtable::dealloc`].
unsafe fn dealloc_task<F: Future, N>(task: NonNull<Header>) {
    let task = task.cast::<Task<F, N>>().as_ptr();
    // SAFETY: no reference to the task is left.
    unsafe { &mut (*task).header }.retire();
    // SAFETY: as above; a union drops nothing.
    unsafe { ptr::drop_in_place(task) };
    // SAFETY: it was allocated with this layout.
    unsafe { dealloc(task.cast(), Layout::new::<Task<F, N>>()) };
}
