//! Tasks: futures that run on their own, on the thread that spawned them.
//!
//! [`spawn`] starts one and returns its [`JoinHandle`]; a [`JoinSet`] holds a group of them. A task
//! stays on its thread, so its future need not be `Send`. Each task catches its own panic, which
//! its join handle returns.
//!
//! # Fairness
//!
//! Tasks that are ready have their turns in the order in which they became so. A turn is one poll,
//! and lasts until the task waits for something. A task that finds everything ready must not keep
//! its thread from the others. So a poll has 64 *operations*: a receive, send, accept or connect of
//! a socket, a read of a file, a value taken from or put into a channel, a permit of a semaphore, a
//! wait of a `Notify`, a timer that ends, a step of an [`io::Reader`](crate::io::Reader), a piece
//! of an HTTP body. When all are used, the next one that would be done at once waits for the next
//! poll, after the other ready tasks and after a visit to the kernel.
//!
//! ```
//! use annulus::{sync::mpsc, task};
//!
//! annulus::run(async {
//!     let (sender, mut receiver) = mpsc::unbounded();
//!     for number in 0..1000 {
//!         sender.try_send(number).unwrap();
//!     }
//!     let other = task::spawn(async { "has its turn" });
//!     while !other.is_finished() {
//!         receiver.recv().await; // ready each time
//!     }
//!     assert!(receiver.len() > 800);
//! });
//! ```
//!
//! - An operation is put off once and then goes on, also in a `race`, a `select!` or a timeout.
//!   Dropped meanwhile it loses nothing, as at any other moment. It keeps its place where it has
//!   one.
//! - So `Pending` means *not yet* or *not now*. To learn what is there, use the calls that never
//!   wait, as [`try_recv`](crate::sync::mpsc::Receiver::try_recv). They are counted, and not
//!   limited.
//! - A computation is not interrupted before its next `await`. [`yield_now`] gives the others a
//!   turn in between, and [`blocking::run`](crate::blocking::run) moves a computation to a helper
//!   thread.
//! - [`unconstrained`] polls a future without the limit. There is none outside of a runtime either.

// # How tasks are kept
//
// A task is one allocation: a header (`header.rs`), and behind it the future, in whose place the
// output is stored when it has finished (`raw.rs`). The *owner* of a task is the `Scheduler` that
// spawned it, on the thread on which that was made. The owner runs it, and only the owner's thread
// polls or drops the future and the output: `JoinHandle`, `AbortHandle` and `JoinSet` are not
// `Send`. Only a `Waker` travels to other threads, and so the references to a task are counted in
// two places:
//
// - `local`, a plain number. Handles, the ready queue and the scheduler use it, and wakers on the
//   owner's thread while the owner is *current* there (`current.rs`). A waker finds out by one
//   comparison: the inbox that its task names against the inbox of what is current. An inbox lives
//   as long as any task that names it, so its address is never taken for another's.
// - `word`, an atomic (`word.rs`): a signed count and the flags `QUEUED`, `WAKE` and `MERGED`.
//   Wakers use it everywhere else: on other threads, and on the owner's when another runtime or
//   none is current.
//
// The number of references is the sum of both. A waker may be cloned here and dropped there, so
// the count in the word may be below zero.
//
// The owner of an unfinished task need not know of that. When it has taken the task from the inbox
// it adds a *loan* to the word's count, and notes that in the task's state: references that are
// none, so that the count stays above zero while wakers are cloned here and dropped there, and no
// sleep is ended for them. The owner takes the loan back before the task is finished or merged.
//
// | state of the word | who may do what | what ends it |
// |---|---|---|
// | no flag | the owner changes `local`, others the word's count, which is 0 or more | a count below 0 or a wake elsewhere: *queued*; `local` falls to 0 or the owner closes: *merged*, or freed if the word is 0 too |
// | `QUEUED` | the same, and `inbox_next` belongs to the one who set the flag, then to the owner; no thread frees the task | the owner takes it from the inbox (`task_ref::settle`), adds the word's count to `local`, lends to the word if the task is unfinished, and schedules it if `WAKE` is set |
// | `MERGED` | `local` is 0 for ever; every thread, the owner's too, changes the word's count, and none queues the task any more | the count falls to 0: the thread that did that frees the task |
// | `MERGED` and `QUEUED` | as `MERGED`, but no thread frees it | the owner takes it from the inbox, or the one who set `QUEUED` finds the inbox closed; who of them clears the flag and finds the count 0 frees the task |
//
// A task is merged once, and only when it has finished or never will: so there is no future and no
// output in it that another thread might drop. A merged task may outlive its owner, so it has one
// strong count of the inbox; until then the owner's own count is enough, because the owner merges
// all of its tasks before it lets go of the inbox (`Scheduler::close_for_all`). It finds them in a
// list that goes through the headers, and which a task leaves when it is merged or freed.
//
// ## Why a load is enough
//
// An owner whose `local` falls to 0 frees the task without an atomic change if it reads 0 in the
// word, although it may read an old value. Call a change of the word *known* if what was read has
// it, and everything the owner did is known. No end of a reference is known without its making: in
// the word's order of changes it is the later one, and a reference that came back to the owner
// brought with it, by whatever sent it, all changes made before. So each reference adds 1 to the
// sum of `local` and the reading, or 0 if its end is known, and a sum of 0 says that all known
// references have ended. Now suppose that there is a reference all the same. It is unknown, so it
// was cloned by an unknown change from another one, and so on back to a known reference, which was
// still there when an unknown change was made with it. Its end came after that change and cannot be
// known without it, which contradicts that all known references have ended.
//
// ## Sleeping
//
// The inbox (`inbox.rs`) is one atomic word: a list of tasks, or *awake*, *asleep*, *closed*. The
// owner says that it is about to sleep by changing awake to asleep, which fails when something was
// posted, and the thread that replaces asleep by a task ends the sleep. So no wake is lost, and a
// sleep is ended once however many wakes there are.
//
// ## User code
//
// Futures, outputs, wakers of other kinds and the hook for panics may do anything a task may do:
// spawn, wake, abort, drop handles. Nothing is borrowed while they run, and a task that runs is in
// no queue: it is marked as scheduled, and queued when it is done.

