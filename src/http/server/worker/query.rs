//! A question to all workers of a server, and their answers.
//!
//! A [`Query`] puts an empty [`Reply`] into each worker's mailbox and waits as a future,
//! which blocks no thread: so a handler of the same server may ask. A worker sends its reply; one
//! that has ended drops it empty. The last drop ends the wait.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use crate::{
    primitives::{Mutex, lock},
    unwind,
};

/// The answers so far.
struct Replies<T> {
    replies_out: usize,
    answers: Vec<T>,
    waker: Option<Waker>,
}

/// A worker's share of the answer. Dropping it hands it in.
pub(crate) struct Reply<T> {
    replies: Arc<Mutex<Replies<T>>>,
    asker: Weak<()>,
}

/// Waits for the replies.
pub(crate) struct Query<T> {
    replies: Arc<Mutex<Replies<T>>>,
    /// Kept for as long as this waits.
    asker: Arc<()>,
}

impl<T> Query<T> {
    pub(crate) fn new() -> Self {
        let replies = Replies {
            replies_out: 0,
            answers: Vec::new(),
            waker: None,
        };
        Self {
            replies: Arc::new(Mutex::new(replies)),
            asker: Arc::new(()),
        }
    }

    pub(crate) fn reply(&self) -> Reply<T> {
        lock(&self.replies).replies_out += 1;
        Reply {
            replies: Arc::clone(&self.replies),
            asker: Arc::downgrade(&self.asker),
        }
    }
}

impl<T> Future for Query<T> {
    type Output = Vec<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<T>> {
        // Cloning and dropping wakers is the user's code, so the lock is not held then.
        let waker = context.waker().clone();
        let mut replies = lock(&self.replies);
        if replies.replies_out == 0 {
            return Poll::Ready(mem::take(&mut replies.answers));
        }
        let before = replies.waker.replace(waker);
        drop(replies);
        drop(before);
        Poll::Pending
    }
}

impl<T> Reply<T> {
    /// Puts a reply among those that a worker has yet to send. Takes out those whose query was
    /// given up, since a worker that is stuck for long would have more and more of them; they wake
    /// tasks when they are dropped.
    pub(crate) fn add_to(self, waiting: &mut Vec<Self>) -> Vec<Self> {
        let all = mem::take(waiting).into_iter();
        let (awaited, given_up) = all.partition(|reply| reply.asker.strong_count() > 0);
        *waiting = awaited;
        waiting.push(self);
        given_up
    }

    pub(crate) fn send(self, answers: impl IntoIterator<Item = T>) {
        let answers: Vec<T> = answers.into_iter().collect();
        lock(&self.replies).answers.extend(answers);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut replies = lock(&self.replies);
        replies.replies_out -= 1;
        if replies.replies_out > 0 {
            return;
        }
        let waker = replies.waker.take();
        drop(replies);
        if let Some(waker) = waker {
            // A worker has sent this reply, whom the panic of the one who asked does not
            // concern.
            unwind::swallow(|| waker.wake());
        }
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").finish_non_exhaustive()
    }
}
