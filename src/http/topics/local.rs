//! One thread's part of the topics: it hands out what was published to the subscribers that live
//! on this thread.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::Future,
    mem,
    pin::Pin,
    ptr,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    Lost, LostReason,
    delivery::Delivery,
    event_id::EventId,
    feed::{Feed, Scratch},
    hub::Hub,
    local_topic::LocalTopic,
    post::Post,
    published::Published,
};
use crate::{
    budget,
    driver::{self, Driver},
    http::alarm::Alarm,
    task, time, unwind,
};

/// Messages, and their bytes, that are added to the subscribers before these send: those of one
/// turn leave together.
const BATCH_MESSAGES_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 64 * 1024;
/// Subscribers that send before the other tasks of the thread get their turn.
const FLUSHES_PER_TURN: usize = 256;
/// How often the subscribers that have no room are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

thread_local! {
    /// The parts of this thread's runtimes, each while it has subscribers. Most threads have one.
    static LOCALS: RefCell<Vec<Rc<Local>>> = const { RefCell::new(Vec::new()) };
}

/// One thread's part of the topics. A task of its own runs it while there are subscribers.
///
/// It belongs to the runtime of that task. A thread may have several runtimes, in turn or one in a
/// task of another, and a child that fork(2) has made finds the parent's, which runs no more there.
pub(super) struct Local {
    /// The driver of its runtime, to know it by. The reference keeps other drivers from its
    /// address.
    home: Weak<Driver>,
    post: Arc<Post>,
    topics: RefCell<HashMap<u64, Rc<LocalTopic>>>,
    /// Messages that were taken from the post and not handed out yet.
    backlog: RefCell<VecDeque<Arc<Published>>>,
    /// The subscribers that send at the end of this turn.
    dirty: RefCell<VecDeque<Rc<Feed>>>,
    /// The subscribers that have no room.
    watched: RefCell<Vec<Rc<Feed>>>,
    /// The topics that have delivered messages in this turn.
    touched: RefCell<Vec<Rc<LocalTopic>>>,
    lost: RefCell<LostList>,
    /// Messages to be dropped at the end of the turn, which may run the user's code.
    dropped: RefCell<Vec<Rc<Delivery>>>,
    scratch: Cell<Scratch>,
    waker: Cell<Option<Waker>>,
    /// Connections that have or had subscriptions.
    feed_count: Cell<usize>,
    /// Its task has its turn, and looks at everything before it ends.
    is_in_turn: Cell<bool>,
    /// The runtime of the thread has ended.
    is_over: Cell<bool>,
}

/// Messages that a subscriber has lost.
struct LostMessages {
    /// None if it concerns all subscribers of the thread.
    feed: Option<Rc<Feed>>,
    topic: Rc<LocalTopic>,
    reason: LostReason,
    count: u64,
}

/// The messages that were lost in this turn: one entry for all that a subscriber has lost of a
/// topic for one reason.
#[derive(Default)]
struct LostList {
    entries: Vec<LostMessages>,
    /// Places in `entries`, which keep what the addresses are of.
    places: HashMap<(*const Feed, *const LocalTopic, LostReason), usize>,
}

impl LostList {
    fn add(&mut self, lost: LostMessages) {
        let feed = lost.feed.as_ref().map_or(ptr::null(), Rc::as_ptr);
        let key = (feed, Rc::as_ptr(&lost.topic), lost.reason);
        match self.places.entry(key) {
            Entry::Occupied(place) => self.entries[*place.get()].count += lost.count,
            Entry::Vacant(place) => {
                place.insert(self.entries.len());
                self.entries.push(lost);
            }
        }
    }
}

impl Local {
    /// The part of the runtime that this thread is in. It is made if there is none.
    pub(super) fn current() -> Rc<Self> {
        let home = driver::current().map_or_else(|_| Weak::new(), |driver| Rc::downgrade(&driver));
        let is_of_it = |local: &&Rc<Self>| local.home.ptr_eq(&home);
        let known = LOCALS.with_borrow(|locals| locals.iter().find(is_of_it).cloned());
        if let Some(local) = known {
            return local;
        }
        let local = Rc::new(Self {
            home,
            post: Arc::default(),
            topics: RefCell::default(),
            backlog: RefCell::default(),
            dirty: RefCell::default(),
            watched: RefCell::default(),
            touched: RefCell::default(),
            lost: RefCell::default(),
            dropped: RefCell::default(),
            scratch: Cell::default(),
            waker: Cell::new(None),
            feed_count: Cell::new(0),
            is_in_turn: Cell::new(false),
            is_over: Cell::new(false),
        });
        LOCALS.with_borrow_mut(|locals| locals.push(Rc::clone(&local)));
        let run = Run {
            local: Rc::clone(&local),
            is_owner: false,
            look: Alarm::default(),
        };
        drop(task::Builder::new().name("topics").spawn(run));
        local
    }

