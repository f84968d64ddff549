//! A channel for a single value, for instance the answer to a request.

use std::{
    cell::Cell,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use super::{closed::Closed, try_recv_error::TryRecvError, waker_slot::WakerSlot};
use crate::{
    budget::{self, PutOff},
    unwind,
    wait_note::{self, WaitNote},
};

/// Returns the two sides of a channel for one value.
///
/// # Examples
///
/// ```
/// use annulus::sync::oneshot;
///
/// annulus::run(async {
///     let (sender, receiver) = oneshot::channel();
///     assert_eq!(sender.send(5), Ok(()));
///     assert_eq!(receiver.await, Ok(5));
/// });
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Rc::new(Channel {
        value: Cell::new(None),
        has_sender: Cell::new(true),
        is_closed: Cell::new(false),
        receiver: WakerSlot::new(),
        sender: WakerSlot::new(),
    });
    (
        Sender {
            channel: Rc::clone(&channel),
        },
        Receiver {
            channel,
            put_off: PutOff::new(),
        },
    )
}

struct Channel<T> {
    value: Cell<Option<T>>,
    has_sender: Cell<bool>,
    is_closed: Cell<bool>,
    /// The task that waits for the value.
    receiver: WakerSlot,
    /// The task that waits for the receiver to close.
    sender: WakerSlot,
}

impl<T> Channel<T> {
    fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.value.take() {
            Some(value) => Ok(value),
            None if self.has_sender.get() && !self.is_closed.get() => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Closed),
        }
    }

    fn has_value(&self) -> bool {
        let value = self.value.take();
        let has_value = value.is_some();
        self.value.set(value);
        has_value
    }

    fn close(&self) {
        self.is_closed.set(true);
        self.sender.wake();
    }
}

/// The side that sends the value. Dropping it unused closes the channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends the value, and wakes the task that waits for it.
    ///
    /// # Errors
    ///
    /// Gives the value back when the receiver was closed or dropped. Success does not mean that the
    /// value will be taken: a receiver that is dropped later drops it.
    pub fn send(self, value: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(value);
        }
        self.channel.value.set(Some(value));
        // The drop of this sender wakes the receiver.
        Ok(())
    }

    /// Whether the receiver was closed or dropped, so that a value would not arrive.
    pub fn is_closed(&self) -> bool {
        self.channel.is_closed.get()
    }

    /// Waits until the receiver is closed or dropped, so that the value has no use any more.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::oneshot;
    ///
    /// annulus::run(async {
    ///     let (mut sender, receiver) = oneshot::channel::<u32>();
    ///     drop(receiver);
    ///     sender.closed().await;
    ///     assert_eq!(sender.send(5), Err(5));
    /// });
    /// ```
    pub async fn closed(&mut self) {
        poll_fn(|context| self.poll_closed(context)).await;
    }

    /// Polls for the end of the receiver; see [`closed`](Sender::closed).
    pub fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let channel = &self.channel;
        if !channel.is_closed.get() && !channel.sender.holds(context.waker()) {
            // Set before the look below, since cloning a waker is user code.
            channel.sender.set(context.waker().clone());
        }
        if channel.is_closed.get() {
            Poll::Ready(())
        } else {
            wait_note::leave(WaitNote::ChannelEnd);
            Poll::Pending
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.has_sender.set(false);
        unwind::then(
            || self.channel.receiver.wake(),
            || self.channel.sender.clear(),
        );
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

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
    channel: Rc<Channel<T>>,
    put_off: PutOff,
}

impl<T> Receiver<T> {
    /// Returns the value if it was sent, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether the value may still come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.channel.try_recv()
    }

    /// Refuses a value that was not sent yet. One that was sent can still be received.
    pub fn close(&mut self) {
        self.channel.close();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let channel = &this.channel;
        if budget::is_spent() && channel.has_value() && this.put_off.waits(context) {
            return Poll::Pending;
        }
        let mut received = channel.try_recv();
        if matches!(received, Err(TryRecvError::Empty)) && !channel.receiver.holds(context.waker())
        {
            // Set before another look, since cloning a waker is user code, which may send.
            channel.receiver.set(context.waker().clone());
            received = channel.try_recv();
        }
        match received {
            Ok(value) => {
                budget::spend();
                Poll::Ready(Ok(value))
            }
            Err(TryRecvError::Closed) => Poll::Ready(Err(Closed)),
            Err(TryRecvError::Empty) => {
                wait_note::leave(WaitNote::Oneshot);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        unwind::then(
            || self.channel.close(),
            || {
                unwind::then(
                    || self.channel.receiver.clear(),
                    || drop(self.channel.value.take()),
                );
            },
        );
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
