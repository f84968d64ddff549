//! The topics by name.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Message, Options,
    counts::Counters,
    event_id::EventId,
    options::Settings,
    post::Post,
    topic::{Joined, Topic},
};
use crate::unwind::lock;

/// The topics by name.
///
/// The map is locked before a topic, and none of the user's code runs while either is.
pub(super) struct Hub {
    topics: Mutex<HashMap<Box<str>, Arc<Topic>>>,
    /// The settings of topics that have none of their own.
    options: Options,
    pub(super) counters: Counters,
}

/// The id of the next topic.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Hub {
    pub(super) fn new(options: Options) -> Self {
        Self {
            topics: Mutex::default(),
            options,
            counters: Counters::default(),
        }
    }

    /// The topic of this name, if there is one.
    pub(super) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        lock(&self.topics).get(name).cloned()
    }

    /// The settings of the topic of this name.
    pub(super) fn settings_of(&self, name: &str) -> Arc<Settings> {
        match self.topic(name) {
            Some(topic) => topic.settings(),
            None => Arc::clone(self.options.settings()),
        }
    }

    /// Calls with the topic of this name, which is made if there is none. It stays while `call`
    /// runs.
    fn with_topic<R>(self: &Arc<Self>, name: &str, call: impl FnOnce(&Arc<Topic>) -> R) -> R {
        let mut topics = lock(&self.topics);
        if let Some(topic) = topics.get(name) {
            return call(topic);
        }
        let settings = Arc::clone(self.options.settings());
        let topic = Arc::new(Topic::new(unique(), name, settings, Arc::downgrade(self)));
        let result = call(&topic);
        topics.insert(name.into(), topic);
        result
    }

    /// Publishes, and returns how many subscribers there are.
    pub(super) fn publish(self: &Arc<Self>, name: &str, message: Message) -> usize {
        Counters::add(&self.counters.published, 1);
        let topic = if self.options.settings().history_count > 0 {
            self.with_topic(name, Arc::clone)
        } else {
            match self.topic(name) {
                Some(topic) => topic,
                None => return 0,
            }
        };
        Counters::add(&topic.counters.published, 1);
        let outcome = topic.publish(message);
        for owner in outcome.owners {
            owner.wake();
        }
        if outcome.overrun_count > 0 {
            topic.count_dropped(outcome.overrun_count as u64);
        }
        outcome.subscriber_count
    }

    /// Adds a subscriber of a worker to the topic of this name.
    pub(super) fn join(
        self: &Arc<Self>,
        name: &str,
        post: &Arc<Post>,
        after: Option<EventId>,
    ) -> (Arc<Topic>, Joined) {
        self.with_topic(name, |topic| (Arc::clone(topic), topic.join(post, after)))
    }

    pub(super) fn configure(self: &Arc<Self>, name: &str, options: &Options) {
        let settings = Arc::clone(options.settings());
        let replaced = self.with_topic(name, |topic| topic.configure(settings));
        drop(replaced);
    }

    pub(super) fn remove(&self, name: &str) {
        let Some(topic) = self.topic(name) else {
            return;
        };
        let cleared = topic.clear(Arc::clone(self.options.settings()));
        self.forget_idle(&topic);
        drop(cleared);
    }

    /// Forgets a topic that has nothing to be kept.
    pub(super) fn forget_idle(&self, topic: &Arc<Topic>) {
        let mut topics = lock(&self.topics);
        let known = topics.get(&*topic.name);
        if known.is_some_and(|known| Arc::ptr_eq(known, topic)) && topic.is_idle() {
            topics.remove(&*topic.name);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.topics).len()
    }
}

impl Topic {
    /// Removes so many subscribers of a worker, and forgets a topic that has nothing left.
    pub(super) fn leave_all(self: &Arc<Self>, post: &Arc<Post>, count: usize) {
        self.leave(post, count);
        if let Some(hub) = self.hub.upgrade() {
            hub.forget_idle(self);
        }
    }

    pub(super) fn count_delivered(&self, count: u64) {
        self.count(count, |counters| &counters.delivered);
    }

    pub(super) fn count_dropped(&self, count: u64) {
        self.count(count, |counters| &counters.dropped);
    }

    pub(super) fn count_closed(&self) {
        self.count(1, |counters| &counters.closed);
    }

    fn count(&self, count: u64, counter: impl Fn(&Counters) -> &AtomicU64) {
        Counters::add(counter(&self.counters), count);
        if let Some(hub) = self.hub.upgrade() {
            Counters::add(counter(&hub.counters), count);
        }
    }

    /// Whether it is one of these topics, and has this name.
    pub(super) fn is(&self, hub: &Arc<Hub>, name: &str) -> bool {
        *self.name == *name && std::ptr::eq(self.hub.as_ptr(), Arc::as_ptr(hub))
    }

    /// Whether it has the name of `other`, among the same topics. One may have been forgotten
    /// before the other was made.
    pub(super) fn is_named_as(&self, other: &Self) -> bool {
        self.id == other.id || (self.name == other.name && self.hub.ptr_eq(&other.hub))
    }
}

/// The id of a new topic, and its epoch.
fn unique() -> (u64, u64) {
    let id = NEXT_ID.fetch_add(1, Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let microseconds = now.map_or(0, |since| since.as_micros() as u64);
    (id, microseconds.wrapping_add(id))
}
