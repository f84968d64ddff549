//! A counted reference to a task, as the owner's thread holds it, and the rules for all others.

use std::{fmt, mem::ManuallyDrop, ops::Deref, process, ptr::NonNull};

use super::{
    current,
    header::{Header, State},
    inbox::{Inbox, Push},
    primitives::Arc,
    raw::Name,
    word::{LOAN, Next},
};

/// A reference on the owner's thread: the thread that made the [`super::Tasks`], whether these
/// are current on it or not, and also when they are gone.
pub(super) struct TaskRef {
    /// Invariant: alive, because this reference is counted.
    task: NonNull<Header>,
}

impl TaskRef {
    /// Takes over the first reference of a new task and makes it its own neighbour.
    ///
    /// # Safety
    ///
    /// `task` may be used for its whole allocation, its count is 1 and this thread is its owner.
    pub(super) unsafe fn adopt(task: NonNull<Header>) -> Self {
        let this = Self { task };
        this.previous.set(task);
        this.next.set(task);
        this
    }

    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// It is counted, no other code gives it back, and this thread is the task's owner.
    pub(super) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        Self { task }
    }

    /// Gives the reference out of hand without counting it down.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).task
    }

    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.task
    }

    /// Puts this task in front of `anchor`, which makes it the last one of the list that begins
    /// behind `anchor`. It is not in a list yet.
    pub(super) fn link_before(&self, anchor: &TaskRef) {
        let last = anchor.previous.replace(self.task);
        self.previous.set(last);
        self.next.set(anchor.task);
        // SAFETY: neighbours are alive, as every task leaves its list before it is freed.
        let last = unsafe { last.as_ref() };
        last.next.set(self.task);
    }

    fn unlink(&self) {
        // SAFETY: as in `link_before`.
        let previous = unsafe { self.previous.get().as_ref() };
        // SAFETY: as in `link_before`.
        let next = unsafe { self.next.get().as_ref() };
        previous.next.set(self.next.get());
        next.previous.set(self.previous.get());
        self.previous.set(self.task);
        self.next.set(self.task);
    }

    /// The task behind this one in the list, which goes round.
    pub(super) fn successor(&self) -> TaskRef {
        let next = ManuallyDrop::new(TaskRef {
            task: self.next.get(),
        });
        TaskRef::clone(&next)
    }

    /// Hands the owner's count over to the word, for ever, and takes the task out of its list.
    ///
    /// From here on the task keeps the inbox alive, and any thread may free it.
    pub(super) fn merge(&self) {
        if self.local.get() == 0 {
            return;
        }
        self.end_loan();
        self.unlink();
        // SAFETY: the pointer came from an `Arc`, which the owner still has.
        unsafe { Arc::increment_strong_count(self.inbox) };
        self.word.merge(self.local.replace(0));
    }

    /// Marks the task as finished: its output is there, and its future is not.
    #[inline]
    pub(super) fn set_finished(&self) {
        self.end_loan();
        self.set_state(
            self.state()
                .without(State::RUNNING.with(State::SCHEDULED))
                .with(State::FINISHED.with(State::OUTPUT)),
        );
    }

    /// Takes back the references that [`settle`] has lent. From here on each reference that is
    /// dropped elsewhere sends a note to the owner.
    #[inline]
    fn end_loan(&self) {
        let state = self.state();
        if state.has(State::LENT) {
            self.set_state(state.without(State::LENT));
            add_local(self, self.word.take_count() - LOAN);
        }
    }

    /// Asks for the task's future to be dropped at the task's next turn.
    pub(super) fn abort(&self) {
        let state = self.state();
        if state.has(State::FINISHED) {
            return;
        }
        self.set_state(state.with(State::ABORTED));
        if current::is(self.inbox) {
            current::schedule_by_ref(self);
        } else {
            // SAFETY: this is a reference.
            unsafe { wake(self.task) };
        }
    }

    pub(super) fn name(&self) -> Option<&Name> {
        let name = self.vtable.name;
        // SAFETY: the vtable belongs to the task, which is alive.
        let name = unsafe { name(self.task) };
        // SAFETY: the name lives as long as the task and never changes.
        name.map(|name| unsafe { name.as_ref() })
    }

    /// Adds what all handles show of their task.
    pub(super) fn describe<'a, 'b, 'f>(
        &self,
        debug: &'b mut fmt::DebugStruct<'a, 'f>,
    ) -> &'b mut fmt::DebugStruct<'a, 'f> {
        debug
            .field("name", &self.name())
            .field("location", &format_args!("{}", self.location))
            .field("is_finished", &self.state().has(State::FINISHED))
    }

    /// The rest of `drop`: the owner's side has this reference only, or is merged.
    #[inline(never)]
    fn release_last(&mut self) {
        if self.local.get() == 1 {
            if self.word.is_even() {
                self.unlink();
                let dealloc = self.vtable.dealloc;
                // SAFETY: no reference is left (see "Why a load is enough" in `super`).
                unsafe { dealloc(self.task) };
                return;
            }
            self.merge();
        }
        // SAFETY: the task is merged, so that this reference is counted in the word.
        unsafe { release(self.task) };
    }
}

