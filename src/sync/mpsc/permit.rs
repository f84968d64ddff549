//! [`Permit`]: a reserved place in a channel.

use std::fmt;

use super::{Channel, send_error::SendError};

/// A place in a channel, from [`Sender::reserve`](super::Sender::reserve); dropping it gives it to
/// the next sender.
#[must_use = "dropping a permit gives its place away"]
pub struct Permit<'a, T> {
    channel: &'a Channel<T>,
}

impl<'a, T> Permit<'a, T> {
    /// Takes over a place that is reserved.
    pub(super) fn new(channel: &'a Channel<T>) -> Permit<'a, T> {
        Permit { channel }
    }

    /// Sends a value, without waiting.
    ///
    /// # Errors
    ///
    /// Gives the value back when the receiver was closed or dropped.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let channel = self.channel;
        if channel.is_closed.get() {
            return Err(SendError(value));
        }
        // The place becomes the value's, so it must not go to the next sender.
        channel.unreserve();
        std::mem::forget(self);
        channel.push(value);
        Ok(())
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.channel.unreserve();
        self.channel.pass_on_place();
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
