//! [`Receiver`]: the side that receives.

use std::{fmt, rc::Rc};

use super::{RecvError, Shared, TryRecvError};
use crate::{budget, unwind};

/// A receiving side of a broadcast channel, which gets each value that is sent after it was made.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The number of the value that is received next. Those before the first in the ring are
    /// missed.
    next: u64,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: &Rc<Shared<T>>) -> Receiver<T> {
        shared.receiver_count.set(shared.receiver_count.get() + 1);
        let next = shared.ring.borrow().end();
        Receiver {
            shared: Rc::clone(shared),
            next,
        }
    }

    /// Returns the number of values that this receiver can still get, without those that it has
    /// missed.
    pub fn len(&self) -> usize {
        let ring = self.shared.ring.borrow();
        usize::try_from(ring.end() - self.next.max(ring.first)).unwrap_or(usize::MAX)
    }

    /// Whether there is no value for this receiver.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a call would return at once.
    fn is_ready(&self) -> bool {
        self.shared.ring.borrow().end() != self.next || self.shared.sender_count.get() == 0
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] when values were missed, once; then the next value can be received.
    /// [`RecvError::Closed`] when all senders were dropped and no value is left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a value stays in the channel until it is returned.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        if budget::is_spent() && self.is_ready() {
            budget::turn().await;
        }
        loop {
            match self.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Lagged(count)) => return Err(RecvError::Lagged(count)),
                Err(TryRecvError::Closed) => return Err(RecvError::Closed),
                Err(TryRecvError::Empty) => self.shared.sent.notified().await,
            }
        }
    }

    /// Returns the next value if there is one, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether more may come, and how many were missed.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let (value, freed_count) = {
            let mut ring = self.shared.ring.borrow_mut();
            let missed_count = ring.first.saturating_sub(self.next);
            if missed_count > 0 {
                self.next = ring.first;
                return Err(TryRecvError::Lagged(missed_count));
            }
            if self.next == ring.end() {
                return Err(match self.shared.sender_count.get() {
                    0 => TryRecvError::Closed,
                    _ => TryRecvError::Empty,
                });
            }
            let slot = ring.slot(self.next);
            let value = match slot.receivers_left {
                1 => slot.value.take(),
                // A panic of it leaves all as it was.
                _ => slot.value.clone(),
            };
            slot.receivers_left -= 1;
            self.next += 1;
            (value, ring.pop_empty())
        };
        budget::spend();
        // It may wake a sender, whose panic must not cost the value.
        unwind::swallow(|| self.shared.free(freed_count));
        Ok(value.expect("a value stays until all receivers have got it"))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let (values, freed_count) = {
            let mut ring = self.shared.ring.borrow_mut();
            let mut values = Vec::new();
            for number in self.next.max(ring.first)..ring.end() {
                let slot = ring.slot(number);
                slot.receivers_left -= 1;
                if slot.receivers_left == 0 {
                    values.extend(slot.value.take());
                }
            }
            (values, ring.pop_empty())
        };
        let receiver_count = self.shared.receiver_count.get() - 1;
        self.shared.receiver_count.set(receiver_count);
        unwind::then(
            || self.shared.free(freed_count),
            || unwind::each(values, drop),
        );
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
