//! [`Sender`]: the side that changes the value.

use std::{cell::Ref, fmt, mem, rc::Rc};

use super::{Receiver, Shared, add, remove};
use crate::{budget, sync::mpsc::SendError};

/// The side of a watched value that changes it. A clone changes the same value.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(shared: &Rc<Shared<T>>) -> Sender<T> {
        add(&shared.sender_count);
        Sender {
            shared: Rc::clone(shared),
        }
    }

    /// Replaces the value and wakes the receivers that wait for a change.
    ///
    /// # Errors
    ///
    /// Gives the value back when there is no receiver. [`send_replace`](Sender::send_replace) keeps
    /// it for receivers that come later.
    ///
    /// # Panics
    ///
    /// While the value is borrowed.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.receiver_count() == 0 {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Replaces the value, wakes the receivers that wait for a change, and returns the value
    /// before.
    ///
    /// # Panics
    ///
    /// While the value is borrowed.
    pub fn send_replace(&self, value: T) -> T {
        let before = mem::replace(&mut *self.shared.value.borrow_mut(), value);
        self.notify();
        before
    }

    /// Changes the value in place, and wakes the receivers that wait for a change.
    ///
    /// # Panics
    ///
    /// While the value is borrowed. A panic of `change` goes on, and the receivers are not woken.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(vec![1]);
    /// sender.send_modify(|numbers| numbers.push(2));
    /// assert_eq!(*receiver.borrow(), [1, 2]);
    /// assert_eq!(receiver.has_changed(), Ok(true));
    /// ```
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Calls `change` with the value, and wakes the receivers if it returns true. Returns what it
    /// returned.
    ///
    /// # Panics
    ///
    /// As [`send_modify`](Sender::send_modify).
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let is_modified = change(&mut self.shared.value.borrow_mut());
        if is_modified {
            self.notify();
        }
        is_modified
    }

    /// Returns a borrow of the value. It has to end before the next change.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// Returns a new receiver, which has seen the value as it is now.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.shared, self.shared.version.get())
    }

    /// Returns the number of receivers.
    pub fn receiver_count(&self) -> usize {
        self.shared.receiver_count.get()
    }

    /// Waits until there is no receiver. [`subscribe`](Sender::subscribe) may make one later.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub async fn closed(&self) {
        if self.receiver_count() == 0 {
            budget::turn().await;
        }
        while self.receiver_count() > 0 {
            self.shared.left.notified().await;
        }
    }

    fn notify(&self) {
        self.shared.version.set(self.shared.version.get() + 1);
        self.shared.changed.notify_waiters();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender::new(&self.shared)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if remove(&self.shared.sender_count) {
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("receiver_count", &self.receiver_count())
            .finish_non_exhaustive()
    }
}
