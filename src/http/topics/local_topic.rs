//! A topic's subscribers on one thread.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use super::{feed::Feed, topic::Topic};

/// A topic's subscribers on one thread.
pub(super) struct LocalTopic {
    pub(super) topic: Arc<Topic>,
    members: RefCell<Vec<Member>>,
    /// Messages that were delivered since this was added to the topic's counters.
    delivered: Cell<u64>,
}

/// A subscriber of a topic.
struct Member {
    feed: Rc<Feed>,
    /// The place of the topic among those of the feed.
    slot: u32,
    /// The number of its first message. Earlier ones came to it from the history, or were
    /// published before it subscribed.
    from: u64,
}

impl LocalTopic {
    pub(super) fn new(topic: Arc<Topic>) -> Rc<Self> {
        Rc::new(Self {
            topic,
            members: RefCell::default(),
            delivered: Cell::new(0),
        })
    }

    /// Adds a subscriber, and returns its place. The topic has `slot` among those of the feed.
    pub(super) fn add(&self, feed: Rc<Feed>, slot: u32, from: u64) -> u32 {
        let mut members = self.members.borrow_mut();
        let place = u32::try_from(members.len()).expect("there are fewer than 2^32 connections");
        members.push(Member { feed, slot, from });
        place
    }

    /// Removes the subscriber at this place. The last one takes it.
    pub(super) fn remove(&self, place: u32) {
        let removed = {
            let mut members = self.members.borrow_mut();
            let removed = members.swap_remove(place as usize);
            if let Some(moved) = members.get(place as usize) {
                moved.feed.set_place(moved.slot, place);
            }
            // Room that a crowd has left is given back.
            if members.capacity() > 64 && members.len() < members.capacity() / 4 {
                members.shrink_to_fit();
            }
            removed
        };
        drop(removed);
    }

    /// Notes that the topic has another slot among those of its subscriber at `place`.
    pub(super) fn set_slot(&self, place: u32, slot: u32) {
        self.members.borrow_mut()[place as usize].slot = slot;
    }

    pub(super) fn len(&self) -> usize {
        self.members.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.borrow().is_empty()
    }

    /// Calls with each subscriber that is to get message `number`. None is added or removed
    /// meanwhile.
    pub(super) fn each_from(&self, number: u64, mut call: impl FnMut(&Rc<Feed>)) {
        for member in &*self.members.borrow() {
            if number >= member.from {
                call(&member.feed);
            }
        }
    }

    /// The number of subscribers that are to get message `number`.
    pub(super) fn count_from(&self, number: u64) -> u64 {
        let mut count = 0;
        self.each_from(number, |_| count += 1);
        count
    }

    /// Counts a message that was delivered. True for the first one since they were added up.
    #[inline]
    pub(super) fn note_delivered(&self) -> bool {
        let delivered = self.delivered.get();
        self.delivered.set(delivered + 1);
        delivered == 0
    }

    /// Adds the messages that were delivered to the counters of the topic.
    pub(super) fn add_up(&self) {
        self.topic.count_delivered(self.delivered.take());
    }
}
