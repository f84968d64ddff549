//! [`Permit`]: a reserved place in a channel.

use std::fmt;

use super::{Channel, SendError, lock, wake};

/// A place in a channel, from [`Sender::reserve`](super::Sender::reserve); dropping it gives it to
/// the next sender.
#[must_use = "dropping a permit gives its place away"]
pub struct Permit<'a, T> {
    channel: &'a Channel<T>,
    is_used: bool,
}

impl<'a, T> Permit<'a, T> {
    /// Takes over a place that is reserved.
    pub(super) fn new(channel: &'a Channel<T>) -> Permit<'a, T> {
        Permit {
            channel,
            is_used: false,
        }
    }

    /// Sends a value, without waiting.
    ///
    /// # Errors
    ///
    /// Gives the value back when the receiver was closed or dropped.
    pub fn send(mut self, value: T) -> Result<(), SendError<T>> {
        let waker = {
            let mut shared = lock(&self.channel.shared);
            if shared.is_closed {
                return Err(SendError(value));
            }
            // The place is the value's, and is free again when it is received.
            self.is_used = true;
            shared.push(value)
        };
        wake(waker);
        Ok(())
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if !self.is_used {
            self.channel.unreserve();
        }
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
