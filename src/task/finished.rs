//! The members of a set of tasks, and the list of those that have finished.
//!
//! Each task of a set has a member, which the task's join waker names. When the task finishes, the
//! waker puts the member at the end of the list and wakes the task that joins. Lists are links in
//! the members, the first member stands in the memory of the set itself, and members are used
//! again: a small set is one allocation. None of it is touched by other threads.
//!
//! # Who keeps what
//!
//! The members belong to [`Members`], which frees them when it is dropped. A task's join waker
//! names its member without keeping it. Invariant: it does so only while the task's handle is in
//! the member, since the handle takes the waker back when it is dropped. So handles leave their
//! members before these are freed.

use std::{
    cell::Cell,
    marker::PhantomData,
    ptr::NonNull,
    task::{Context, RawWaker, RawWakerVTable, Waker},
};

use super::{JoinHandle, raw::Output};
use crate::{shrink, unwind};

/// The members of a set. It allocates nothing until the first one.
pub(super) struct Members<T> {
    /// Invariant: from `Box::into_raw`, and this type's alone until it is dropped.
    core: Option<NonNull<Core<T>>>,
    _handles: PhantomData<JoinHandle<T>>,
}

/// All fields but the last are what the members share. Only shared references to it are made.
struct Core<T> {
    /// Members whose tasks have finished, in that order.
    finished: List<T>,
    /// Members without a task.
    free: List<T>,
    /// Woken when a task finishes.
    worker: Cell<Option<Waker>>,
    /// The members beside the first one, linked by `next_other`.
    others: Cell<Option<Link<T>>>,
    others_count: Cell<usize>,
    first: Member<T>,
}

/// A task of a set, or room for one.
struct Member<T> {
    handle: Cell<Option<JoinHandle<T>>>,
    core: NonNull<Core<T>>,
    /// The member behind this one in the one list in which it is, if any.
    next: Cell<Option<Link<T>>>,
    next_other: Cell<Option<Link<T>>>,
}

/// A member that is not freed yet, see the top of this file.
type Link<T> = NonNull<Member<T>>;

/// Members in a row.
struct List<T> {
    first: Cell<Option<Link<T>>>,
    last: Cell<Option<Link<T>>>,
}

impl<T> List<T> {
    const fn new() -> Self {
        Self {
            first: Cell::new(None),
            last: Cell::new(None),
        }
    }

    /// Adds a member that is in no list.
    #[inline]
    fn push(&self, member: Link<T>) {
        match self.last.replace(Some(member)) {
            // SAFETY: what is in a list is not freed.
            Some(last) => unsafe { last.as_ref() }.next.set(Some(member)),
            None => self.first.set(Some(member)),
        }
    }

    #[inline]
    fn pop(&self) -> Option<Link<T>> {
        let member = self.first.take()?;
        // SAFETY: what is in a list is not freed.
        let next = unsafe { member.as_ref() }.next.take();
        self.first.set(next);
        if next.is_none() {
            self.last.set(None);
        }
        Some(member)
    }
}

impl<T> Members<T> {
    pub(super) const fn new() -> Self {
        Self {
            core: None,
            _handles: PhantomData,
        }
    }

    fn core(&self) -> Option<&Core<T>> {
        // SAFETY: the invariant of the field.
        self.core.map(|core| unsafe { core.as_ref() })
    }

    /// The output of the task that has finished first, whose member is free from now on.
    #[inline]
    pub(super) fn pop(&self) -> Option<Output<T>> {
        let core = self.core()?;
        let member = core.finished.pop()?;
        // SAFETY: members are freed with the set, or when it is empty, which this one is in.
        let handle = unsafe { member.as_ref() }.handle.take();
        core.free.push(member);
        let output = handle.and_then(|mut handle| handle.take_output());
        Some(output.expect("a task of the set is in the list once, when it has finished"))
    }

    /// Registers the context's waker for the next task that finishes, in place of any other waker.
    /// The caller looks again afterwards, since dropping and cloning wakers is the user's code.
    #[inline]
    pub(super) fn register(&self, context: &Context<'_>) {
        let Some(core) = self.core() else { return };
        let registered = core.worker.take();
        if registered
            .as_ref()
            .is_some_and(|registered| registered.will_wake(context.waker()))
        {
            return core.worker.set(registered);
        }
        let waker = context.waker().clone();
        let other = core.worker.replace(Some(waker));
        unwind::each([registered, other], drop);
    }

    /// Calls `act` for the handle of each task.
    pub(super) fn for_each(&self, act: impl Fn(&JoinHandle<T>)) {
        let mut next = self.core().map(|core| NonNull::from(&core.first));
        let mut others = self.core().and_then(|core| core.others.get());
        while let Some(member) = next {
            // SAFETY: members are freed by a call of this type only.
            let member = unsafe { member.as_ref() };
            let handle = member.handle.take();
            if let Some(handle) = &handle {
                act(handle);
            }
            member.handle.set(handle);
            next = others;
            // SAFETY: as above.
            others = others.and_then(|other| unsafe { other.as_ref() }.next_other.get());
        }
    }

    /// How many members there are, beside the first.
    pub(super) fn others_count(&self) -> usize {
        self.core().map_or(0, |core| core.others_count.get())
    }