mod abort_handle;
mod builder;
mod current;
mod finished;
mod future_box;
mod header;
mod inbox;
mod index_wakes;
mod join_error;
mod join_handle;
mod join_set;
mod local_key;
mod measure;
mod on_task_panic;
mod primitives;
mod pulse;
mod queue;
mod raw;
mod running;
mod scheduler;
mod scope;
mod task_ref;
mod tasks;
mod thread_bound;
#[cfg(feature = "tracing")]
mod traced;
mod unconstrained;
#[cfg(not(feature = "tracing"))]
mod untraced;
mod view;
mod waker;
mod word;
mod yield_now;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use std::{borrow::Cow, future::Future, panic::Location};

use header::State;
use raw::{MaybeName, Unnamed};
#[cfg(feature = "tracing")]
use traced::traced;
#[cfg(not(feature = "tracing"))]
use untraced::traced;

pub use abort_handle::AbortHandle;
pub use builder::Builder;
pub use join_error::JoinError;
pub use join_handle::JoinHandle;
pub use join_set::JoinSet;
pub use local_key::{AccessError, LocalKey, LocalScope};
pub use measure::{PollTimes, ThreadTimes};
pub use on_task_panic::{OnTaskPanic, TaskPanic};
pub use scheduler::TaskCounters;
pub use scope::{Scope, scope};
pub use thread_bound::ThreadBound;
pub use unconstrained::{Unconstrained, unconstrained};
pub use yield_now::{YieldNow, yield_now};

pub(crate) use current::leave;
pub(crate) use future_box::FutureBox;
pub(crate) use inbox::Unpark;
pub(crate) use index_wakes::IndexWakes;
#[cfg(all(test, loom))]
pub(crate) use loom_tests::LoomUnpark;
pub(crate) use measure::Measure;
pub(crate) use pulse::{Beat, Note, Pulse};

pub(crate) use tasks::{SystemSpawner, Tasks};
pub(crate) use view::{Activity, TaskId, TaskView};
pub(crate) use waker::wake_all;

/// Starts a task on this thread's runtime and returns its handle.
///
/// The task runs whether the handle is awaited, kept or dropped. Its first turn comes when the code
/// that runs now waits for something. The place of the call is kept for reports.
///
/// While the runtime ends, which it does by dropping the futures of its tasks, a task that is
/// spawned by a destructor never runs: its future is dropped as well, and its handle returns that
/// it was cancelled. So are those that this one's destructor spawns, and so on; after a thousand of
/// them the runtime takes the chain to be endless and leaks the futures of further ones.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// annulus::run(async {
///     let handle = annulus::task::spawn(async { "hello" });
///     assert_eq!(handle.await?, "hello");
///     Ok::<(), annulus::task::JoinError>(())
/// })
/// # .unwrap();
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    spawn_as(future, Unnamed, Location::caller())
}

/// As [`spawn`], for code that spawns what was asked for at `location`.
pub(crate) fn spawn_at<F>(future: F, location: &'static Location<'static>) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    spawn_as(future, Unnamed, location)
}

/// Returns the name of the running task, or `None` if it has no name or no task is running.
///
/// A name that was given as a `String` is copied.
pub fn name() -> Option<Cow<'static, str>> {
    current::get()?.running()?.name().cloned()
}

/// Returns the place where the running task was spawned.
pub fn location() -> Option<&'static Location<'static>> {
    Some(current::get()?.running()?.location)
}

/// How many tasks this thread's runtime had; none outside one.
pub(crate) fn counters() -> TaskCounters {
    current::get()
        .map(|scheduler| scheduler.counters())
        .unwrap_or_default()
}

/// Reads the measures of this thread's runtime; none outside one, and unless they were asked for.
pub(crate) fn measured<R>(read: impl FnOnce(&Measure) -> R) -> Option<R> {
    current::get()?.measure().map(read)
}

/// The tasks of this thread's runtime; none outside one.
pub(crate) fn views() -> Vec<TaskView> {
    current::get()
        .map(|scheduler| scheduler.views())
        .unwrap_or_default()
}

#[track_caller]
fn spawn_as<F, N>(future: F, name: N, location: &'static Location<'static>) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    N: MaybeName,
{
    let Some(scheduler) = current::get() else {
        panic!("a task can only be spawned inside a runtime, and none is running on this thread");
    };
    let task = scheduler.spawn(future, name, State::JOINABLE, location);
    // SAFETY: the task was made from this future, as joinable, and this is its only handle.
    unsafe { JoinHandle::new(task) }
}
