//! [`Join`]: the wait until all values of a queue are done.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::Queue;
use crate::{
    budget::{self, PutOff},
    sync::waiters::Place,
    wait_note::{self, WaitNote},
};

/// The future of [`Queue::join`].
#[must_use = "it waits only when it is awaited or polled"]
pub struct Join<'a, T> {
    queue: &'a Queue<T>,
    state: State,
    put_off: PutOff,
}

enum State {
    New,
    Waiting(Place),
    Done,
}

impl<'a, T> Join<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>) -> Join<'a, T> {
        Join {
            queue,
            state: State::New,
            put_off: PutOff::new(),
        }
    }

    /// Begins to wait, unless there is nothing to wait for.
    fn start(&self, context: &Context<'_>) -> State {
        if self.queue.unfinished() > 0 {
            let waker = context.waker().clone();
            // Cloning a waker is user code, by which the last value may be done.
            if self.queue.unfinished() > 0 {
                return State::Waiting(self.queue.joining.push(waker, 1));
            }
        }
        budget::spend();
        State::Done
    }
}

impl<T> Future for Join<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match &this.state {
            State::New => {
                let is_ready = this.queue.unfinished() == 0;
                if budget::is_spent() && is_ready && this.put_off.waits(context) {
                    return Poll::Pending;
                }
                this.state = this.start(context);
            }
            State::Waiting(place) => {
                wait_note::leave(WaitNote::QueueJoin);
                ready!(this.queue.joining.poll_chosen(place, context.waker()));
                this.state = State::Done;
            }
            State::Done => {}
        }
        match this.state {
            State::Done => Poll::Ready(()),
            _ => {
                wait_note::leave(WaitNote::QueueJoin);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Join<'_, T> {
    fn drop(&mut self) {
        if let State::Waiting(place) = mem::replace(&mut self.state, State::Done) {
            drop(self.queue.joining.remove(place));
        }
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").finish_non_exhaustive()
    }
}
