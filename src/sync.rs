//! Channels, notifications and semaphores between the tasks of one thread.
//!
//! Nothing here is `Send`: tasks of one runtime never run at the same time, so these types use no
//! atomics and no locks. All of them serve waiting tasks in the order in which they came. Dropping
//! a future that waits loses nothing: a value stays in its channel, and a permit or a notification
//! goes to the next task in line. Only a dropped `send` drops the value that it was waiting to hand
//! over.
//!
//! These types need no runtime of this crate: they wake the task that waits, on any executor.
//!
//! # Several threads
//!
//! Between threads take channels that are `Send`, such as those of the crates `futures` and
//! `tokio`: a send on one thread wakes the task that waits on another.
//!
//! # A mutex
//!
//! There is no asynchronous mutex. No other task of the thread runs between two `await`s, so a
//! `Cell` or a `RefCell` is enough there. Where a task must be alone over an `await`, it holds the
//! only permit of a [`Semaphore`]. A guard of `std::sync::Mutex` must not be held that long: the
//! task that waits for it blocks the thread, and so the task that would unlock it.
//!
//! ```
//! use annulus::{net::UnixStream, sync::Semaphore};
//!
//! struct Connection {
//!     stream: UnixStream,
//!     turn: Semaphore, // made with one permit
//! }
//!
//! impl Connection {
//!     /// Sends a question and returns the answer to it, one task at a time.
//!     async fn ask(&self, question: String) -> std::io::Result<annulus::ManagedBuf> {
//!         let _turn = self.turn.acquire().await.expect("it is never closed");
//!         self.stream.write_all(question).await?;
//!         self.stream.recv().await
//!     }
//! }
//! # let _ = Connection::ask;
//! ```

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
