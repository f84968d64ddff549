//! Sends orders to a server's workers, from any thread.
//!
//! Each worker has a mailbox. A thread that has something for the worker puts it in and wakes the
//! worker, which looks at its next turn. No thread waits for a worker while it holds a lock, so
//! neither a handler nor another thread can deadlock with it.
//!
//! A stop goes one way: running, stopping, cut. The first order to stop begins it, the second cuts,
//! further ones do nothing.

use std::{
    cell::RefCell,
    fmt, io, mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    counts::Counts,
    query::{Query, Reply},
};
use crate::{
    http::server::{announcer::Announcer, connection_info::ConnectionInfo},
    mailbox::{Mailbox, Owner},
    primitives::{Mutex, MutexGuard, lock},
    unwind,
};

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
    pub(crate) announcer: Announcer,
    /// The label of its metrics, once it listens.
    pub(crate) label: OnceLock<String>,
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
    pub(crate) queries: Vec<Reply<ConnectionInfo>>,
    /// Questions for its counts.
    pub(crate) counts: Vec<Reply<Counts>>,
}

/// A worker's end of its mailbox. When it is dropped the worker has ended.
pub(crate) struct Inbox {
    control: Arc<Control>,
    mailbox: Arc<Mailbox<Commands>>,
    /// The waker that the mailbox has, to see whether it is still the right one.
    waker: Waker,
}

impl Control {
    /// Makes `count` mailboxes, one for each worker. A stop that was ordered before is in them.
    pub(crate) fn open(self: &Arc<Self>, count: usize) -> Vec<Inbox> {
        self.announcer.expect_workers(count);
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
        let state = lock(&self.state);
        let stop = match state.stop {
            None => stop,
            Some(Stop::Within(_)) => Stop::Now,
            Some(Stop::Now) => return,
        };
        self.order(state, stop);
    }

    /// Stops the server unless it is stopping already.
    pub(crate) fn stop_first(&self, stop: Stop) {
        let state = lock(&self.state);
        if state.stop.is_none() {
            self.order(state, stop);
        }
    }

    /// Notes that a worker has failed, and stops the others unless they are stopping already.
    pub(crate) fn fail(&self, error: io::Error) {
        let mut state = lock(&self.state);
        if state.failure.is_none() {
            state.failure = Some(error);
        }
        if state.stop.is_none() {
            self.order(state, Stop::Within(FAILED_DEADLINE));
        }
    }

    fn order(&self, mut state: MutexGuard<'_, State>, stop: Stop) {
        self.is_stopping.store(true, Ordering::Relaxed);
        let owners = state.tell_all(stop);
        drop(state);
        self.announcer.stopping();
        owners.into_iter().for_each(Owner::wake);
    }

    /// The first failure of a worker, once.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        lock(&self.state).failure.take()
    }

    /// Asks all workers for their connections. Those that have ended have none, as have those that
    /// have not begun.
    pub(crate) fn count_connections(&self) -> Query<ConnectionInfo> {
        self.ask(|commands| &mut commands.queries)
    }

    /// Asks all workers for their counts.
    pub(crate) fn ask_counts(&self) -> Query<Counts> {
        self.ask(|commands| &mut commands.counts)
    }

    /// Puts a question among those of its kind in each mailbox.
    fn ask<T>(&self, kind: impl Fn(&mut Commands) -> &mut Vec<Reply<T>>) -> Query<T> {
        let query = Query::new();
        let given_up = RefCell::new(Vec::new());
        let ask = |commands: &mut Commands| {
            let replies = query.reply().add_to(kind(commands));
            given_up.borrow_mut().extend(replies);
        };
        let owners = lock(&self.state).change_all(ask);
        owners.into_iter().for_each(Owner::wake);
        drop(given_up);
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
    /// Orders all workers to stop. Two orders keep their order, since this happens under the lock.
    #[must_use = "the workers may sleep"]
    fn tell_all(&mut self, stop: Stop) -> Vec<Owner> {
        self.stop = Some(stop);
        self.change_all(|commands| commands.stop = Some(stop))
    }

    /// Changes the commands of all workers. They are to be woken when the lock is released: the
    /// waker of `Server::serve` is that of the future in which it is awaited, and so may be the
    /// user's code.
    fn change_all(&self, change: impl Fn(&mut Commands)) -> Vec<Owner> {
        let mailboxes = self.mailboxes.iter();
        mailboxes.map(|mailbox| mailbox.change(&change)).collect()
    }
}

