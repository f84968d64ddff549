//! [`CancellationToken`]: tells tasks to stop.

mod node;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use crate::budget;

use node::Node;

/// Tells tasks of this thread to stop, once and for ever.
///
/// A clone is the same token. A [child](CancellationToken::child_token) is cancelled with its
/// parent and may be cancelled alone. It is the task that stops, at a place of its choice: it waits
/// for [`cancelled`](CancellationToken::cancelled) beside its work, asks
/// [`is_cancelled`](CancellationToken::is_cancelled), or has a future dropped by
/// [`run_until_cancelled`](CancellationToken::run_until_cancelled). To end a task from outside,
/// abort it; to end a group of tasks with the code that began them, use
/// [`task::scope`](crate::task::scope).
///
/// # Examples
///
/// ```
/// use annulus::{spawn, sync::{CancellationToken, mpsc}};
///
/// annulus::run(async {
///     let (sender, mut jobs) = mpsc::channel::<u32>(8);
///     let stop = CancellationToken::new();
///     let worker = spawn({
///         let stop = stop.child_token();
///         async move {
///             let mut sum = 0;
///             while let Some(job) = stop.run_until_cancelled(jobs.recv()).await {
///                 let Some(job) = job else { break };
///                 sum += job; // not interrupted
///             }
///             sum
///         }
///     });
///     sender.send(5).await?;
///     sender.send(6).await?;
///     annulus::task::yield_now().await;
///     stop.cancel();
///     assert_eq!(worker.await.unwrap(), 11);
///     Ok::<(), mpsc::SendError<u32>>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct CancellationToken {
    node: Rc<Node>,
}

impl CancellationToken {
    /// Returns a token that is not cancelled and has no parent.
    pub fn new() -> CancellationToken {
        CancellationToken { node: Node::root() }
    }

    /// Returns a token that is cancelled when this one is, and that can be cancelled alone.
    pub fn child_token(&self) -> CancellationToken {
        CancellationToken {
            node: Node::child(&self.node),
        }
    }

    /// Cancels this token and all its children, and wakes the tasks that wait for one of them.
    ///
    /// All are cancelled before the first task is woken. A second call does nothing.
    pub fn cancel(&self) {
        Node::cancel(&self.node);
    }

    /// Whether this token or one of its parents was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Waits until the token is cancelled. It returns at once if it was.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub async fn cancelled(&self) {
        if self.is_cancelled() {
            budget::turn().await;
        }
        while !self.is_cancelled() {
            self.node.cancelled.notified().await;
        }
    }

    /// As [`cancelled`](CancellationToken::cancelled), for a future that keeps the token.
    pub async fn cancelled_owned(self) {
        self.cancelled().await;
    }

    /// Returns the output of `future`, or `None` if the token is cancelled before it is ready.
    ///
    /// The token is looked at first: a future is not polled any more when it is cancelled. The
    /// future is dropped then, and that does to it what the page
    /// [`cancellation`](crate::docs::cancellation) says.
    ///
    /// # Cancel safety
    ///
    /// As that of `future`.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::CancellationToken;
    /// use std::future::{pending, ready};
    ///
    /// annulus::run(async {
    ///     let stop = CancellationToken::new();
    ///     assert_eq!(stop.run_until_cancelled(ready(5)).await, Some(5));
    ///     stop.cancel();
    ///     assert_eq!(stop.run_until_cancelled(pending::<u32>()).await, None);
    /// });
    /// ```
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        if self.is_cancelled() {
            budget::turn().await;
            return None;
        }
        let mut cancelled = pin!(self.node.cancelled.notified());
        poll_fn(|context| {
            if self.is_cancelled() || cancelled.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Returns a guard that cancels the token when it is dropped, for instance by a `?`.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::CancellationToken;
    ///
    /// let stop = CancellationToken::new();
    /// {
    ///     let _guard = stop.clone().drop_guard();
    /// }
    /// assert!(stop.is_cancelled());
    /// ```
    pub fn drop_guard(self) -> DropGuard {
        DropGuard { token: Some(self) }
    }
}

impl Default for CancellationToken {
    fn default() -> CancellationToken {
        CancellationToken::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// Cancels its [`CancellationToken`] when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it cancels its token at once"]
pub struct DropGuard {
    /// None when the guard was disarmed.
    token: Option<CancellationToken>,
}

impl DropGuard {
    /// Returns the token, which the guard does not cancel any more.
    pub fn disarm(mut self) -> CancellationToken {
        self.token.take().expect("a guard is disarmed once")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}
