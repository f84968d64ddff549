//! Sends orders to a server's workers, from any thread.
//!
//! Each worker has a mailbox. A thread that has something for the worker puts it in and wakes the
//! worker, which looks at its next turn. No thread waits for a worker while it holds a lock, so
//! neither a handler nor another thread can deadlock with it.
//!
//! A stop goes one way: running, stopping, cut. The first order to stop begins it, the second cuts,
//! further ones do nothing.

use std::{
    fmt, io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::connection_query::{ConnectionQuery, Reply};
use crate::mailbox::Mailbox;

/// How long requests may go on after a worker has failed.
const FAILED_DEADLINE: Duration = Duration::from_secs(10);

/// The ways to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Requests that have begun may go on for so long.
    Within(Duration),
    /// At once.
    Now,
}

/// The state that a server's workers, its handles and the thread that runs it share.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Set with the first order to stop.
    is_stopping: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    mailboxes: Vec<Arc<Mailbox<Commands>>>,
    /// Workers that have not ended.
    running_count: usize,
    /// The waker of the future that waits for all workers to end.
    supervisor: Option<Waker>,
    /// The first failure of a worker.
    failure: Option<io::Error>,
}

/// The commands that came for a worker.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) stop: Option<Stop>,
    /// Questions for its connections.
    pub(crate) queries: Vec<Reply>,
}

/// A worker's end of its mailbox. When it is dropped the worker has ended.
pub(crate) struct Inbox {
    control: Arc<Control>,
    mailbox: Arc<Mailbox<Commands>>,
    /// The waker that the mailbox has, to see whether it is still the right one.
    waker: Waker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    /// Makes `count` mailboxes, one for each worker. A stop that was ordered before is in them.
    pub(crate) fn open(self: &Arc<Self>, count: usize) -> Vec<Inbox> {
        let mut state = lock(&self.state);
        state.running_count = count;
        state.mailboxes.clear();
        let mut inboxes = Vec::new();
        for _ in 0..count {
            let mailbox = Arc::new(Mailbox::<Commands>::default());
            if let Some(stop) = state.stop {
                mailbox.put(|commands| commands.stop = Some(stop));
            }
            state.mailboxes.push(Arc::clone(&mailbox));
            inboxes.push(Inbox {
                control: Arc::clone(self),
                mailbox,
                waker: Waker::noop().clone(),
            });
        }
        inboxes
    }

    /// Stops the server. A second stop cuts, whatever it says.
    pub(crate) fn stop(&self, stop: Stop) {
        let mut state = lock(&self.state);
        let stop = match state.stop {
            None => stop,
            Some(Stop::Within(_)) => Stop::Now,
            Some(Stop::Now) => return,
        };
        self.is_stopping.store(true, Ordering::Relaxed);
        state.tell_all(stop);
    }

    /// Notes that a worker has failed, and stops the others unless they are stopping already.
    pub(crate) fn fail(&self, error: io::Error) {
        let mut state = lock(&self.state);
        if state.failure.is_none() {
            state.failure = Some(error);
        }
        if state.stop.is_none() {
            self.is_stopping.store(true, Ordering::Relaxed);
            state.tell_all(Stop::Within(FAILED_DEADLINE));
        }
    }

    /// The first failure of a worker, once.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        lock(&self.state).failure.take()
    }

    /// Asks all workers for their connections. Those that have ended have none, as have those that
    /// have not begun.
    pub(crate) fn count_connections(&self) -> ConnectionQuery {
        let query = ConnectionQuery::new();
        for mailbox in &lock(&self.state).mailboxes {
            mailbox.put(|commands| commands.queries.push(query.reply()));
        }
        query
    }

    /// Ready when every worker has ended. One task at a time waits.
    pub(crate) fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut state = lock(&self.state);
        if state.running_count == 0 {
            return Poll::Ready(());
        }
        let before = state.supervisor.replace(waker);
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl State {
    /// The workers are woken under the lock, so that two stops keep their order. Their wakers are
    /// the runtime's own, or for `Server::serve` those of the future that it is awaited in.
    fn tell_all(&mut self, stop: Stop) {
        self.stop = Some(stop);
        for mailbox in &self.mailboxes {
            mailbox.put(|commands| commands.stop = Some(stop));
        }
    }
}

