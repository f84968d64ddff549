//! [`Receiver`]: the side that receives the value.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{Channel, Shared, wake};
use crate::{
    budget::{self, PutOff},
    park,
    primitives::Arc,
    sync::{closed::Closed, remote::blocking::may_block, try_recv_error::TryRecvError},
    wait_note::{self, WaitNote},
};

/// The side that receives the value: a future.
///
/// # Errors
///
/// [`Closed`] when the sender was dropped without sending, when this side was closed before, and at
/// every poll after the value was returned.
///
/// # Cancel safety
///
/// To wait again after a `select!` or a `timeout`, pass `&mut receiver`; the value stays in the
/// channel until it is returned. Dropping the receiver drops a value that was sent.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    put_off: PutOff,
}

impl<T> Receiver<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Receiver<T> {
        Receiver {
            channel,
            put_off: PutOff::new(),
        }
    }

    /// Returns the value if it was sent, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether the value may still come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.channel.change(Shared::try_recv)
    }

    /// Waits for the value on a thread without a runtime, which it blocks.
    ///
    /// # Errors
    ///
    /// As for the future.
    ///
    /// # Panics
    ///
    /// Inside a runtime of this crate, whose tasks would stand still meanwhile.
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, Closed> {
        may_block();
        park::block_on(self)
    }

    /// Refuses a value that was not sent yet. One that was sent can still be received.
    pub fn close(&mut self) {
        wake(self.channel.change(|shared| {
            shared.is_closed = true;
            shared.sender.take()
        }));
    }
}

impl<T> Shared<T> {
    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.value.take() {
            Some(value) => Ok(value),
            None if self.has_sender && !self.is_closed => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Closed),
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if budget::is_spent() && this.put_off.waits(context) {
            return Poll::Pending;
        }
        let mut received = this.try_recv();
        if matches!(received, Err(TryRecvError::Empty)) {
            // Cloning and dropping a waker is user code, which does not run under the lock.
            let waker = context.waker().clone();
            let (again, _unused) = this.channel.change(|shared| match shared.try_recv() {
                Err(TryRecvError::Empty) => {
                    let before = shared.receiver.replace(waker);
                    (Err(TryRecvError::Empty), before)
                }
                received => (received, Some(waker)),
            });
            received = again;
        }
        match received {
            Ok(value) => {
                budget::spend();
                Poll::Ready(Ok(value))
            }
            Err(TryRecvError::Closed) => Poll::Ready(Err(Closed)),
            Err(TryRecvError::Empty) => {
                wait_note::leave(WaitNote::RemoteOneshot);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let (sender, _own, _value) = self.channel.change(|shared| {
            shared.is_closed = true;
            (
                shared.sender.take(),
                shared.receiver.take(),
                shared.value.take(),
            )
        });
        wake(sender);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
