//! The state that the workers of one set share with their handles.
//!
//! # Life
//!
//! | state | what ends it |
//! |---|---|
//! | *starting*: each thread makes its runtime and waits | all have one: *running*; one has failed: *refused* |
//! | *refused*: each thread gives its runtime up and ends | for ever |
//! | *running*: each thread runs its future | each ends by itself; the set has ended with the last one |
//!
//! A stop goes one way: none, within a time, now. The first call says how long, also when a failure
//! has stopped the set before it, and the second cuts. An order goes to each worker's [`Post`], and
//! wakes the futures that wait for it. The first worker whose time is over tells all futures that
//! wait for the cut.

use std::{
    fmt, mem,
    sync::PoisonError,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    post::{Post, Stop},
    workers_error::{Cause, WorkersError},
};
use crate::{
    mailbox::Owner,
    primitives::{AtomicBool, Condvar, Mutex, Ordering, lock},
    sys::Process,
    unwind,
    wait_note::{self, WaitNote},
};

/// How long the other workers may go on when one has failed.
const FAILED_TIMEOUT: Duration = Duration::from_secs(10);

/// The two events of a stop that futures wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The first order to stop.
    Stop,
    /// The end of its time, or a second order.
    Cut,
}

pub(super) struct Group {
    /// One for each worker.
    pub(super) posts: Box<[Post]>,
    /// The processor of each worker.
    pub(super) cores: Box<[usize]>,
    /// The threads are in this process only.
    process: Process,
    /// The events that have come.
    has_come: [AtomicBool; 2],
    state: Mutex<State>,
    /// The phase has changed, or a thread is ready.
    has_changed: Condvar,
}

#[derive(Default)]
struct State {
    phase: Phase,
    ready_count: usize,
    /// Workers that have not ended.
    running_count: usize,
    stop: Option<Stop>,
    /// Whether `stop` was called. Otherwise the order is that of a failure.
    is_stop_called: bool,
    failure: Option<WorkersError>,
    /// Futures that wait for each event.
    waiters: [slab::Slab<Waker>; 2],
    /// The future that waits for the end of all.
    joiner: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Refused,
    Running,
}

impl Group {
    /// A set with a worker on each of `cores`.
    pub(super) fn new(cores: Vec<usize>) -> Self {
        Self {
            posts: cores.iter().map(|_| Post::default()).collect(),
            process: Process::current(),
            has_come: [AtomicBool::new(false), AtomicBool::new(false)],
            state: Mutex::new(State {
                running_count: cores.len(),
                ..State::default()
            }),
            has_changed: Condvar::new(),
            cores: cores.into(),
        }
    }

    /// Whether the threads belong to the process that this one is a fork of. Locks may be held by
    /// threads that are not here, so this is asked first.
    pub(super) fn is_inherited(&self) -> bool {
        !self.process.is_current()
    }