impl Inbox {
    /// Takes the commands that came since the last call, and registers the waker for the next.
    pub(crate) fn take(&mut self, context: &Context<'_>) -> Commands {
        if !self.waker.will_wake(context.waker()) {
            // Both are cloned first: the mailbox has the right one also when a clone panics.
            let (ours, theirs) = (context.waker().clone(), context.waker().clone());
            let old = mem::replace(&mut self.waker, ours);
            let theirs_old = self.mailbox.set_owner(Some(theirs));
            unwind::then(|| drop(old), || drop(theirs_old));
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
        // The mailbox is no longer in the list, so its content is dropped here. Wakers are code of
        // their makers.
        let content = (self.mailbox.set_owner(None), self.mailbox.take(mem::take));
        unwind::then(
            || drop(content),
            || supervisor.into_iter().for_each(Waker::wake),
        );
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future as _, pin::Pin, task::Wake, thread};

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
    fn questions_that_were_given_up_do_not_pile_up() {
        let control = Arc::new(Control::default());
        let mut inboxes = control.open(1);
        for _ in 0..100 {
            drop((control.ask_counts(), control.count_connections()));
        }
        let commands = inboxes[0].take(&Context::from_waker(Waker::noop()));
        assert_eq!((commands.counts.len(), commands.queries.len()), (1, 1));
    }

    /// Panics when it is woken, and when it is dropped.
    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("planned: woken");
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(thread::panicking(), "planned: dropped");
        }
    }

    #[test]
    fn a_worker_whose_waker_panics_keeps_no_order_from_the_others() {
        let control = Arc::new(Control::default());
        let mut inboxes = control.open(3);
        let bomb = mem::ManuallyDrop::new(Waker::from(Arc::new(Bomb)));
        for inbox in &mut inboxes {
            let _ = inbox.take(&Context::from_waker(&bomb));
        }
        let mut count = control.count_connections();
        for inbox in &mut inboxes {
            let commands = inbox.take(&Context::from_waker(&bomb));
            assert_eq!(commands.queries.len(), 1);
            assert_eq!(commands.stop, None);
        }
        let context = &mut Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut count).poll(context), Poll::Ready(Vec::new()));
        control.stop(Stop::Now);
        for inbox in &mut inboxes {
            let stop = inbox.take(&Context::from_waker(&bomb)).stop;
            assert_eq!(stop, Some(Stop::Now));
        }
    }

    #[test]
    fn a_waker_may_order_a_stop_itself() {
        struct Stops(Arc<Control>);

        impl Wake for Stops {
            fn wake(self: Arc<Self>) {
                self.0.stop(Stop::Within(Duration::ZERO));
            }
        }

        let control = Arc::new(Control::default());
        let mut inboxes = control.open(1);
        let waker = Waker::from(Arc::new(Stops(Arc::clone(&control))));
        let _ = inboxes[0].take(&Context::from_waker(&waker));
        control.stop(Stop::Within(Duration::from_secs(3)));
        assert_eq!(
            take(&mut inboxes[0]),
            Some(Stop::Now),
            "that was the second"
        );
    }

    #[test]
    fn the_end_of_a_worker_is_told_when_its_waker_panics_as_it_is_dropped() {
        struct Woken(AtomicBool);

        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }

        let control = Arc::new(Control::default());
        let mut inboxes = control.open(1);
        let bomb = Waker::from(Arc::new(Bomb));
        let _ = inboxes[0].take(&Context::from_waker(&bomb));
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let supervisor = Waker::from(Arc::clone(&woken));
        assert!(
            control
                .poll_ended(&Context::from_waker(&supervisor))
                .is_pending()
        );
        // So that the mailbox has the last one.
        inboxes[0].waker = Waker::noop().clone();
        drop(bomb);
        assert!(unwind::caught(|| drop(inboxes)).is_none());
        assert!(woken.0.load(Ordering::Relaxed));
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

#[cfg(all(test, loom))]
mod loom_tests {
    use std::future::poll_fn;

    use super::*;
    use crate::{
        park::block_on,
        primitives::{model, thread},
    };

    /// Takes commands as a worker does, until it is to stop.
    fn work(mut inbox: Inbox) {
        block_on(poll_fn(|context| {
            let commands = inbox.take(context);
            for query in commands.queries {
                query.send(Vec::new());
            }
            match commands.stop {
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            }
        }));
    }

    #[test]
    fn loom_a_stop_wakes_the_workers_and_their_end_the_supervisor() {
        model(2, || {
            let control = Arc::new(Control::default());
            let mut inboxes = control.open(2);
            let workers = [(), ()].map(|()| {
                let inbox = inboxes.pop().expect("there are two");
                thread::spawn(move || work(inbox))
            });
            control.stop(Stop::Now);
            block_on(poll_fn(|context| control.poll_ended(context)));
            for worker in workers {
                worker.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_a_question_is_answered_by_workers_that_end_meanwhile() {
        model(2, || {
            let control = Arc::new(Control::default());
            let mut inboxes = control.open(2);
            let working = inboxes.pop().expect("there are two");
            let ending = inboxes.pop().expect("there are two");
            let threads = [
                thread::spawn(move || work(working)),
                thread::spawn(move || drop(ending)),
            ];
            assert!(block_on(control.count_connections()).is_empty());
            control.stop(Stop::Now);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}