    /// Gives back the memory of many members, when none has a task.
    #[inline]
    pub(super) fn give_back(&mut self) {
        if shrink::is_large::<Member<T>>(self.others_count()) {
            let members = std::mem::replace(self, Self::new());
            // Only the waker of the task that has just joined the last one is left in it.
            unwind::swallow(|| drop(members));
        }
    }
}

impl<T: 'static> Members<T> {
    /// Takes a task in. One that has finished already is in the list at once.
    #[inline]
    pub(super) fn push(&mut self, handle: JoinHandle<T>) {
        let member = self.free_member();
        let is_finished = handle.is_finished();
        let waker = (!is_finished).then(|| join_waker(member));
        let before = handle.replace_join_waker(waker);
        // SAFETY: it was made or taken off a list above.
        unsafe { member.as_ref() }.handle.set(Some(handle));
        if is_finished || before.is_some() {
            // Waking and dropping wakers is the user's code, so this comes last.
            unwind::then(
                || {
                    if is_finished {
                        // SAFETY: as above.
                        unsafe { finish(member) };
                    }
                },
                || drop(before),
            );
        }
    }

    /// A member without a task, which is in no list.
    #[inline]
    fn free_member(&mut self) -> Link<T> {
        let Some(core) = self.core() else {
            return self.make_first();
        };
        core.free.pop().unwrap_or_else(|| {
            let other = Box::new(Member::new(NonNull::from(core)));
            other.next_other.set(core.others.get());
            let other = NonNull::from(Box::leak(other));
            core.others.set(Some(other));
            core.others_count.set(core.others_count.get() + 1);
            other
        })
    }

    fn make_first(&mut self) -> Link<T> {
        let core = Box::new(Core {
            finished: List::new(),
            free: List::new(),
            worker: Cell::new(None),
            others: Cell::new(None),
            others_count: Cell::new(0),
            first: Member::new(NonNull::dangling()),
        });
        let core = NonNull::from(Box::leak(core));
        // SAFETY: no other code has it yet.
        unsafe { (*core.as_ptr()).first.core = core };
        self.core = Some(core);
        // SAFETY: the invariant of the field.
        NonNull::from(unsafe { &core.as_ref().first })
    }
}

impl<T> Drop for Members<T> {
    fn drop(&mut self) {
        let Some(core) = self.core.take() else { return };
        // SAFETY: the invariant of the field.
        let shared = unsafe { core.as_ref() };
        let first_other = shared.others.take();
        let mut others = first_other;
        let mut next = Some(NonNull::from(&shared.first));
        // All handles first, with the join wakers of their tasks: that is the user's code, as an
        // output may be dropped.
        let members = std::iter::from_fn(|| {
            let member = next?;
            next = others;
            // SAFETY: none is freed before all handles are gone.
            others = others.and_then(|other| unsafe { other.as_ref() }.next_other.get());
            Some(member)
        });
        let free = || {
            let mut others = first_other;
            while let Some(other) = others {
                // SAFETY: it came from a box, and no handle and no list names it any more.
                let other = unsafe { Box::from_raw(other.as_ptr()) };
                others = other.next_other.get();
            }
            // SAFETY: as above. The worker's waker, which is dropped with it, is the user's code.
            drop(unsafe { Box::from_raw(core.as_ptr()) });
        };
        unwind::then(
            || {
                unwind::each(members, |member| {
                    // SAFETY: as above.
                    drop(unsafe { member.as_ref() }.handle.take());
                });
            },
            free,
        );
    }
}

impl<T> Member<T> {
    fn new(core: NonNull<Core<T>>) -> Self {
        Self {
            handle: Cell::new(None),
            core,
            next: Cell::new(None),
            next_other: Cell::new(None),
        }
    }
}

/// Puts a member whose task has finished into the list, and wakes the task that joins.
///
/// # Safety
///
/// The member is not freed, and in no list. It may be freed when this returns.
#[inline]
unsafe fn finish<T>(member: Link<T>) {
    // SAFETY: as the caller promises.
    let core = unsafe { member.as_ref() }.core;
    // SAFETY: the core is freed with the members, or after them.
    let core = unsafe { core.as_ref() };
    core.finished.push(member);
    let worker = core.worker.take();
    // From here on nothing is touched: waking is the user's code, which may drop the set.
    if let Some(worker) = worker {
        worker.wake();
    }
}

/// The waker that a member's task has for its end.
///
/// It is no waker for others, since it keeps nothing and knows one thread only. The task keeps it
/// where only its owner's thread takes it, which is this one, and does not give it away.
fn join_waker<T: 'static>(member: Link<T>) -> Waker {
    struct Table<T>(PhantomData<T>);

    impl<T: 'static> Table<T> {
        const TABLE: &'static RawWakerVTable =
            &RawWakerVTable::new(clone, wake::<T>, wake::<T>, |_| {});
    }

    unsafe fn clone(_data: *const ()) -> RawWaker {
        unreachable!("a join waker is not cloned")
    }

    unsafe fn wake<T>(data: *const ()) {
        // SAFETY: the pointer came from a `NonNull`.
        let member = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
        // SAFETY: the task's handle is in the member, which is therefore not freed and, as the task
        // finishes once, in no list.
        unsafe { finish::<T>(member) };
    }

    let raw = RawWaker::new(member.as_ptr().cast(), Table::<T>::TABLE);
    // SAFETY: it is woken at most once and never cloned, on this thread, while the member is there:
    // see `JoinHandle::replace_join_waker` and the top of this file.
    unsafe { Waker::from_raw(raw) }
}
