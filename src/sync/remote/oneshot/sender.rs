//! [`Sender`]: the side that sends the value.

use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
};

use super::{Channel, wake};
use crate::{
    primitives::Arc,
    wait_note::{self, WaitNote},
};

/// The side that sends the value. Dropping it unused closes the channel.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Sender<T> {
        Sender { channel }
    }

    /// Sends the value, and wakes the task or thread that waits for it. It does not wait, so that
    /// any thread may call it.
    ///
    /// # Errors
    ///
    /// Gives the value back when the receiver was closed or dropped. Success does not mean that the
    /// value will be taken: a receiver that is dropped later drops it.
    pub fn send(self, value: T) -> Result<(), T> {
        self.channel.change(|shared| {
            if shared.is_closed {
                return Err(value);
            }
            shared.value = Some(value);
            // The drop of this sender wakes the receiver.
            Ok(())
        })
    }

    /// Whether the receiver was closed or dropped, so that a value would not arrive.
    pub fn is_closed(&self) -> bool {
        self.channel.change(|shared| shared.is_closed)
    }

    /// Waits until the receiver is closed or dropped, so that the value has no use any more.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&mut self) {
        poll_fn(|context| self.poll_closed(context)).await;
    }

    /// Polls for the end of the receiver; see [`closed`](Sender::closed).
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let (polled, _unused) = self.channel.change(|shared| match shared.is_closed {
            true => (Poll::Ready(()), Some(waker)),
            false => (Poll::Pending, shared.sender.replace(waker)),
        });
        if polled.is_pending() {
            wait_note::leave(WaitNote::RemoteEnd);
        }
        polled
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let (receiver, _own) = self.channel.change(|shared| {
            shared.has_sender = false;
            (shared.receiver.take(), shared.sender.take())
        });
        wake(receiver);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
