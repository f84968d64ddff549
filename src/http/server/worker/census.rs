//! A question to all workers of a server, and their answers.
//!
//! Whoever asks puts a ballot into each worker's mailbox and waits as a future, which blocks no
//! thread: so it may be a handler of the same server. A worker fills its ballot in and drops it;
//! one that has ended drops it empty. The last drop ends the wait.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{http::server::connection_info::ConnectionInfo, unwind};

/// The answers so far.
#[derive(Default)]
struct Census {
    ballots_out: usize,
    connections: Vec<ConnectionInfo>,
    waker: Option<Waker>,
}

/// A worker's share of the answer. Dropping it hands it in.
pub(crate) struct Ballot(Arc<Mutex<Census>>);

/// Waits for the ballots.
pub(crate) struct Count(Arc<Mutex<Census>>);

fn lock(census: &Mutex<Census>) -> MutexGuard<'_, Census> {
    // Nothing panics while it holds the lock.
    census.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Count {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn ballot(&self) -> Ballot {
        lock(&self.0).ballots_out += 1;
        Ballot(Arc::clone(&self.0))
    }
}

impl Future for Count {
    type Output = Vec<ConnectionInfo>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<ConnectionInfo>> {
        // Cloning and dropping wakers is the user's code, so the lock is not held then.
        let waker = context.waker().clone();
        let mut census = lock(&self.0);
        if census.ballots_out == 0 {
            return Poll::Ready(std::mem::take(&mut census.connections));
        }
        let before = census.waker.replace(waker);
        drop(census);
        drop(before);
        Poll::Pending
    }
}

impl Ballot {
    pub(crate) fn fill_in(self, connections: Vec<ConnectionInfo>) {
        lock(&self.0).connections.extend(connections);
    }
}

impl Drop for Ballot {
    fn drop(&mut self) {
        let mut census = lock(&self.0);
        census.ballots_out -= 1;
        if census.ballots_out > 0 {
            return;
        }
        let waker = census.waker.take();
        drop(census);
        if let Some(waker) = waker {
            // A worker has filled in this ballot, whom the panic of the one who asked does not
            // concern.
            unwind::swallow(|| waker.wake());
        }
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ballot").finish_non_exhaustive()
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Count").finish_non_exhaustive()
    }
}
