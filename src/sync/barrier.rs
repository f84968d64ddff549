//! [`Barrier`]: has several tasks wait for each other.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::waiters::{Place, Waiters};
use crate::{
    budget::{self, PutOff},
    wait_note::{self, WaitNote},
};

/// A place in a program at which a number of tasks wait for each other, again and again.
///
/// # Examples
///
/// ```
/// use annulus::{spawn, sync::Barrier};
/// use std::rc::Rc;
///
/// annulus::run(async {
///     let barrier = Rc::new(Barrier::new(3));
///     let tasks = [(); 3].map(|()| {
///         let barrier = Rc::clone(&barrier);
///         spawn(async move {
///             // .. the first part of the work ..
///             let is_leader = barrier.wait().await.is_leader();
///             // .. the second part, when all tasks have done the first ..
///             is_leader
///         })
///     });
///     let mut leader_count = 0;
///     for task in tasks {
///         leader_count += usize::from(task.await?);
///     }
///     assert_eq!(leader_count, 1);
///     Ok::<(), annulus::task::JoinError>(())
/// })
/// # .unwrap();
/// ```
pub struct Barrier {
    /// Tasks that meet each time.
    count: usize,
    /// Those that are there. While they wait, they are fewer than `count`.
    waiters: Waiters<()>,
}

impl Barrier {
    /// Returns a barrier for `count` tasks. With a count of zero or one no task waits.
    pub const fn new(count: usize) -> Barrier {
        Barrier {
            count,
            waiters: Waiters::new(),
        }
    }

    /// Waits until as many tasks wait as the barrier was made for. The last one goes on at once and
    /// is the leader.
    ///
    /// # Cancel safety
    ///
    /// A task counts from the first poll of its future until this is dropped. So a dropped future
    /// counts no more, and the barrier waits for another task in its place.
    pub fn wait(&self) -> BarrierWait<'_> {
        BarrierWait {
            barrier: self,
            state: State::New,
            put_off: PutOff::new(),
        }
    }

    /// Whether all other tasks are there.
    fn is_last(&self) -> bool {
        self.waiters.len() + 1 >= self.count
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("count", &self.count)
            .field("waiting", &self.waiters.len())
            .finish()
    }
}

/// The future of [`Barrier::wait`].
#[must_use = "it waits only when it is awaited or polled"]
pub struct BarrierWait<'a> {
    barrier: &'a Barrier,
    state: State,
    put_off: PutOff,
}

enum State {
    New,
    Waiting(Place),
    Done,
}

impl BarrierWait<'_> {
    /// Arrives as one that waits for others, or as the last one.
    fn arrive(&mut self, context: &Context<'_>) -> Poll<BarrierWaitResult> {
        let barrier = self.barrier;
        if !barrier.is_last() {
            let waker = context.waker().clone();
            // Cloning a waker is user code, by which others may have come.
            if !barrier.is_last() {
                self.state = State::Waiting(barrier.waiters.push(waker, 1));
                wait_note::leave(WaitNote::Barrier);
                return Poll::Pending;
            }
        }
        budget::spend();
        self.state = State::Done;
        barrier.waiters.wake_all(());
        Poll::Ready(BarrierWaitResult { is_leader: true })
    }
}

impl Future for BarrierWait<'_> {
    type Output = BarrierWaitResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let this = &mut *self;
        match &this.state {
            State::New => {
                let is_last = this.barrier.is_last();
                if budget::is_spent() && is_last && this.put_off.waits(context) {
                    return Poll::Pending;
                }
                this.arrive(context)
            }
            State::Waiting(place) => {
                wait_note::leave(WaitNote::Barrier);
                ready!(this.barrier.waiters.poll_chosen(place, context.waker()));
                this.state = State::Done;
                Poll::Ready(BarrierWaitResult { is_leader: false })
            }
            State::Done => panic!("a wait at a barrier was polled after it was ready"),
        }
    }
}

impl Drop for BarrierWait<'_> {
    fn drop(&mut self) {
        if let State::Waiting(place) = mem::replace(&mut self.state, State::Done) {
            // Whether it was chosen is nothing that another task could have in its place.
            drop(self.barrier.waiters.remove(place));
        }
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").finish_non_exhaustive()
    }
}

/// Tells one of the tasks that met at a [`Barrier`] from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Whether this task was the last one to come. That is one of those that met.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}