impl Inbox {
    /// Takes the commands that came since the last call, and registers the waker for the next.
    pub(crate) fn take(&mut self, context: &Context<'_>) -> Commands {
        if !self.waker.will_wake(context.waker()) {
            self.waker.clone_from(context.waker());
            drop(self.mailbox.set_owner(Some(self.waker.clone())));
        }
        self.mailbox.take(mem::take).unwrap_or_default()
    }

    /// The flag that the first order to stop sets.
    pub(crate) fn is_stopping(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.control.is_stopping)
    }

    /// Notes that this worker has failed, and stops all that are not stopping already.
    pub(crate) fn fail(&self, error: io::Error) {
        self.control.fail(error);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut state = lock(&self.control.state);
        state
            .mailboxes
            .retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
        state.running_count -= 1;
        let supervisor = if state.running_count == 0 {
            state.supervisor.take()
        } else {
            None
        };
        drop(state);
        // The mailbox is no longer in the list, so its content is dropped here.
        drop((self.mailbox.set_owner(None), self.mailbox.take(mem::take)));
        if let Some(supervisor) = supervisor {
            supervisor.wake();
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future as _, pin::Pin};

    use super::*;

    fn take(post: &mut Inbox) -> Option<Stop> {
        post.take(&Context::from_waker(Waker::noop())).stop
    }

    #[test]
    fn the_second_order_cuts_and_the_third_does_nothing() {
        let control = Arc::new(Control::default());
        let mut inboxes = control.open(2);
        assert_eq!(take(&mut inboxes[0]), None);
        let stop = Stop::Within(Duration::from_secs(3));
        control.stop(stop);
        assert_eq!(take(&mut inboxes[0]), Some(stop));
        control.stop(stop);
        assert_eq!(take(&mut inboxes[0]), Some(Stop::Now));
        // A worker that was slow sees the last word only.
        assert_eq!(take(&mut inboxes[1]), Some(Stop::Now));
        control.stop(stop);
        assert_eq!(take(&mut inboxes[0]), None);
    }

    #[test]
    fn an_order_before_the_start_is_there_at_the_start() {
        let control = Arc::new(Control::default());
        control.stop(Stop::Now);
        let mut inboxes = control.open(1);
        assert_eq!(take(&mut inboxes[0]), Some(Stop::Now));
    }

    #[test]
    fn a_failure_stops_the_others_and_never_cuts_them() {
        let control = Arc::new(Control::default());
        let mut inboxes = control.open(2);
        inboxes[0].fail(io::Error::other("first"));
        inboxes[0].fail(io::Error::other("second"));
        assert_eq!(take(&mut inboxes[1]), Some(Stop::Within(FAILED_DEADLINE)));
        assert_eq!(take(&mut inboxes[1]), None);
        assert_eq!(control.take_failure().unwrap().to_string(), "first");
    }

    #[test]
    fn a_worker_that_ends_answers_what_it_was_asked() {
        let control = Arc::new(Control::default());
        let mut inboxes = control.open(2);
        let mut count = control.count_connections();
        let context = &mut Context::from_waker(Waker::noop());
        drop(inboxes.pop());
        assert!(Pin::new(&mut count).poll(context).is_pending());
        drop(inboxes);
        assert_eq!(Pin::new(&mut count).poll(context), Poll::Ready(Vec::new()));
        let mut late = control.count_connections();
        assert_eq!(Pin::new(&mut late).poll(context), Poll::Ready(Vec::new()));
    }

    #[test]
    fn it_has_ended_when_every_inbox_is_dropped() {
        let control = Arc::new(Control::default());
        let mut inboxes = control.open(2);
        let context = Context::from_waker(Waker::noop());
        drop(inboxes.pop());
        assert!(control.poll_ended(&context).is_pending());
        drop(inboxes.pop());
        assert!(control.poll_ended(&context).is_ready());
    }
}
