//! A question to all workers of a server, and their answers.
//!
//! A [`ConnectionQuery`] puts an empty [`Reply`] into each worker's mailbox and waits as a future,
//! which blocks no thread: so a handler of the same server may ask. A worker sends its reply; one
//! that has ended drops it empty. The last drop ends the wait.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use crate::{
    http::server::connection_info::ConnectionInfo,
    unwind::{self, lock},
};

/// The answers so far.
#[derive(Default)]
struct Replies {
    replies_out: usize,
    connections: Vec<ConnectionInfo>,
    waker: Option<Waker>,
}

/// A worker's share of the answer. Dropping it hands it in.
pub(crate) struct Reply(Arc<Mutex<Replies>>);

/// Waits for the replies.
pub(crate) struct ConnectionQuery(Arc<Mutex<Replies>>);

impl ConnectionQuery {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn reply(&self) -> Reply {
        lock(&self.0).replies_out += 1;
        Reply(Arc::clone(&self.0))
    }
}

impl Future for ConnectionQuery {
    type Output = Vec<ConnectionInfo>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<ConnectionInfo>> {
        // Cloning and dropping wakers is the user's code, so the lock is not held then.
        let waker = context.waker().clone();
        let mut replies = lock(&self.0);
        if replies.replies_out == 0 {
            return Poll::Ready(std::mem::take(&mut replies.connections));
        }
        let before = replies.waker.replace(waker);
        drop(replies);
        drop(before);
        Poll::Pending
    }
}

impl Reply {
    pub(crate) fn send(self, connections: Vec<ConnectionInfo>) {
        lock(&self.0).connections.extend(connections);
    }
}

impl Drop for Reply {
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

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

impl fmt::Debug for ConnectionQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionQuery").finish_non_exhaustive()
    }
}
