//! [`Receiver`]: the side that sees the value.

use std::{cell::Ref, fmt, rc::Rc};

use super::{Shared, add, remove};
use crate::{budget, sync::closed::Closed};

/// The side of a watched value that sees it. A clone has seen what this one has.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The version that was seen last.
    seen: u64,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: &Rc<Shared<T>>, seen: u64) -> Receiver<T> {
        add(&shared.receiver_count);
        Receiver {
            shared: Rc::clone(shared),
            seen,
        }
    }

    /// Waits until the value has changed since it was seen last, and marks it as seen.
    ///
    /// # Errors
    ///
    /// [`Closed`] when all senders were dropped, and their last change was seen.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the change is marked as seen when this returns.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        if self.has_changed() != Ok(false) {
            budget::turn().await;
        }
        while !self.has_changed()? {
            self.shared.changed.notified().await;
        }
        self.seen = self.shared.version.get();
        Ok(())
    }

    /// Waits until the value is one for which `is_wanted` returns true, and returns a borrow of it.
    /// The value is looked at first as it is now. It is marked as seen.
    ///
    /// # Errors
    ///
    /// [`Closed`] when all senders were dropped and the last value is not wanted.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. Values that were not wanted are marked as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{future::join, sync::watch, task::yield_now};
    ///
    /// annulus::run(async {
    ///     let (progress, mut receiver) = watch::channel(0);
    ///     let work = async {
    ///         for _ in 0..10 {
    ///             yield_now().await;
    ///             progress.send_modify(|percent| *percent += 10);
    ///         }
    ///     };
    ///     let half = async { *receiver.wait_for(|percent| *percent >= 50).await.unwrap() };
    ///     assert_eq!(join(half, work).await.0, 50);
    /// });
    /// ```
    pub async fn wait_for(
        &mut self,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, Closed> {
        budget::turn().await;
        loop {
            self.seen = self.shared.version.get();
            if is_wanted(&self.shared.value.borrow()) {
                return Ok(self.shared.value.borrow());
            }
            self.changed().await?;
        }
    }

    /// Returns a borrow of the value. It has to end before the next change.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// Returns a borrow of the value, and marks it as seen. It has to end before the next change.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = self.shared.version.get();
        self.shared.value.borrow()
    }

    /// Whether the value has changed since it was seen last.
    ///
    /// # Errors
    ///
    /// [`Closed`] when all senders were dropped, and their last change was seen.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        if self.seen != self.shared.version.get() {
            Ok(true)
        } else if self.shared.sender_count.get() == 0 {
            Err(Closed)
        } else {
            Ok(false)
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver::new(&self.shared, self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if remove(&self.shared.receiver_count) {
            self.shared.left.notify_waiters();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
