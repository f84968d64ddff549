//! The mailbox of a worker: messages from other threads, and orders to stop.
//!
//! A [`Post`] is a mailbox, so many messages wake a sleeping worker once. The [`Keeper`] is the
//! task of the worker that empties it. It makes a task of each message, in the order in which they
//! came, so that no message runs inside of another's turn.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::group::{Event, Group};
use crate::{
    mailbox::{Mailbox, Owner},
    primitives::{AtomicBool, Ordering},
    shrink,
    time::{Sleep, sleep},
    unwind,
};

/// The ways to stop a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its future may go on for so long.
    Within(Duration),
    /// At once.
    Now,
}

/// A message is called on the worker's thread, where it spawns its task. One that is dropped
/// instead tells its sender that the worker has ended.
pub(super) type Message = Box<dyn FnOnce() + Send>;

/// The time that a worker's future has after a cut for which it has asked: to return what it has to
/// tell.
const CUT_GRACE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Post {
    mailbox: Mailbox<Letters>,
    /// Whether the worker's code has asked for each event, and so will notice it.
    asks_for: [AtomicBool; 2],
}

#[derive(Default)]
struct Letters {
    messages: Vec<Message>,
    stop: Option<Stop>,
    /// The worker takes no messages any more.
    is_closed: bool,
}

impl Post {
    /// Hands a message in, or returns it when the worker has ended.
    pub(super) fn send(&self, message: Message) -> Result<(), Message> {
        let mut message = Some(message);
        let owner = self.mailbox.change(|letters| {
            if !letters.is_closed {
                letters.messages.extend(message.take());
            }
        });
        owner.wake();
        message.map_or(Ok(()), Err)
    }

    /// Puts an order in, and leaves the wake to the caller.
    pub(super) fn order(&self, stop: Stop) -> Owner {
        self.mailbox.change(|letters| letters.stop = Some(stop))
    }

    /// Notes that the worker's code asks for an event. Code that asks for the cut goes on until
    /// then.
    pub(super) fn ask_for(&self, event: Event) {
        for asks in &self.asks_for[..=event as usize] {
            // A load in most cases, so that a check in a loop shares the line.
            if !asks.load(Ordering::Relaxed) {
                asks.store(true, Ordering::Relaxed);
            }
        }
    }

    fn asks_for(&self, event: Event) -> bool {
        self.asks_for[event as usize].load(Ordering::Relaxed)
    }

    /// Refuses further messages, and returns those that wait.
    fn close(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        let owner = self.mailbox.change(|letters| {
            letters.is_closed = true;
            messages = mem::take(&mut letters.messages);
        });
        // The owner is the keeper, which this ends.
        drop(owner);
        messages
    }
}

/// Closes a worker's post when it is dropped, which it is inside of the worker's runtime.
pub(super) struct Open {
    group: Arc<Group>,
    index: usize,
}

impl Open {
    pub(super) fn new(group: Arc<Group>, index: usize) -> Self {
        Self { group, index }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let post = &self.group.posts[self.index];
        let messages = post.close();
        let owner = post.mailbox.set_owner(None);
        // The content of a message is its sender's, and so is its panic.
        for message in messages {
            unwind::swallow(|| drop(message));
        }
        drop(owner);
    }
}

/// The end of a worker's future before its time, as its thread sees it.
#[derive(Default)]
pub(super) struct Cut {
    is_cut: Cell<bool>,
    /// The waker of the worker's future.
    waker: RefCell<Option<Waker>>,
}

impl Cut {
    /// Polls `future` until it is ready, or cut.
    pub(super) async fn unless_cut<F: Future>(&self, mut future: Pin<&mut F>) -> Option<F::Output> {
        let mut is_registered = false;
        std::future::poll_fn(|context| {
            if self.is_cut.get() {
                return Poll::Ready(None);
            }
            // The waker of a runtime's root is the same at each poll.
            if !is_registered {
                is_registered = true;
                self.waker.replace(Some(context.waker().clone()));
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }

    fn cut(&self) {
        self.is_cut.set(true);
        let waker = self.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The task of a worker that empties its post.
pub(super) struct Keeper {
    group: Arc<Group>,
    index: usize,
    cut: Rc<Cut>,
    is_owner: bool,
    /// The time that a stop, and then the cut, leaves to the worker's future.
    deadline: Option<Pin<Box<Sleep>>>,
    has_told_cut: bool,
    /// Messages taken; empty between two polls.
    messages: Vec<Message>,
}

impl Keeper {
    pub(super) fn new(group: Arc<Group>, index: usize, cut: Rc<Cut>) -> Self {
        Self {
            group,
            index,
            cut,
            is_owner: false,
            deadline: None,
            has_told_cut: false,
            messages: Vec::new(),
        }
    }

    fn obey(&mut self, stop: Stop) {
        match stop {
            Stop::Within(timeout) if timeout > Duration::ZERO && self.asks_for(Event::Stop) => {
                // After the cut an order of its own has come too late to give more time.
                if !self.has_told_cut {
                    self.deadline = Some(Box::pin(sleep(timeout)));
                }
            }
            Stop::Within(_) | Stop::Now => self.cut(),
        }
    }

    fn asks_for(&self, event: Event) -> bool {
        self.group.posts[self.index].asks_for(event)
    }

    /// Ends the time of a stop. A future that has asked for the cut is woken, and dropped a second
    /// later; any other is dropped at once.
    fn cut(&mut self) {
        self.deadline = None;
        if !self.has_told_cut && self.asks_for(Event::Cut) {
            self.has_told_cut = true;
            self.deadline = Some(Box::pin(sleep(CUT_GRACE)));
            self.group.cut();
        } else {
            self.cut.cut();
        }
    }
}

impl Future for Keeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let post = &this.group.posts[this.index];
        // The waker of a task is the same at each poll.
        if !this.is_owner {
            this.is_owner = true;
            post.mailbox.set_owner(Some(context.waker().clone()));
        }
        let messages = &mut this.messages;
        let stop = post.mailbox.take(|letters| {
            mem::swap(&mut letters.messages, messages);
            letters.stop.take()
        });
        for message in messages.drain(..) {
            message();
        }
        shrink::empty(messages);
        if let Some(stop) = stop.flatten() {
            this.obey(stop);
        }
        while let Some(deadline) = &mut this.deadline {
            if deadline.as_mut().poll(context).is_pending() {
                break;
            }
            this.cut();
        }
        Poll::Pending
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}
