//! A queue of values from many senders to one receiver.
//!
//! A channel made by [`channel`] holds at most its capacity: senders wait when it is full, in the
//! order in which they came, which slows them down to the receiver's pace. One made by
//! [`unbounded`] has no limit.
//!
//! The channel ends for the receiver when all senders are dropped and all values received, and for
//! the senders when the receiver is closed or dropped. Its memory is used again, so that steady
//! traffic allocates nothing; what a burst needed beyond 16 KiB is given back as the values are
//! received.

mod permit;
mod receiver;
mod send_error;
mod sender;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use super::{waiters::Waiters, waker_slot::WakerSlot};
use crate::{budget, shrink};

pub use permit::Permit;
pub use receiver::Receiver;
pub use send_error::{SendError, TrySendError};
pub use sender::{Reserve, Sender};

/// Returns the two sides of a channel that holds at most `capacity` values.
///
/// # Panics
///
/// When `capacity` is zero.
///
/// # Examples
///
/// ```
/// use annulus::{future::join, sync::mpsc};
///
/// annulus::run(async {
///     let (sender, mut receiver) = mpsc::channel(2);
///     let produce = async move {
///         for number in 0..10 {
///             sender.send(number).await?;
///         }
///         Ok::<(), mpsc::SendError<i32>>(())
///     };
///     let consume = async {
///         let mut sum = 0;
///         while let Some(number) = receiver.recv().await {
///             sum += number;
///         }
///         sum
///     };
///     assert_eq!(join(produce, consume).await, (Ok(()), 45));
/// });
/// ```
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity > 0,
        "expected a channel with room for a value, found a capacity of zero"
    );
    let channel = Rc::new(Channel {
        queue: RefCell::new(VecDeque::new()),
        capacity,
        reserved_count: Cell::new(0),
        sender_count: Cell::new(1),
        is_closed: Cell::new(false),
        receiver: WakerSlot::new(),
        waiters: Waiters::new(),
    });
    (Sender::new(Rc::clone(&channel)), Receiver::new(channel))
}

/// Returns the two sides of a channel without a limit.
///
/// Sending never waits, so that [`Sender::try_send`] fails only when the channel is closed. Nothing
/// slows down a sender that is faster than the receiver: use this where something else limits how
/// many values there can be.
///
/// # Examples
///
/// ```
/// use annulus::sync::mpsc;
///
/// let (sender, mut receiver) = mpsc::unbounded();
/// sender.try_send("one")?;
/// sender.try_send("two")?;
/// assert_eq!(receiver.try_recv(), Ok("one"));
/// # Ok::<(), mpsc::TrySendError<&str>>(())
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(usize::MAX)
}

/// The state that both sides share. No user code runs while the queue is borrowed, and none between
/// a change and what has to follow it.
struct Channel<T> {
    queue: RefCell<VecDeque<T>>,
    capacity: usize,
    /// Places in the queue that permits hold, and senders that were chosen.
    reserved_count: Cell<usize>,
    sender_count: Cell<usize>,
    /// The receiver takes no new values.
    is_closed: Cell<bool>,
    receiver: WakerSlot,
    /// Senders that wait for a place. No place is free while a sender waits.
    waiters: Waiters<Choice>,
}

/// Why a waiting sender was chosen.
#[derive(Clone, Copy)]
enum Choice {
    /// A place is reserved for it.
    Reserved,
    Closed,
}

/// A value on its way to the receiver. It goes back if a sender's waker panics.
struct Taken<'a, T> {
    value: Option<T>,
    channel: &'a Channel<T>,
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.channel.queue.borrow_mut().push_front(value);
        }
    }
}

impl<T> Channel<T> {
    fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Whether a value can be sent now without overtaking a sender that waits.
    fn has_room(&self) -> bool {
        self.waiters.is_empty() && self.has_place()
    }

    /// Whether a place is free.
    fn has_place(&self) -> bool {
        self.len() + self.reserved_count.get() < self.capacity
    }

    fn push(&self, value: T) {
        budget::spend();
        self.queue.borrow_mut().push_back(value);
        self.receiver.wake();
    }

    fn pop(&self) -> Option<T> {
        let value = {
            let mut queue = self.queue.borrow_mut();
            let value = queue.pop_front()?;
            shrink::queue(&mut queue);
            value
        };
        budget::spend();
        if self.waiters.is_empty() {
            return Some(value);
        }
        let mut taken = Taken {
            value: Some(value),
            channel: self,
        };
        self.pass_on_place();
        taken.value.take()
    }

    /// Gives a place that has just become free to the sender that has waited longest.
    ///
    /// There is one place too few where a value went back.
    fn pass_on_place(&self) {
        if !self.has_place() {
            return;
        }
        if let Some(waker) = self.waiters.choose_first(Choice::Reserved) {
            self.reserved_count.set(self.reserved_count.get() + 1);
            waker.wake();
        }
    }

    /// Gives up a reserved place without passing it on.
    fn unreserve(&self) {
        self.reserved_count.set(self.reserved_count.get() - 1);
    }

    fn close(&self) {
        self.is_closed.set(true);
        self.waiters.wake_all(Choice::Closed);
    }

    /// Whether nothing can be sent any more.
    fn has_ended(&self) -> bool {
        self.is_closed.get() || self.sender_count.get() == 0
    }
}
