//! [`Sender`]: the side that sends.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{Channel, Choice, Permit, Room, SendError, TrySendError, lock, wait_a_turn, wake};
use crate::{
    budget::{self, PutOff},
    park,
    primitives::Arc,
    sync::{
        closed::Closed,
        remote::{blocking::may_block, linger::Linger},
        waiters::Place,
    },
    wait_note::{self, WaitNote},
};

/// The sending side of a channel between threads. A clone sends into the same channel.
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// The channel counts this sender already.
    pub(super) fn new(channel: Arc<Channel<T>>) -> Sender<T> {
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

    /// As [`send`](Sender::send), for a thread without a runtime: it blocks until there is room.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    ///
    /// # Panics
    ///
    /// Inside a runtime of this crate, whose tasks would stand still meanwhile.
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        may_block();
        match self.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => park::block_on(self.send(value)),
        }
    }

    /// Sends a value if there is room for it and no other sender waits.
    ///
    /// # Errors
    ///
    /// Gives the value back, and says whether the channel is full or closed.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let waker = {
            let mut shared = lock(&self.channel.shared);
            match self.channel.room(&mut shared) {
                Room::Closed => return Err(TrySendError::Closed(value)),
                Room::Full => return Err(TrySendError::Full(value)),
                Room::Place => {}
            }
            shared.sent = shared.sent.wrapping_add(1);
            shared.push(value)
        };
        budget::spend();
        wake(waker);
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
    pub fn reserve(&self) -> Reserve<'_, T> {
        Reserve {
            channel: &self.channel,
            place: None,
            put_off: PutOff::new(),
            linger: Linger::default(),
        }
    }

    /// Whether the receiver was closed or dropped.
    pub fn is_closed(&self) -> bool {
        lock(&self.channel.shared).is_closed
    }

    /// Returns how many values the channel holds at most; `usize::MAX` for an unbounded one.
    pub fn capacity(&self) -> usize {
        self.channel.capacity
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        lock(&self.channel.shared).sender_count += 1;
        Sender {
            channel: Arc::clone(&self.channel),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = lock(&self.channel.shared);
            shared.sender_count -= 1;
            match shared.sender_count {
                0 => shared.receiver.take(),
                _ => None,
            }
        };
        wake(waker);
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
    /// The wait before it takes a place in line.
    linger: Linger,
}

impl<'a, T> Reserve<'a, T> {
    /// Takes a place, or one in line.
    fn start(&mut self, context: &Context<'_>) -> Poll<Result<Permit<'a, T>, Closed>> {
        // Cloning and dropping a waker is user code, which does not run under the lock.
        let mut waker = None;
        let channel = self.channel;
        loop {
            let mut shared = lock(&channel.shared);
            match channel.room(&mut shared) {
                Room::Closed => return Poll::Ready(Err(Closed)),
                Room::Place => {
                    shared.sent = shared.sent.wrapping_add(1);
                    self.linger.end(&mut shared.patience);
                    return Poll::Ready(Ok(Permit::new(channel)));
                }
                Room::Full if waker.is_none() => {
                    let goes_on = shared.goes_on(&mut self.linger);
                    drop(shared);
                    if goes_on {
                        return wait_a_turn(context);
                    }
                    waker = Some(context.waker().clone());
                }
                Room::Full => {
                    self.place = channel.wait(&mut shared, &mut waker);
                    if self.place.is_some() {
                        wait_note::leave(WaitNote::RemoteRoom);
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<'a, T> Future for Reserve<'a, T> {
    type Output = Result<Permit<'a, T>, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let channel = self.channel;
        if let Some(place) = &self.place {
            let waker = context.waker().clone();
            let (chosen, _unused) = lock(&channel.shared).waiters.poll_or_set(place, waker);
            if chosen.is_pending() {
                wait_note::leave(WaitNote::RemoteRoom);
            }
            return chosen.map(|choice| {
                self.place = None;
                match choice {
                    Choice::Reserved => Ok(Permit::new(channel)),
                    Choice::Closed => Err(Closed),
                }
            });
        }
        if budget::is_spent() && self.put_off.waits(context) {
            return Poll::Pending;
        }
        if self.linger.skips_look() {
            return wait_a_turn(context);
        }
        let started = self.start(context);
        if started.is_ready() {
            budget::spend();
        }
        started
    }
}

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.channel.leave(place);
        }
    }
}

impl<T> fmt::Debug for Reserve<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::remote::mpsc::{ONE_TAKEN, channel};

    #[test]
    fn counts_go_round() {
        let (sender, mut receiver) = channel::<u32>(2);
        let word = usize::MAX - 1;
        sender
            .channel
            .taken
            .0
            .store(word, std::sync::atomic::Ordering::Relaxed);
        {
            let mut shared = lock(&sender.channel.shared);
            shared.sent = word / ONE_TAKEN;
            shared.taken = shared.sent;
        }
        for number in 0..4 {
            sender.try_send(number).unwrap();
            sender.try_send(number).unwrap();
            assert!(sender.try_send(number).is_err(), "it has two places");
            assert_eq!(receiver.try_recv(), Ok(number));
            assert_eq!(receiver.try_recv(), Ok(number));
        }
    }
}
