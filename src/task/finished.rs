//! The members of a set of tasks, and the list of those that have finished.
//!
//! Each task of a set has a member, which the task's join waker names. When the task finishes, the
//! waker puts the member at the end of the list and wakes the task that joins. The lists are links in
//! the members themselves, so that all of it costs one allocation for each task that is in the set at
//! the same time, and touches no memory that other threads use.

use std::{
    cell::Cell,
    mem::ManuallyDrop,
    rc::Rc,
    task::{Context, RawWaker, RawWakerVTable, Waker},
};

use super::JoinHandle;
use crate::unwind;

/// The members whose tasks have finished, in that order.
pub(super) struct Finished<T> {
    list: List<T>,
    /// Woken when a task finishes.
    worker: Cell<Option<Waker>>,
}

/// A task of a set, or room for one.
pub(super) struct Member<T> {
    pub(super) handle: Cell<Option<JoinHandle<T>>>,
    finished: Rc<Finished<T>>,
    /// The member behind this one in the one list in which it is, if any.
    next: Cell<Option<Rc<Member<T>>>>,
}

/// Members in a row.
pub(super) struct List<T> {
    first: Cell<Option<Rc<Member<T>>>>,
    last: Cell<Option<Rc<Member<T>>>>,
}

impl<T> List<T> {
    pub(super) const fn new() -> Self {
        Self {
            first: Cell::new(None),
            last: Cell::new(None),
        }
    }

    /// Adds a member that is in no list.
    pub(super) fn push(&self, member: Rc<Member<T>>) {
        match self.last.replace(Some(Rc::clone(&member))) {
            Some(last) => last.next.set(Some(member)),
            None => self.first.set(Some(member)),
        }
    }

    pub(super) fn pop(&self) -> Option<Rc<Member<T>>> {
        let member = self.first.take()?;
        let next = member.next.take();
        if next.is_none() {
            // It is this one, which the caller keeps.
            drop(self.last.take());
        }
        self.first.set(next);
        Some(member)
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        // One after the other: a long list that drops itself would need a long stack.
        while self.pop().is_some() {}
    }
}

impl<T> Finished<T> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            list: List::new(),
            worker: Cell::new(None),
        })
    }

    /// The next member whose task has finished.
    pub(super) fn pop(&self) -> Option<Rc<Member<T>>> {
        self.list.pop()
    }

    /// Has the context's task woken when a task finishes, and only this one. The caller looks again
    /// afterwards, since dropping and cloning wakers is the user's code.
    pub(super) fn register(&self, context: &Context<'_>) {
        let registered = self.worker.take();
        if registered
            .as_ref()
            .is_some_and(|registered| registered.will_wake(context.waker()))
        {
            return self.worker.set(registered);
        }
        let waker = context.waker().clone();
        let other = self.worker.replace(Some(waker));
        unwind::each([registered, other], drop);
    }

    fn wake(&self) {
        if let Some(worker) = self.worker.take() {
            worker.wake();
        }
    }
}

impl<T> Member<T> {
    /// A member without a task.
    pub(super) fn new(finished: &Rc<Finished<T>>) -> Rc<Self> {
        Rc::new(Self {
            handle: Cell::new(None),
            finished: Rc::clone(finished),
            next: Cell::new(None),
        })
    }

    /// Gives a task to this member, which has none. One that has finished already is in the list at
    /// once.
    pub(super) fn take_in(self: &Rc<Self>, handle: JoinHandle<T>) {
        let is_finished = handle.is_finished();
        let waker = (!is_finished).then(|| self.join_waker());
        let before = handle.replace_join_waker(waker);
        self.handle.set(Some(handle));
        // Waking and dropping wakers is the user's code, so this comes last.
        unwind::then(
            || {
                if is_finished {
                    self.finish();
                }
            },
            || drop(before),
        );
    }

    fn finish(self: &Rc<Self>) {
        self.finished.list.push(Rc::clone(self));
        self.finished.wake();
    }

    /// The waker that the member's task has for its end.
    ///
    /// It is no waker for others: it counts its references without an atomic. The task keeps it where
    /// only its owner's thread takes it, which is this one, and gives it to nobody.
    fn join_waker(self: &Rc<Self>) -> Waker {
        let raw = Rc::into_raw(Rc::clone(self));
        // SAFETY: the functions keep the contract of `RawWaker` for a counted reference, on one thread.
        // Others never have it: `JoinHandle::replace_join_waker` says why.
        unsafe { Waker::from_raw(RawWaker::new(raw.cast(), Self::VTABLE)) }
    }

    const VTABLE: &'static RawWakerVTable = &RawWakerVTable::new(
        Self::clone_waker,
        Self::wake,
        Self::wake_by_ref,
        Self::drop_waker,
    );

    /// # Safety
    ///
    /// `data` is that of a join waker, which keeps its reference, and this is its thread.
    unsafe fn borrowed(data: *const ()) -> ManuallyDrop<Rc<Self>> {
        // SAFETY: it came from `Rc::into_raw`, and the count is not given back.
        ManuallyDrop::new(unsafe { Rc::from_raw(data.cast()) })
    }

    unsafe fn clone_waker(data: *const ()) -> RawWaker {
        // SAFETY: as the contract of `RawWaker` says.
        let member = unsafe { Self::borrowed(data) };
        let clone = Rc::into_raw(Rc::clone(&member));
        RawWaker::new(clone.cast(), Self::VTABLE)
    }

    unsafe fn wake(data: *const ()) {
        // SAFETY: it came from `Rc::into_raw`, and this takes the waker's count over.
        let member = unsafe { Rc::from_raw(data.cast::<Self>()) };
        member.finish();
    }

    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: as the contract of `RawWaker` says.
        unsafe { Self::borrowed(data) }.finish();
    }

    unsafe fn drop_waker(data: *const ()) {
        // SAFETY: it came from `Rc::into_raw`, and this takes the waker's count over.
        drop(unsafe { Rc::from_raw(data.cast::<Self>()) });
    }
}
