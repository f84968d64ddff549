//! [`Sender`]: the side that sends.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use super::{
    Channel, Choice,
    permit::Permit,
    send_error::{SendError, TrySendError},
};
use crate::{
    budget::{self, PutOff},
    sync::{
        closed::Closed,
        waiters::{Left, Place},
    },
    wait_note::{self, WaitNote},
};

/// The sending side of a channel. A clone sends into the same channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// The channel counts this sender already.
    pub(super) fn new(channel: Rc<Channel<T>>) -> Sender<T> {
        Sender { channel }
    }

    /// Sends a value, once there is room for it.
    ///
    /// # Errors
    ///
    /// Gives the value back when the receiver was closed or dropped. Success does not mean that the
    /// value will be received: a receiver that is dropped later drops what is in the channel.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has not sent its value, and drops it. Where that
    /// must not happen, [`reserve`](Sender::reserve) the place first and send when you have it.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        if budget::is_spent() {
            budget::turn().await;
        }
        let value = match self.try_send(value) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(value)) => return Err(SendError(value)),
            Err(TrySendError::Full(value)) => value,
        };
        match self.reserve().await {
            Ok(permit) => permit.send(value),
            Err(Closed) => Err(SendError(value)),
        }
    }

    /// Sends a value if there is room for it and no other sender waits.
    ///
    /// # Errors
    ///
    /// Gives the value back, and says whether the channel is full or closed.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        if !self.channel.has_room() {
            return Err(TrySendError::Full(value));
        }
        self.channel.push(value);
        Ok(())
    }

    /// Waits for a place in the channel, and holds it for a value that is sent later.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the receiver was closed or dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line. A place that it was given goes to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::mpsc;
    ///
    /// annulus::run(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     let permit = sender.reserve().await?;
    ///     assert!(sender.try_send(1).is_err());
    ///     permit.send(2)?;
    ///     assert_eq!(receiver.recv().await, Some(2));
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&self) -> Reserve<'_, T> {
        Reserve {
            channel: &self.channel,
            place: None,
            put_off: PutOff::new(),
        }
    }

    /// Whether the receiver was closed or dropped.
    pub fn is_closed(&self) -> bool {
        self.channel.is_closed.get()
    }

    /// Returns how many values the channel holds at most; `usize::MAX` for an unbounded one.
    pub fn capacity(&self) -> usize {
        self.channel.capacity
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.channel
            .sender_count
            .set(self.channel.sender_count.get() + 1);
        Sender {
            channel: Rc::clone(&self.channel),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel
            .sender_count
            .set(self.channel.sender_count.get() - 1);
        if self.channel.sender_count.get() == 0 {
            self.channel.receiver.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The future of [`Sender::reserve`].
#[must_use = "it reserves a place only when it is awaited or polled"]
pub struct Reserve<'a, T> {
    channel: &'a Channel<T>,
    /// The place in line while this waits.
    place: Option<Place>,
    put_off: PutOff,
}

impl<'a, T> Reserve<'a, T> {
    /// Takes a place unless that means waiting.
    fn try_reserve(&self) -> Option<Result<Permit<'a, T>, Closed>> {
        let channel = self.channel;
        if channel.is_closed.get() {
            return Some(Err(Closed));
        }
        if !channel.has_room() {
            return None;
        }
        budget::spend();
        channel.reserved_count.set(channel.reserved_count.get() + 1);
        Some(Ok(Permit::new(channel)))
    }
}

impl<'a, T> Future for Reserve<'a, T> {
    type Output = Result<Permit<'a, T>, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let channel = self.channel;
        if let Some(place) = &self.place {
            return match channel.waiters.poll_chosen(place, context.waker()) {
                Poll::Pending => {
                    wait_note::leave(WaitNote::ChannelRoom);
                    Poll::Pending
                }
                Poll::Ready(choice) => {
                    self.place = None;
                    Poll::Ready(match choice {
                        Choice::Reserved => Ok(Permit::new(channel)),
                        Choice::Closed => Err(Closed),
                    })
                }
            };
        }
        if budget::is_spent() && channel.has_room() && self.put_off.waits(context) {
            return Poll::Pending;
        }
        if let Some(reserved) = self.try_reserve() {
            return Poll::Ready(reserved);
        }
        let waker = context.waker().clone();
        // Cloning a waker is user code, which may have received a value.
        if let Some(reserved) = self.try_reserve() {
            return Poll::Ready(reserved);
        }
        self.place = Some(channel.waiters.push(waker, 1));
        wait_note::leave(WaitNote::ChannelRoom);
        Poll::Pending
    }
}

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            if let Left::Chosen(Choice::Reserved) = self.channel.waiters.remove(place) {
                drop(Permit::new(self.channel));
            }
        }
    }
}

impl<T> fmt::Debug for Reserve<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").finish_non_exhaustive()
    }
}