impl Deref for TaskRef {
    type Target = Header;

    fn deref(&self) -> &Header {
        // SAFETY: the invariant of `task`.
        unsafe { self.task.as_ref() }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        match self.local.get() {
            0 => self.word.add(),
            u32::MAX => process::abort(), // four billion forgotten wakers
            local => self.local.set(local + 1),
        }
        Self { task: self.task }
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let local = self.local.get();
        if local > 1 {
            self.local.set(local - 1);
        } else {
            self.release_last();
        }
    }
}

/// Counts one reference more, on any thread.
///
/// # Safety
///
/// The caller has a reference.
pub(super) unsafe fn add(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the task alive.
    unsafe { task.as_ref() }.word.add();
}

/// Gives a reference back, on any thread.
///
/// # Safety
///
/// The caller has a reference and does not use it again.
pub(super) unsafe fn release(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the task alive until it is counted down.
    let next = unsafe { task.as_ref() }.word.release();
    // SAFETY: `next` is what the change demands.
    unsafe { proceed(task, next) };
}

/// Asks the owner to schedule the task, on any thread.
///
/// # Safety
///
/// The caller has a reference.
pub(super) unsafe fn wake(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the task alive.
    let next = unsafe { task.as_ref() }.word.wake();
    // SAFETY: `next` is what the change demands.
    unsafe { proceed(task, next) };
}

/// Asks the owner to schedule the task and gives a reference back, on any thread.
///
/// # Safety
///
/// The caller has a reference and does not use it again.
pub(super) unsafe fn wake_and_release(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the task alive until it is counted down.
    let next = unsafe { task.as_ref() }.word.wake_and_release();
    // SAFETY: `next` is what the change demands.
    unsafe { proceed(task, next) };
}

/// Takes a task that came out of the inbox. Returns it if it was woken.
///
/// # Safety
///
/// This thread is the owner, and just took `task` out of its inbox.
pub(super) unsafe fn settle(task: NonNull<Header>) -> Option<TaskRef> {
    // SAFETY: `QUEUED` keeps the task alive.
    let header = unsafe { task.as_ref() };
    let local = header.local.get();
    if local == 0 {
        let next = header.word.unqueue();
        // SAFETY: `next` is what the change demands.
        unsafe { proceed(task, next) };
        return None;
    }
    let before = header.state();
    // Other threads have wakers of this task, and may drop others like them again and again.
    if !before.has(State::FINISHED) {
        header.set_state(before.with(State::LENT));
    }
    let taken = header.word.take(loan_of(header.state()));
    // One more, for the reference that is made below.
    add_local(header, taken.count() - loan_of(before) + 1);
    // SAFETY: it was counted above.
    let task = unsafe { TaskRef::from_raw(task) };
    taken.is_woken().then_some(task)
}

/// The references in the word's count that are none.
fn loan_of(state: State) -> i64 {
    if state.has(State::LENT) { LOAN } else { 0 }
}

/// Adds references to the owner's count that were counted in the word.
fn add_local(header: &Header, count: i64) {
    match u32::try_from(i64::from(header.local.get()) + count) {
        Ok(sum) => header.local.set(sum),
        Err(_) => process::abort(), // four billion forgotten wakers
    }
}

/// Does what a change of the word demands.
///
/// # Safety
///
/// `next` is the result of that change, which the caller has just made.
unsafe fn proceed(task: NonNull<Header>, next: Next) {
    match next {
        Next::Nothing => {}
        // SAFETY: the change set `QUEUED`.
        Next::Push => unsafe { post(task) },
        // SAFETY: the change gave back the last reference.
        Next::Free => unsafe { free_merged(task) },
    }
}

/// Posts the task to its owner.
///
/// # Safety
///
/// The caller has just set `QUEUED`.
unsafe fn post(task: NonNull<Header>) {
    // SAFETY: `QUEUED` keeps the task alive.
    let inbox = unsafe { task.as_ref() }.inbox;
    // SAFETY: the caller has just set `QUEUED`.
    let push = unsafe { Inbox::push(inbox, task) };
    if push == Push::Closed {
        // The owner has merged the task or is about to, and will not look at the inbox again.
        // SAFETY: `QUEUED` still keeps the task alive.
        let next = unsafe { task.as_ref() }.word.unqueue();
        if next == Next::Free {
            // SAFETY: the change ended the last thing that kept the task alive.
            unsafe { free_merged(task) };
        }
    }
}

/// Frees a merged task and gives back its count of the inbox.
///
/// # Safety
///
/// The caller's change of the word left no reference.
unsafe fn free_merged(task: NonNull<Header>) {
    // SAFETY: the caller is the only one left.
    let header = unsafe { task.as_ref() };
    let inbox = header.inbox;
    let dealloc = header.vtable.dealloc;
    // SAFETY: as above.
    unsafe { dealloc(task) };
    // SAFETY: `TaskRef::merge` took this count.
    unsafe { Arc::decrement_strong_count(inbox) };
}
