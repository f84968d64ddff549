//! A value that changes, and receivers that see its latest state.
//!
//! A receiver waits for a change and then looks at the value. It sees the latest value and none of
//! those that were replaced meanwhile: this is for settings, states and progress. Where each value
//! counts, use [`broadcast`](super::broadcast) or [`mpsc`](super::mpsc).
//!
//! The value ends for the receivers when all senders are dropped: they have then seen its last
//! state, and go on to read it.
//!
//! # Borrows
//!
//! [`Receiver::borrow`] returns a `Ref` of std. It has to end before the task waits: a send while a
//! borrow is alive panics, as a `RefCell` does.

mod receiver;
mod sender;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::notify::Notify;
use crate::wait_note::WaitNote;

pub use receiver::Receiver;
pub use sender::Sender;

/// Returns the two sides of a value that begins as `value`, which the receiver has seen.
///
/// # Examples
///
/// ```
/// use annulus::{spawn, sync::watch};
///
/// annulus::run(async {
///     let (sender, mut receiver) = watch::channel("starting");
///     let task = spawn(async move {
///         let mut seen = vec![*receiver.borrow()];
///         while receiver.changed().await.is_ok() {
///             seen.push(*receiver.borrow_and_update());
///         }
///         seen
///     });
///     annulus::task::yield_now().await; // the task has its turn
///     sender.send("loading")?;
///     sender.send("ready")?; // before the task has seen the one before
///     drop(sender);
///     assert_eq!(task.await.unwrap(), ["starting", "ready"]);
///     Ok::<(), annulus::sync::mpsc::SendError<&str>>(())
/// })
/// # .unwrap();
/// ```
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        value: RefCell::new(value),
        version: Cell::new(0),
        sender_count: Cell::new(0),
        receiver_count: Cell::new(0),
        changed: Notify::noting(WaitNote::Watch),
        left: Notify::noting(WaitNote::ChannelEnd),
    });
    (Sender::new(&shared), Receiver::new(&shared, 0))
}

struct Shared<T> {
    value: RefCell<T>,
    /// Counts the changes.
    version: Cell<u64>,
    sender_count: Cell<usize>,
    receiver_count: Cell<usize>,
    /// Notified at each change, and when the last sender is dropped.
    changed: Notify,
    /// Notified when the last receiver is dropped.
    left: Notify,
}

/// Adds to a count of senders or receivers.
fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

/// Takes from a count of senders or receivers. Returns whether it was the last one.
fn remove(count: &Cell<usize>) -> bool {
    count.set(count.get() - 1);
    count.get() == 0
}
