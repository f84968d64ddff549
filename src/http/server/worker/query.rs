//! A question to all workers of a server, and their answers.
//!
//! A [`Query`] puts an empty [`Reply`] into each worker's mailbox and waits as a future,
//! which blocks no thread: so a handler of the same server may ask. A worker sends its reply; one
//! that has ended drops it empty. The last drop ends the wait.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
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
pub(crate) struct Reply<T>(Arc<Mutex<Replies<T>>>);

/// Waits for the replies.
pub(crate) struct Query<T>(Arc<Mutex<Replies<T>>>);

impl<T> Query<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Replies {
            replies_out: 0,
            answers: Vec::new(),
            waker: None,
        })))
    }

    pub(crate) fn reply(&self) -> Reply<T> {
        lock(&self.0).replies_out += 1;
        Reply(Arc::clone(&self.0))
    }
}

impl<T> Future for Query<T> {
    type Output = Vec<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<T>> {
        // Cloning and dropping wakers is the user's code, so the lock is not held then.
        let waker = context.waker().clone();
        let mut replies = lock(&self.0);
        if replies.replies_out == 0 {
            return Poll::Ready(std::mem::take(&mut replies.answers));
        }
        let before = replies.waker.replace(waker);
        drop(replies);
        drop(before);
        Poll::Pending
    }
}

impl<T> Reply<T> {
    pub(crate) fn send(self, answers: impl IntoIterator<Item = T>) {
        let answers: Vec<T> = answers.into_iter().collect();
        lock(&self.0).answers.extend(answers);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut replies = lock(&self.0);
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
