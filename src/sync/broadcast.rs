//! A channel whose every receiver gets every value.
//!
//! The channel holds at most its capacity. [`SlowReceivers`] says what a send does to a receiver
//! that has not kept pace with a full channel: it *skips* values, or the sender *waits*. A value is
//! cloned for each receiver but the last, which gets the value itself. A `clone` that uses the
//! channel of its own value panics. A receiver sees the values that are sent after it was made.

mod error;
mod receiver;
mod sender;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use super::{notify::Notify, semaphore::Semaphore};
use crate::{shrink, wait_note::WaitNote};

pub use error::{RecvError, TryRecvError};
pub use receiver::Receiver;
pub use sender::Sender;

/// How a full channel treats receivers that have not kept pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReceivers {
    /// The oldest value makes room for the new one. A receiver that has not got it skips it, and is
    /// told how many it has missed by [`RecvError::Lagged`]. Sending never waits, so that no
    /// receiver slows down the others. To cut a slow receiver off, end its task at that error.
    Skip,
    /// The sender waits until each receiver has got the oldest value. None misses a value, and all
    /// have the pace of the slowest. A receiver that is kept and not used stops the senders.
    Wait,
}

/// Returns the two sides of a channel that holds at most `capacity` values.
///
/// # Panics
///
/// When `capacity` is zero.
///
/// # Examples
///
/// ```
/// use annulus::sync::broadcast::{self, RecvError, SlowReceivers};
///
/// annulus::run(async {
///     let (sender, mut first) = broadcast::channel(2, SlowReceivers::Skip);
///     let mut second = sender.subscribe();
///     sender.send("a").await?;
///     assert_eq!(first.recv().await, Ok("a"));
///     sender.send("b").await?;
///     sender.send("c").await?; // takes the place of the first one
///     assert_eq!(first.recv().await, Ok("b"));
///     assert_eq!(second.recv().await, Err(RecvError::Lagged(1)));
///     assert_eq!(second.recv().await, Ok("b"));
///     drop(sender);
///     assert_eq!(second.recv().await, Ok("c"));
///     assert_eq!(second.recv().await, Err(RecvError::Closed));
///     Ok::<(), annulus::sync::mpsc::SendError<&str>>(())
/// })
/// # .unwrap();
/// ```
pub fn channel<T: Clone>(
    capacity: usize,
    slow_receivers: SlowReceivers,
) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity > 0,
        "expected a channel with room for a value, found a capacity of zero"
    );
    let shared = Rc::new(Shared {
        ring: RefCell::new(Ring {
            slots: VecDeque::new(),
            first: 0,
        }),
        capacity,
        slow_receivers,
        sender_count: Cell::new(0),
        receiver_count: Cell::new(0),
        places: Semaphore::new(capacity),
        sent: Notify::noting(WaitNote::Broadcast),
    });
    (Sender::new(&shared), Receiver::new(&shared))
}

struct Shared<T> {
    /// No user code runs while it is borrowed but `T::clone`.
    ring: RefCell<Ring<T>>,
    capacity: usize,
    slow_receivers: SlowReceivers,
    sender_count: Cell<usize>,
    receiver_count: Cell<usize>,
    /// A permit for each free slot, where senders wait. Never closed.
    places: Semaphore,
    /// Notified at each send, and when the last sender is dropped.
    sent: Notify,
}

/// The values that some receiver has not got, numbered in the order of sending.
struct Ring<T> {
    slots: VecDeque<Slot<T>>,
    /// The number of the first slot.
    first: u64,
}

struct Slot<T> {
    /// None when all receivers have got it.
    value: Option<T>,
    /// Receivers that have not got it. Those that skipped it are not counted any more when it is
    /// gone from the ring.
    receivers_left: usize,
}

impl<T> Ring<T> {
    /// The number of the value that is sent next.
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// The slot of the value with this number, which is in the ring.
    fn slot(&mut self, number: u64) -> &mut Slot<T> {
        let index = usize::try_from(number - self.first).expect("a ring fits into memory");
        &mut self.slots[index]
    }

    /// Takes the oldest slot out, for a new value.
    fn pop(&mut self) -> Option<Slot<T>> {
        let slot = self.slots.pop_front()?;
        self.first += 1;
        Some(slot)
    }

    /// Takes out the slots in front whose values all receivers have got. Returns their number.
    fn pop_empty(&mut self) -> usize {
        let before = self.slots.len();
        while self
            .slots
            .front()
            .is_some_and(|slot| slot.receivers_left == 0)
        {
            self.pop();
        }
        let count = before - self.slots.len();
        if count > 0 {
            shrink::queue(&mut self.slots);
        }
        count
    }
}

impl<T> Shared<T> {
    /// Gives places to the senders that wait for them.
    fn free(&self, count: usize) {
        if count > 0 && self.slow_receivers == SlowReceivers::Wait {
            self.places.add_permits(count);
        }
    }
}
