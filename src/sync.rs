//! Channels, locks and notifications between the tasks of one thread.
//!
//! | To | Use |
//! |---|---|
//! | pass values to one task | [`mpsc`], and [`oneshot`] for a single value |
//! | share work among tasks, and wait until it is done | [`Queue`] |
//! | show the latest state to many tasks | [`watch`] |
//! | pass each value to many tasks | [`broadcast`] |
//! | hold a value over an `await` | [`Mutex`], [`RwLock`] |
//! | limit how many tasks do something | [`Semaphore`] |
//! | make a value once, by a future | [`OnceCell`] |
//! | have tasks wait for each other | [`Barrier`] |
//! | wake tasks without a value | [`Notify`] |
//! | tell tasks to stop | [`CancellationToken`] |
//!
//! Nothing here but [`remote`] is `Send`: tasks of one runtime never run at the same time, so these
//! types use no atomics and no locks. All of them serve waiting tasks in the order in which they
//! came. Dropping a future that waits loses nothing: a value stays in its channel, and a permit or
//! a notification goes to the next task in line. Only a dropped `send` drops the value that it was
//! waiting to hand over.
//!
//! These types need no runtime of this crate: they wake the task that waits, on any executor.
//!
//! # Several threads
//!
//! The channels of [`remote`] pass values between threads, where each end may be a task or a plain
//! thread. The locks, channels and notifications of `tokio::sync` (feature `sync` of the crate),
//! and the channels of `flume`, `async-channel` and `futures`, work here as they are: a send on one
//! thread wakes the task that waits on another. `tokio::sync::watch` and `broadcast` are the ones
//! to take between threads.
//!
//! # A mutex
//!
//! No other task of the thread runs between two `await`s, so a `Cell` or a `RefCell` is enough
//! there. Where a task must be alone over an `await`, it holds the guard of a [`Mutex`]. A guard of
//! `std::sync::Mutex` must not be held that long: the task that waits for it blocks the thread, and
//! so the task that would unlock it.

// Wakers are user code: cloning, waking or dropping one may use the very object that holds it. They
// stay in `WakerSlot` and `Waiters`, which borrow nothing while they run one; and code that clones
// one in order to wait looks at the state again before it does.

mod barrier;
pub mod broadcast;
mod cancellation_token;
mod closed;
pub mod mpsc;
mod mutex;
mod notify;
mod once_cell;
pub mod oneshot;
mod queue;
pub mod remote;
mod rw_lock;
mod semaphore;
mod semaphore_permit;
mod try_recv_error;
mod waiters;
mod waker_slot;
pub mod watch;

pub use barrier::{Barrier, BarrierWait, BarrierWaitResult};
pub use cancellation_token::{CancellationToken, DropGuard};
pub use closed::Closed;
pub use mutex::{Mutex, MutexGuard};
pub use notify::{Notified, Notify};
pub use once_cell::OnceCell;
pub use queue::{Join, Queue, TaskDone};
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Acquire, Semaphore};
pub use semaphore_permit::{OwnedSemaphorePermit, SemaphorePermit};
pub use try_recv_error::TryRecvError;

pub(crate) use waiters::{Left, Place, Waiters};

#[cfg(all(test, not(loom)))]
mod tests;
