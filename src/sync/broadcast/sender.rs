//! [`Sender`]: the side that sends.

use std::{fmt, rc::Rc};

use super::{Receiver, Shared, Slot, SlowReceivers};
use crate::{
    budget,
    sync::{
        closed::Closed,
        mpsc::{SendError, TrySendError},
    },
    unwind,
};

/// The sending side of a broadcast channel. A clone sends to the same receivers.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(shared: &Rc<Shared<T>>) -> Sender<T> {
        shared.sender_count.set(shared.sender_count.get() + 1);
        Sender {
            shared: Rc::clone(shared),
        }
    }

    /// Sends a value to all receivers, and returns their number.
    ///
    /// With [`SlowReceivers::Wait`] it waits while the channel is full, in the order in which
    /// senders came.
    ///
    /// # Errors
    ///
    /// Gives the value back when there is no receiver. [`subscribe`](Sender::subscribe) may make one
    /// later.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has not sent its value, and drops it.
    pub async fn send(&self, value: T) -> Result<usize, SendError<T>> {
        match self.shared.slow_receivers {
            SlowReceivers::Skip => {
                if budget::is_spent() {
                    budget::turn().await;
                }
                budget::spend();
            }
            SlowReceivers::Wait => match self.shared.places.acquire().await {
                // Without a receiver the place is given back.
                Ok(place) if self.receiver_count() > 0 => place.forget(),
                Ok(_) | Err(Closed) => {}
            },
        }
        if self.receiver_count() == 0 {
            return Err(SendError(value));
        }
        Ok(self.push(value))
    }

    /// Sends a value to all receivers if that needs no waiting, and returns their number.
    ///
    /// # Errors
    ///
    /// Gives the value back, and says whether the channel is full or has no receiver. With
    /// [`SlowReceivers::Skip`] it is never full.
    pub fn try_send(&self, value: T) -> Result<usize, TrySendError<T>> {
        if self.receiver_count() == 0 {
            return Err(TrySendError::Closed(value));
        }
        match self.shared.slow_receivers {
            SlowReceivers::Skip => budget::spend(),
            SlowReceivers::Wait => match self.shared.places.try_acquire() {
                Some(place) => place.forget(),
                None => return Err(TrySendError::Full(value)),
            },
        }
        Ok(self.push(value))
    }

    /// Returns a new receiver, of the values that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.shared)
    }

    /// Returns the number of receivers.
    pub fn receiver_count(&self) -> usize {
        self.shared.receiver_count.get()
    }

    /// Returns the number of values that some receiver has not got.
    pub fn len(&self) -> usize {
        self.shared.ring.borrow().slots.len()
    }

    /// Whether all receivers have got all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a value into the ring. There is a receiver, and where senders wait there is a place.
    fn push(&self, value: T) -> usize {
        let receiver_count = self.receiver_count();
        let skipped = {
            let mut ring = self.shared.ring.borrow_mut();
            let is_full = ring.slots.len() == self.shared.capacity;
            let skipped = if is_full { ring.pop() } else { None };
            ring.slots.push_back(Slot {
                value: Some(value),
                receivers_left: receiver_count,
            });
            skipped
        };
        // The drop of a value is the user's code.
        unwind::then(|| self.shared.sent.notify_waiters(), || drop(skipped));
        receiver_count
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender::new(&self.shared)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let count = self.shared.sender_count.get() - 1;
        self.shared.sender_count.set(count);
        if count == 0 {
            self.shared.sent.notify_waiters();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("len", &self.len())
            .field("receiver_count", &self.receiver_count())
            .finish_non_exhaustive()
    }
}