    /// Waits, on a worker's thread that has its runtime, until all have one. False when one of them
    /// has failed.
    pub(super) fn wait_for_others(&self) -> bool {
        let mut state = lock(&self.state);
        state.ready_count += 1;
        if state.phase == Phase::Starting && state.ready_count == self.posts.len() {
            state.phase = Phase::Running;
        }
        self.has_changed.notify_all();
        while state.phase == Phase::Starting {
            state = self
                .has_changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.phase == Phase::Running
    }

    /// Notes that a worker has not got its runtime, or its thread.
    pub(super) fn refuse(&self, index: usize, cause: Cause) {
        let error = WorkersError::new(index, cause);
        let mut state = lock(&self.state);
        state.phase = Phase::Refused;
        let later = keep_first(&mut state.failure, error);
        self.has_changed.notify_all();
        drop(state);
        unwind::swallow(|| drop(later));
    }

    /// Waits until the workers run.
    ///
    /// # Errors
    ///
    /// The failure of the first that could not start.
    pub(super) fn wait_until_running(&self) -> Result<(), WorkersError> {
        let mut state = lock(&self.state);
        while state.phase == Phase::Starting {
            state = self
                .has_changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match state.phase {
            Phase::Refused => Err(state.failure.take().expect("a refusal has its cause")),
            Phase::Starting | Phase::Running => Ok(()),
        }
    }

    /// Notes that a worker has ended. A failure stops the others.
    pub(super) fn end(&self, index: usize, failure: Option<Cause>) {
        let error = failure.map(|cause| WorkersError::new(index, cause));
        let mut told = Told::default();
        let mut state = lock(&self.state);
        state.running_count -= 1;
        let mut later = None;
        if let Some(error) = error {
            later = keep_first(&mut state.failure, error);
            if state.stop.is_none() {
                told = self.order(&mut state, Stop::Within(FAILED_TIMEOUT));
            }
        }
        let joiner = match state.running_count {
            0 => state.joiner.take(),
            _ => None,
        };
        drop(state);
        told.wake();
        // They are code of their makers, which this thread is not.
        unwind::swallow(|| joiner.into_iter().for_each(Waker::wake));
        unwind::swallow(|| drop(later));
    }

    /// Stops the workers. A second stop cuts.
    pub(super) fn stop(&self, timeout: Duration) {
        if self.is_inherited() {
            return;
        }
        let mut state = lock(&self.state);
        let is_first = !mem::replace(&mut state.is_stop_called, true);
        let stop = match state.stop {
            Some(Stop::Now) => return,
            _ if is_first => Stop::Within(timeout),
            _ => Stop::Now,
        };
        let told = self.order(&mut state, stop);
        drop(state);
        told.wake();
    }

    /// Puts an order into each post. They and the waiting futures are to be woken when the lock is
    /// released.
    fn order(&self, state: &mut State, stop: Stop) -> Told {
        state.stop = Some(stop);
        Told {
            posts: self.posts.iter().map(|post| post.order(stop)).collect(),
            waiters: self.note(state, Event::Stop),
        }
    }

    /// Notes that the time of a stop is over for one of the workers.
    pub(super) fn cut(&self) {
        if self.has_come(Event::Cut) {
            return;
        }
        let waiters = self.note(&mut lock(&self.state), Event::Cut);
        let told = Told {
            posts: Vec::new(),
            waiters,
        };
        told.wake();
    }

    /// Notes that an event has come, and returns the futures that wait for it.
    fn note(&self, state: &mut State, event: Event) -> slab::Slab<Waker> {
        self.has_come[event as usize].store(true, Ordering::Release);
        mem::take(&mut state.waiters[event as usize])
    }

    pub(super) fn has_come(&self, event: Event) -> bool {
        self.has_come[event as usize].load(Ordering::Acquire)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.has_come(Event::Stop)
    }

    /// Ready when `event` has come. `key` is the place of this future's waker.
    pub(super) fn poll_event(
        &self,
        event: Event,
        key: &mut Option<usize>,
        context: &Context<'_>,
    ) -> Poll<()> {
        if self.has_come(event) {
            *key = None;
            return Poll::Ready(());
        }
        if self.is_inherited() {
            return Poll::Pending;
        }
        // Cloning and dropping wakers is the user's code, so the lock is not held then.
        let waker = context.waker().clone();
        let mut state = lock(&self.state);
        if self.has_come(event) {
            // It has taken all wakers.
            *key = None;
            drop(state);
            drop(waker);
            return Poll::Ready(());
        }
        let waiters = &mut state.waiters[event as usize];
        let before = match *key {
            Some(key) => Some(mem::replace(&mut waiters[key], waker)),
            None => {
                *key = Some(waiters.insert(waker));
                None
            }
        };
        drop(state);
        drop(before);
        wait_note::leave(WaitNote::WorkersStop);
        Poll::Pending
    }

    /// Forgets the waker of a future that waits no more.
    pub(super) fn leave(&self, event: Event, key: usize) {
        if self.is_inherited() {
            return;
        }
        let mut state = lock(&self.state);
        let waker = if self.has_come(event) {
            None
        } else {
            Some(state.waiters[event as usize].remove(key))
        };
        drop(state);
        drop(waker);
    }

    /// Ready when every worker has ended, with the first failure.
    pub(super) fn poll_ended(&self, context: &Context<'_>) -> Poll<Result<(), WorkersError>> {
        if self.is_inherited() {
            return Poll::Ready(Err(WorkersError::inherited()));
        }
        let waker = context.waker().clone();
        let mut state = lock(&self.state);
        if state.running_count == 0 {
            let failure = state.failure.take();
            drop(state);
            drop(waker);
            return Poll::Ready(failure.map_or(Ok(()), Err));
        }
        let before = state.joiner.replace(waker);
        drop(state);
        drop(before);
        wait_note::leave(WaitNote::WorkersEnd);
        Poll::Pending
    }

    /// Forgets the waker of the future that waits for the end.
    pub(super) fn leave_joining(&self) {
        if !self.is_inherited() {
            let before = lock(&self.state).joiner.take();
            drop(before);
        }
    }
}

/// Those that an order concerns.
#[derive(Default)]
#[must_use = "they may sleep"]
struct Told {
    posts: Vec<Owner>,
    waiters: slab::Slab<Waker>,
}

impl Told {
    fn wake(self) {
        self.posts.into_iter().for_each(Owner::wake);
        for (_, waker) in self.waiters {
            unwind::swallow(|| waker.wake());
        }
    }
}

/// Keeps the first failure, and returns the other: it is dropped without the lock.
fn keep_first(first: &mut Option<WorkersError>, error: WorkersError) -> Option<WorkersError> {
    if first.is_some() {
        return Some(error);
    }
    *first = Some(error);
    None
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("cores", &self.cores)
            .field("is_stopping", &self.is_stopping())
            .finish_non_exhaustive()
    }
}
