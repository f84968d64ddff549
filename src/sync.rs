//! Channels, notifications and semaphores between the tasks of one thread.
//!
//! Nothing here is `Send`: tasks of one runtime never run at the same time, so these types use no
//! atomics and no locks. All of them serve those who wait in the order in which they came, and
//! none loses what it holds when a waiting future is dropped: a value stays in its channel, and a
//! permit or a notification that was meant for it goes to the next in line. A value that a dropped
//! `send` was still waiting to hand over is dropped with it.
//!
//! They need no runtime. They wake the task that waits, whatever runs it.

// Wakers are user code: cloning, waking or dropping one may use the very object that holds it. They
// stay in `WakerSlot` and `Waiters`, which borrow nothing while they run one; and code that clones
// one in order to wait looks at the state again before it does.

mod closed;
pub mod mpsc;
mod notify;
pub mod oneshot;
mod semaphore;
mod semaphore_permit;
mod try_recv_error;
mod waiters;
mod waker_slot;

pub use closed::Closed;
pub use notify::{Notified, Notify};
pub use semaphore::{Acquire, Semaphore};
pub use semaphore_permit::{OwnedSemaphorePermit, SemaphorePermit};
pub use try_recv_error::TryRecvError;

pub(crate) use waiters::{Left, Place, Waiters};

#[cfg(test)]
mod tests;
