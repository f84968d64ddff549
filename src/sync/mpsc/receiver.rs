//! [`Receiver`]: the side that receives.

use std::{
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use super::Channel;
use crate::{
    budget::{self, PutOff},
    sync::try_recv_error::TryRecvError,
    unwind,
    wait_note::{self, WaitNote},
};

/// The receiving side of a channel. Dropping it closes the channel and drops what is in it.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
    put_off: PutOff,
}

impl<T> Receiver<T> {
    pub(super) fn new(channel: Rc<Channel<T>>) -> Receiver<T> {
        Receiver {
            channel,
            put_off: PutOff::new(),
        }
    }

    /// Waits for the next value, in the order of sending.
    ///
    /// `None` means that the channel is empty and will stay so: all senders were dropped, or the
    /// channel was [closed](Receiver::close).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a value stays in the channel until it is returned.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next value; see [`recv`](Receiver::recv).
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if budget::is_spent() && !self.is_empty() && self.put_off.waits(context) {
            return Poll::Pending;
        }
        let mut received = self.try_recv();
        let slot = &self.channel.receiver;
        if matches!(received, Err(TryRecvError::Empty)) && !slot.holds(context.waker()) {
            // Set before another look, since cloning a waker is user code, which may send.
            slot.set(context.waker().clone());
            received = self.try_recv();
        }
        match received {
            Ok(value) => Poll::Ready(Some(value)),
            Err(TryRecvError::Closed) => Poll::Ready(None),
            Err(TryRecvError::Empty) => {
                wait_note::leave(WaitNote::ChannelValue);
                Poll::Pending
            }
        }
    }

    /// Returns the next value if there is one, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether more may come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.channel.pop() {
            Some(value) => Ok(value),
            None if self.channel.has_ended() => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Refuses new values. Those in the channel can still be received, then `None` follows.
    ///
    /// Senders that wait get their values back, and so do holders of a [`Permit`](super::Permit).
    pub fn close(&mut self) {
        self.channel.close();
    }

    /// Returns the number of values in the channel.
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether no value is in the channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let unreceived = self.channel.queue.take();
        unwind::then(
            || self.channel.close(),
            || {
                unwind::then(
                    || self.channel.receiver.clear(),
                    || unwind::each(unreceived, drop),
                );
            },
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