    /// Adds a subscriber to the topic of this name by `add`, which is called with the topic and the
    /// number of the first message for it. Returns the messages before that it is to get, as a
    /// history if it `is_new` to the topic.
    pub(super) fn join(
        self: &Rc<Self>,
        hub: &Arc<Hub>,
        name: &str,
        after: Option<EventId>,
        is_new: impl FnOnce(&LocalTopic) -> bool,
        add: impl FnOnce(&Rc<LocalTopic>, u64),
    ) -> Vec<Rc<Delivery>> {
        let (topic, joined) = hub.join(name, &self.post, after);
        let topic = {
            let mut topics = self.topics.borrow_mut();
            let known = topics.entry(topic.id);
            Rc::clone(known.or_insert_with(|| LocalTopic::new(topic)))
        };
        let is_history = is_new(&topic);
        add(&topic, joined.from);
        let since = time::now();
        let deliver = |published| {
            Rc::new(Delivery {
                published,
                topic: Rc::clone(&topic),
                since,
                is_history,
            })
        };
        joined.history.into_iter().map(deliver).collect()
    }

    /// Notes that a subscriber has left the topic, and forgets it if that was the last one.
    pub(super) fn forget_left(&self, topic: &Rc<LocalTopic>) {
        topic.topic.leave_all(&self.post, 1);
        if topic.is_empty() {
            let forgotten = self.topics.borrow_mut().remove(&topic.topic.id);
            drop(forgotten);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    pub(super) fn add_feed(&self) {
        self.feed_count.set(self.feed_count.get() + 1);
    }

    pub(super) fn remove_feed(&self) {
        self.feed_count.set(self.feed_count.get() - 1);
        if self.feed_count.get() == 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.is_in_turn.get() {
            return;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake_by_ref();
            self.waker.set(Some(waker));
        }
    }

    pub(super) fn add_dirty(&self, feed: Rc<Feed>) {
        let is_first = {
            let mut dirty = self.dirty.borrow_mut();
            dirty.push_back(feed);
            dirty.len() == 1
        };
        if is_first {
            self.wake();
        }
    }

    pub(super) fn watch(&self, feed: Rc<Feed>) {
        let is_first = {
            let mut watched = self.watched.borrow_mut();
            watched.push(feed);
            watched.len() == 1
        };
        if is_first {
            self.wake();
        }
    }

    pub(super) fn note_delivered(&self, topic: &Rc<LocalTopic>) {
        if topic.note_delivered() {
            self.touched.borrow_mut().push(Rc::clone(topic));
        }
    }

    pub(super) fn note_lost(
        &self,
        feed: &Rc<Feed>,
        topic: &Rc<LocalTopic>,
        reason: LostReason,
        count: u64,
    ) {
        topic.topic.count_dropped(count);
        if self.is_over.get() {
            // There is no turn any more that would tell it.
            return;
        }
        let is_first = {
            let mut lost = self.lost.borrow_mut();
            lost.add(LostMessages {
                feed: Some(Rc::clone(feed)),
                topic: Rc::clone(topic),
                reason,
                count,
            });
            lost.entries.len() == 1
        };
        if is_first {
            self.wake();
        }
    }

    pub(super) fn drop_later(&self, delivery: Rc<Delivery>) {
        self.dropped.borrow_mut().push(delivery);
    }

    /// Lets one subscriber send that has room again.
    pub(super) fn flush_one(&self, feed: &Rc<Feed>) {
        let mut scratch = self.scratch.take();
        feed.flush(&mut scratch);
        self.scratch.set(scratch);
        self.add_up();
    }

    /// Adds the messages that were delivered to the counters.
    fn add_up(&self) {
        let touched = self.touched.take();
        touched.iter().for_each(|topic| topic.add_up());
    }

    /// Hands out what was published, and lets the subscribers send. Returns whether there is more
    /// to do.
    fn turn(&self) -> bool {
        if self.dirty.borrow().is_empty() {
            self.take_post();
            self.hand_out();
        }
        let mut scratch = self.scratch.take();
        for _ in 0..FLUSHES_PER_TURN {
            let Some(feed) = self.next_dirty() else {
                break;
            };
            unwind::swallow(|| feed.flush(&mut scratch));
        }
        self.scratch.set(scratch);
        self.add_up();
        self.tell_lost();
        self.dropped.take().into_iter().for_each(discard);
        !self.backlog.borrow().is_empty() || self.post.has_mail()
    }

    /// Whether something has to be done in the next turn that was put off or came up in this one.
    fn has_work(&self) -> bool {
        !self.dirty.borrow().is_empty() || !self.lost.borrow().entries.is_empty()
    }

    fn next_dirty(&self) -> Option<Rc<Feed>> {
        let mut dirty = self.dirty.borrow_mut();
        let feed = dirty.pop_front();
        if dirty.is_empty() && dirty.capacity() > FLUSHES_PER_TURN {
            // A crowd has left room.
            *dirty = VecDeque::new();
        }
        feed
    }

    fn take_post(&self) {
        let Some(inbox) = self.post.take() else {
            return;
        };
        self.backlog.borrow_mut().extend(inbox.messages);
        let topics = self.topics.borrow();
        let lost = inbox.overrun.into_iter().filter_map(|(topic_id, count)| {
            Some(LostMessages {
                feed: None,
                topic: Rc::clone(topics.get(&topic_id)?),
                reason: LostReason::Overrun,
                count,
            })
        });
        let mut all = self.lost.borrow_mut();
        lost.for_each(|lost| all.add(lost));
    }

    /// Adds the next messages to their subscribers, as many as leave together.
    fn hand_out(&self) {
        let since = time::now();
        let mut bytes = 0;
        for _ in 0..BATCH_MESSAGES_MAX {
            let Some(published) = self.next_message() else {
                break;
            };
            self.post.note_handed_out(&published);
            bytes += published.len();
            let topic = self.topics.borrow().get(&published.topic_id).cloned();
            if let Some(topic) = topic {
                let number = published.id.number;
                let delivery = Rc::new(Delivery {
                    published,
                    topic,
                    since,
                    is_history: false,
                });
                let topic = &delivery.topic;
                topic.each_from(number, |feed| feed.push(&delivery));
                self.drop_later(delivery);
            } else {
                discard(published);
            }
            if bytes >= BATCH_BYTES_MAX {
                break;
            }
        }
    }

    fn next_message(&self) -> Option<Arc<Published>> {
        let mut backlog = self.backlog.borrow_mut();
        let message = backlog.pop_front();
        if backlog.is_empty() && backlog.capacity() > 4 * BATCH_MESSAGES_MAX {
            *backlog = VecDeque::new();
        }
        message
    }

    /// Calls the functions that want to know of lost messages. They may publish and subscribe.
    fn tell_lost(&self) {
        if self.lost.borrow().entries.is_empty() {
            return;
        }
        for lost in self.lost.take().entries {
            let Some(on_lost) = lost.topic.topic.on_lost() else {
                continue;
            };
            let outlet = lost.feed.as_ref().and_then(|feed| feed.outlet());
            let told = Lost {
                topic: &lost.topic.topic.name,
                reason: lost.reason,
                count: lost.count,
                peer: outlet.and_then(|outlet| outlet.peer_addr()),
            };
            unwind::swallow(|| on_lost(&told));
            // It is the last reference if the settings were replaced meanwhile.
            discard(on_lost);
        }
    }

    /// Looks at the subscribers that have no room. Returns whether there are any.
    fn look(&self, now: Instant) -> bool {
        let watched = self.watched.take();
        let mut still: Vec<_> = watched.into_iter().filter(|feed| feed.look(now)).collect();
        let mut watched = self.watched.borrow_mut();
        still.append(&mut watched);
        *watched = still;
        !watched.is_empty()
    }
}

/// The task of a thread's part.
struct Run {
    local: Rc<Local>,
    is_owner: bool,
    /// Until the subscribers that have no room are looked at.
    look: Alarm,
}

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let run = self.get_mut();
        let local = &run.local;
        if !run.is_owner {
            // A task keeps its waker as long as it lives.
            run.is_owner = true;
            local.post.set_owner(Some(context.waker().clone()));
            drop(local.waker.replace(Some(context.waker().clone())));
        }
        local.is_in_turn.set(true);
        let has_more = local.turn();
        while !local.watched.borrow().is_empty() {
            let next = || time::now() + LOOK_INTERVAL;
            if run.look.poll_at(next, context).is_pending() || !local.look(time::now()) {
                break;
            }
        }
        local.is_in_turn.set(false);
        if local.feed_count.get() == 0 {
            return Poll::Ready(());
        }
        if has_more || local.has_work() {
            // The other tasks and the kernel have their turn.
            budget::exhaust();
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Run {
    /// There are no subscribers any more, or the runtime has ended with them.
    fn drop(&mut self) {
        let local = &self.local;
        local.is_over.set(true);
        let removed = LOCALS.try_with(|locals| {
            let mut locals = locals.borrow_mut();
            let place = locals.iter().position(|known| Rc::ptr_eq(known, local))?;
            Some(locals.swap_remove(place))
        });
        drop(removed);
        local.post.set_owner(None);
        drop(local.waker.take());
        let topics = local.topics.take();
        for topic in topics.values() {
            topic.add_up();
            topic.topic.leave_all(&local.post, topic.len());
        }
        // Feeds that live on keep the post, which no topic puts into any more.
        let mut messages = mem::take(&mut *local.backlog.borrow_mut());
        messages.extend(
            local
                .post
                .take()
                .into_iter()
                .flat_map(|inbox| inbox.messages),
        );
        for published in messages {
            if let Some(topic) = topics.get(&published.topic_id) {
                let count = topic.count_from(published.id.number);
                topic.topic.count_dropped(count);
            }
            discard(published);
        }
        local.dropped.take().into_iter().for_each(discard);
        discard((local.dirty.take(), local.watched.take()));
        local.lost.take().entries.into_iter().for_each(discard);
        topics.into_values().for_each(discard);
    }
}

/// Drops what may be the last reference to a message or a topic, and may run the user's code.
fn discard<T>(value: T) {
    unwind::swallow(|| drop(value));
}
