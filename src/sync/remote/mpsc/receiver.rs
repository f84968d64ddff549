//! [`Receiver`]: the side that receives.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    task::{Context, Poll},
};

use super::{Channel, lock, wait_a_turn};
use crate::{
    budget::{self, PutOff},
    park,
    primitives::Arc,
    shrink,
    sync::{
        remote::{
            blocking::may_block,
            linger::{Linger, Patience},
        },
        try_recv_error::TryRecvError,
    },
    unwind,
    wait_note::{self, WaitNote},
};

/// The receiving side of a channel between threads. Dropping it closes the channel and drops what
/// is in it.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// Values that were taken out of the shared queue. They come first.
    own: VecDeque<T>,
    put_off: PutOff,
    patience: Patience,
    /// The wait before it sleeps.
    linger: Linger,
}

impl<T> Receiver<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Receiver<T> {
        Receiver {
            channel,
            own: VecDeque::new(),
            put_off: PutOff::new(),
            patience: Patience::default(),
            linger: Linger::default(),
        }
    }

    /// Waits for the next value. Those of one sender come in the order of sending.
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

    /// As [`recv`](Receiver::recv), for a thread without a runtime: it blocks until there is a
    /// value.
    ///
    /// # Panics
    ///
    /// Inside a runtime of this crate, whose tasks would stand still meanwhile.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        may_block();
        match self.try_recv() {
            Ok(value) => Some(value),
            Err(TryRecvError::Closed) => None,
            Err(TryRecvError::Empty) => park::block_on(self.recv()),
        }
    }

    /// Polls for the next value; see [`recv`](Receiver::recv).
    #[inline]
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if budget::is_spent() && !self.is_empty() && self.put_off.waits(context) {
            return Poll::Pending;
        }
        if self.linger.skips_look() {
            return wait_a_turn(context);
        }
        match self.try_recv() {
            Ok(value) => Poll::Ready(Some(value)),
            Err(TryRecvError::Closed) => Poll::Ready(None),
            Err(TryRecvError::Empty) => self.wait(context),
        }
    }

    /// Leaves the waker for the next sender, unless a value has come.
    fn wait(&mut self, context: &Context<'_>) -> Poll<Option<T>> {
        if self.linger.goes_on(&mut self.patience) {
            return wait_a_turn(context);
        }
        // Cloning and dropping a waker is user code, which does not run under the lock.
        let waker = context.waker().clone();
        let mut shared = lock(&self.channel.shared);
        if shared.queue.is_empty() && !shared.has_ended() {
            let before = shared.receiver.replace(waker);
            drop(shared);
            drop(before);
            self.patience.sleep();
            wait_note::leave(WaitNote::RemoteValue);
            return Poll::Pending;
        }
        drop(shared);
        Poll::Ready(self.try_recv().ok())
    }

    /// Returns the next value if there is one, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] says whether more may come.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if self.own.is_empty() {
            self.take_over()?;
        }
        let value = self.own.pop_front();
        let value = value.expect("values were taken over");
        shrink::queue(&mut self.own);
        self.patience.count();
        self.linger.end(&mut self.patience);
        budget::spend();
        self.channel.count_taken();
        Ok(value)
    }

    /// Takes all values that have come, of which there is at least one.
    #[inline]
    fn take_over(&mut self) -> Result<(), TryRecvError> {
        let mut shared = lock(&self.channel.shared);
        if !shared.queue.is_empty() {
            mem::swap(&mut shared.queue, &mut self.own);
            Ok(())
        } else if shared.has_ended() {
            Err(TryRecvError::Closed)
        } else {
            Err(TryRecvError::Empty)
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
        self.own.len() + lock(&self.channel.shared).queue.len()
    }

    /// Whether no value is in the channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.close();
        let (unreceived, waker) = {
            let mut shared = lock(&self.channel.shared);
            (mem::take(&mut shared.queue), shared.receiver.take())
        };
        // The drops of wakers and values are the user's code.
        unwind::then(
            || drop(waker),
            || unwind::each(mem::take(&mut self.own).into_iter().chain(unreceived), drop),
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
