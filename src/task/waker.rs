//! The waker of a task: a reference that may travel to other threads.
//!
//! On the owner's thread, while the owner is current there, it touches plain memory only. Anywhere
//! else, and at any other time, it goes through the task's word.

use std::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull,
    task::{RawWaker, RawWakerVTable, Waker},
};

use super::{
    current,
    header::{self, Header},
    task_ref,
    task_ref::TaskRef,
};
use crate::unwind;

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

/// A waker of `task` without a reference of its own, for as long as `task` is there.
pub(super) struct BorrowedWaker<'a> {
    waker: ManuallyDrop<Waker>,
    _task: &'a TaskRef,
}

impl<'a> BorrowedWaker<'a> {
    pub(super) fn new(task: &'a TaskRef) -> Self {
        let raw = RawWaker::new(task.as_raw().as_ptr().cast(), &VTABLE);
        // SAFETY: the functions keep the contract of `RawWaker` for a counted reference; this one
        // is never given back, and the borrow keeps the task.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
        Self { waker, _task: task }
    }
}

impl Deref for BorrowedWaker<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.waker
    }
}

/// Wakes all of `wakers`, in their order, and takes them out. The panic of one goes on when all
/// were woken.
///
/// Many tasks are woken together after a sleep, and what is needed of each has left the caches by
/// then. So it is fetched while others are woken.
pub(crate) fn wake_all(wakers: &mut Vec<Waker>) {
    const AHEAD: usize = 4;
    let mut wakers = wakers.drain(..);
    let fetched = std::iter::from_fn(|| {
        let waker = wakers.next()?;
        if let Some(later) = wakers.as_slice().get(AHEAD) {
            header::prefetch(later.data());
        }
        Some(waker)
    });
    unwind::each(fetched, Waker::wake);
}

/// Whether this is the waker of a task, whose address is its data then.
pub(super) fn is_of_task(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &VTABLE)
}

/// The task of a waker.
///
/// # Safety
///
/// `data` is that of a waker made in this file.
unsafe fn task_of(data: *const ()) -> NonNull<Header> {
    // SAFETY: the pointer came from a `NonNull`.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

/// Whether this thread runs the tasks to which `task` belongs.
///
/// # Safety
///
/// The caller has a reference.
unsafe fn is_current(task: NonNull<Header>) -> bool {
    // SAFETY: the caller's reference keeps the task; `inbox` never changes.
    current::is(unsafe { task.as_ref() }.inbox)
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the data is that of a waker of this file.
    let task = unsafe { task_of(data) };
    // SAFETY: the waker is a reference.
    if unsafe { is_current(task) } {
        // SAFETY: this is the owner's thread, and the reference is only borrowed.
        let task = ManuallyDrop::new(unsafe { TaskRef::from_raw(task) });
        let _counted = TaskRef::clone(&task).into_raw();
    } else {
        // SAFETY: the waker is a reference.
        unsafe { task_ref::add(task) };
    }
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the data is that of a waker of this file.
    let task = unsafe { task_of(data) };
    // SAFETY: the waker is a reference.
    if unsafe { is_current(task) } {
        // SAFETY: this is the owner's thread, and the waker's reference is taken over.
        current::schedule(unsafe { TaskRef::from_raw(task) });
    } else {
        // SAFETY: the waker's reference is given back.
        unsafe { task_ref::wake_and_release(task) };
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the data is that of a waker of this file.
    let task = unsafe { task_of(data) };
    // SAFETY: the waker is a reference.
    if unsafe { is_current(task) } {
        // SAFETY: this is the owner's thread, and the reference is only borrowed.
        let task = ManuallyDrop::new(unsafe { TaskRef::from_raw(task) });
        current::schedule_by_ref(&task);
    } else {
        // SAFETY: the waker is a reference.
        unsafe { task_ref::wake(task) };
    }
}

unsafe fn release(data: *const ()) {
    // SAFETY: the data is that of a waker of this file.
    let task = unsafe { task_of(data) };
    // SAFETY: the waker is a reference.
    if unsafe { is_current(task) } {
        // SAFETY: this is the owner's thread, and the waker's reference is taken over.
        drop(unsafe { TaskRef::from_raw(task) });
    } else {
        // SAFETY: the waker's reference is given back.
        unsafe { task_ref::release(task) };
    }
}
