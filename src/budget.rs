//! The budget of operations that one poll of a task may complete.
//!
//! A task that finds everything ready has no reason to return from its poll: it receives, sends and
//! takes from its channels as long as there is something, and meanwhile the other tasks of its
//! thread wait. So the runtime gives each poll of a task a number of operations ([`refill`]), and
//! each operation that is done takes one ([`spend`]). When none is left, the next one that *would
//! be done at once* returns `Pending` and wakes its task, which then queues behind the other ready
//! ones.
//!
//! An operation is put off once only ([`PutOff`]). So it goes on at the next poll, however much the
//! future in front of it in a `race` or a `select!` uses up, and an executor inside of a task makes
//! progress. Nothing is put off that has waited already, and nothing is taken, begun or given up
//! before: putting off changes no more than the time. Writes, which are begun by their first poll,
//! are put off when they are done.
//!
//! Outside of a runtime ([`Inside`]) there is no limit. Calls that cannot wait, such as `try_send`,
//! take one operation and are never refused.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Operations of one poll. See `docs/limits.md`.
const OPERATIONS_PER_POLL: isize = 64;

/// Yields of a thread's tasks that count as much as all operations of a poll. Each stands for some
/// computing, of which only the task knows how long it takes.
const YIELDS_PER_POLL: usize = 16;

/// More than any thread does.
const UNLIMITED: isize = isize::MAX;

// A constant without a destructor: reading it costs one instruction.
thread_local! {
    /// Below 0 when calls that are not limited were more than the rest.
    static LEFT: Cell<isize> = const { Cell::new(UNLIMITED) };
    static YIELDS: Cell<usize> = const { Cell::new(0) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a runtime, with a limit or without.
pub(crate) fn is_inside() -> bool {
    INSIDE.get()
}

/// Notes that this thread is inside a runtime, until it is dropped.
pub(crate) struct Inside(bool);

impl Inside {
    pub(crate) fn enter() -> Self {
        Self(INSIDE.replace(true))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        lift();
        INSIDE.set(self.0);
    }
}

/// Begins a poll of a task.
#[inline]
pub(crate) fn refill() {
    LEFT.set(OPERATIONS_PER_POLL);
}

/// Ends the polls of tasks: there is no limit until the next [`refill`].
fn lift() {
    LEFT.set(UNLIMITED);
}

/// Counts an operation that is done.
#[inline]
pub(crate) fn spend() {
    LEFT.set(LEFT.get().wrapping_sub(1));
}

/// Whether there is no operation left in this poll.
#[inline]
pub(crate) fn is_spent() -> bool {
    LEFT.get() <= 0
}

/// Whether this is a poll of a task of a runtime, and not one without a limit.
fn is_limited() -> bool {
    LEFT.get() <= OPERATIONS_PER_POLL
}

/// Polls one of several futures within one task with operations of its own. They count for the
/// task, too.
pub(crate) fn each<R>(poll: impl FnOnce() -> R) -> R {
    let before = LEFT.replace(OPERATIONS_PER_POLL);
    let result = poll();
    let spent = OPERATIONS_PER_POLL.wrapping_sub(LEFT.get());
    LEFT.set(before.saturating_sub(spent));
    result
}

/// Leaves no operation in this poll, for a task that has done much otherwise and wakes itself:
/// those who wait for the kernel come before it.
pub(crate) fn exhaust() {
    if is_limited() {
        LEFT.set(0);
    }
}

/// Counts a task that yields by itself.
#[inline]
pub(crate) fn count_yield() {
    let yields = YIELDS.get() + 1;
    YIELDS.set(yields % YIELDS_PER_POLL);
    if yields == YIELDS_PER_POLL {
        exhaust();
    }
}

/// Calls without a limit.
pub(crate) fn unlimited<R>(call: impl FnOnce() -> R) -> R {
    struct Restore(isize);

    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }

    let _restore = Restore(LEFT.replace(UNLIMITED));
    call()
}

/// Whether an operation was put off.
#[derive(Debug, Default)]
pub(crate) struct PutOff(bool);

impl PutOff {
    pub(crate) const fn new() -> Self {
        Self(false)
    }

    /// Whether an operation, which would be done at once, has to return `Pending`: its task is
    /// woken then. It is not told so twice in a row.
    #[inline]
    pub(crate) fn waits(&mut self, context: &Context<'_>) -> bool {
        is_spent() && self.begin_or_end(context)
    }

    #[cold]
    fn begin_or_end(&mut self, context: &Context<'_>) -> bool {
        self.0 = !self.0;
        if self.0 {
            context.waker().wake_by_ref();
        } else {
            // For this operation, and for what it consists of.
            LEFT.set(1);
        }
        self.0
    }
}

/// Waits for the next poll if there is no operation left in this one, and counts one.
pub(crate) fn turn() -> Turn {
    Turn(PutOff::new())
}

/// The future of [`turn`].
#[must_use = "a future does nothing unless it is awaited"]
pub(crate) struct Turn(PutOff);

impl Future for Turn {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.waits(context) {
            return Poll::Pending;
        }
        spend();
        Poll::Ready(())
    }
}
