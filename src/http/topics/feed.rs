//! The messages that wait for one subscriber.

use std::{
    cell::{Cell, RefCell},
    mem,
    rc::{Rc, Weak},
    time::Instant,
};

use super::{
    LostReason, Outlet, Piece, Slow, Subscription, Topics, catch_up::CatchUp, delivery::Delivery,
    event_id::EventId, local::Local, local_topic::LocalTopic, options::Settings, pending::Pending,
};
use crate::unwind;

/// A frame up to this size is copied behind others, so that many small ones leave by one send. A
/// larger one is sent from where it is.
const COPIED_BYTES_MAX: usize = 4 * 1024;
/// Bytes that are copied together for one send.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The subscriptions of a connection, and the messages that wait for it: none at rest.
///
/// Those that a turn of its worker has brought leave at the turn's end. A message waits longer only
/// while the connection has no room: the feed is *blocked* then, the rule of the message's topic
/// counts, and the connection asks for more when it has room ([`FeedHandle::note_room`]).
pub(super) struct Feed {
    local: Rc<Local>,
    outlet: Weak<dyn Outlet>,
    subscriptions: RefCell<Vec<Place>>,
    pending: RefCell<Pending>,
    pending_bytes: Cell<usize>,
    /// From the first message of a history until nothing waits.
    catch_up: Cell<Option<Box<CatchUp>>>,
    /// It stands in the list of those that send at the end of this turn.
    is_dirty: Cell<bool>,
    is_blocked: Cell<bool>,
    /// It stands in the list of those that are looked at once a second.
    is_watched: Cell<bool>,
    /// Its connection is too slow, and is ended in this turn.
    is_too_slow: Cell<bool>,
    has_ended: Cell<bool>,
}

/// The place of a feed among the subscribers of a topic.
struct Place {
    topic: Rc<LocalTopic>,
    place: u32,
}

/// The memory for what is sent together.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    /// Messages that were sent. To drop one may run the user's code, so nothing is borrowed then.
    sent: Vec<Rc<Delivery>>,
}

impl Feed {
    fn new(local: Rc<Local>, outlet: Weak<dyn Outlet>) -> Rc<Self> {
        local.add_feed();
        Rc::new(Self {
            local,
            outlet,
            subscriptions: RefCell::default(),
            pending: RefCell::default(),
            pending_bytes: Cell::new(0),
            catch_up: Cell::new(None),
            is_dirty: Cell::new(false),
            is_blocked: Cell::new(false),
            is_watched: Cell::new(false),
            is_too_slow: Cell::new(false),
            has_ended: Cell::new(false),
        })
    }

    pub(super) fn outlet(&self) -> Option<Rc<dyn Outlet>> {
        self.outlet.upgrade()
    }

    /// Notes that it stands at another place among the subscribers of a topic.
    pub(super) fn set_place(&self, slot: u32, place: u32) {
        self.subscriptions.borrow_mut()[slot as usize].place = place;
    }

    fn is_subscribed(&self, is_it: impl Fn(&LocalTopic) -> bool) -> Option<usize> {
        let subscriptions = self.subscriptions.borrow();
        subscriptions.iter().position(|place| is_it(&place.topic))
    }

    fn subscribe(
        self: &Rc<Self>,
        topics: &Topics,
        name: &str,
        after: Option<EventId>,
    ) -> Subscription {
        let known = self.is_subscribed(|topic| topic.topic.is(topics.hub(), name));
        if self.has_ended.get() || self.local.is_over() || known.is_some() {
            return Subscription::new(name, Rc::downgrade(self), topics);
        }
        // One that leaves and comes again while it has no room gets each history under the limits.
        let is_new = |topic: &LocalTopic| {
            let is_of_it = |waiting: &Delivery| waiting.topic.topic.is_named_as(&topic.topic);
            !self.pending.borrow().has(is_of_it)
        };
        let history = self
            .local
            .join(topics.hub(), name, after, is_new, |topic, from| {
                let mut subscriptions = self.subscriptions.borrow_mut();
                let slot = u32::try_from(subscriptions.len()).expect("they fit the memory");
                let place = topic.add(Rc::clone(self), slot, from);
                let topic = Rc::clone(topic);
                if subscriptions.is_empty() {
                    // Most connections have one.
                    subscriptions.reserve_exact(1);
                }
                subscriptions.push(Place { topic, place });
            });
        for delivery in history {
            self.push(&delivery);
        }
        Subscription::new(name, Rc::downgrade(self), topics)
    }

    pub(super) fn unsubscribe(&self, topics: &Topics, name: &str) {
        let Some(slot) = self.is_subscribed(|topic| topic.topic.is(topics.hub(), name)) else {
            return;
        };
        let left = {
            let mut subscriptions = self.subscriptions.borrow_mut();
            let left = subscriptions.swap_remove(slot);
            if let Some(moved) = subscriptions.get(slot) {
                let slot = u32::try_from(slot).expect("it was one before");
                moved.topic.set_slot(moved.place, slot);
            }
            left
        };
        left.topic.remove(left.place);
        self.local.forget_left(&left.topic);
    }

    /// Adds a message, by the rule of its topic if it is blocked.
    pub(super) fn push(self: &Rc<Self>, delivery: &Rc<Delivery>) {
        if self.has_ended.get() {
            return;
        }
        if self.is_blocked.get() && !self.make_room(delivery) {
            return;
        }
        self.note_added(delivery);
        self.pending.borrow_mut().push(Rc::clone(delivery));
        if !self.is_blocked.get() {
            self.set_dirty();
        }
    }

    /// Has its turn at the end of this one.
    fn set_dirty(self: &Rc<Self>) {
        if !self.is_dirty.replace(true) {
            self.local.add_dirty(Rc::clone(self));
        }
    }

    fn note_added(&self, delivery: &Delivery) {
        let bytes = self.pending_bytes.get();
        self.pending_bytes.set(bytes + delivery.len());
        if delivery.is_history {
            let mut catch_up = self.catch_up.take().unwrap_or_default();
            catch_up.add(delivery);
            self.catch_up.set(Some(catch_up));
        }
    }

    /// Notes that a message does not wait any more.
    fn note_removed(&self, delivery: &Delivery) {
        let bytes = self.pending_bytes.get();
        self.pending_bytes.set(bytes - delivery.len());
        if delivery.is_history {
            self.if_catching_up(|catch_up| catch_up.remove(delivery));
        }
    }

    fn if_catching_up<R>(&self, call: impl FnOnce(&mut CatchUp) -> R) -> Option<R> {
        let mut catch_up = self.catch_up.take()?;
        let result = call(&mut catch_up);
        self.catch_up.set(Some(catch_up));
        Some(result)
    }

    /// Whether there is room for the message of a slow subscriber, by the rule of its topic.
    fn make_room(self: &Rc<Self>, delivery: &Rc<Delivery>) -> bool {
        let settings = &delivery.published.settings;
        self.drop_stale(delivery.since);
        if self.is_too_slow.get() {
            // It is blocked until it is ended.
            self.local
                .note_lost(self, &delivery.topic, LostReason::Closed, 1);
            return false;
        }
        match settings.slow {
            Slow::LastValue => {
                // Several were added in the turn in which it had no room any more.
                while self.drop_oldest_of(&delivery.topic, LostReason::Replaced) {}
                true
            }
            Slow::DropNew if self.is_over(settings, delivery) => {
                self.local
                    .note_lost(self, &delivery.topic, LostReason::Full, 1);
                false
            }
            Slow::DropOldest => {
                while self.is_over(settings, delivery) {
                    if !self.drop_oldest_of(&delivery.topic, LostReason::Full) {
                        // The room is taken by messages of other topics.
                        self.local
                            .note_lost(self, &delivery.topic, LostReason::Full, 1);
                        return false;
                    }
                }
                true
            }
            Slow::Close if !delivery.is_history && self.is_over(settings, delivery) => {
                self.set_too_slow();
                self.local
                    .note_lost(self, &delivery.topic, LostReason::Closed, 1);
                false
            }
            Slow::DropNew | Slow::Close => true,
        }
    }

    /// Whether the message would exceed the limit.
    fn is_over(&self, settings: &Settings, delivery: &Delivery) -> bool {
        let mut bytes = self.pending_bytes.get();
        if settings.slow == Slow::Close {
            // The subscriber would be closed by each history that is longer than the limit.
            bytes -= self
                .if_catching_up(|catch_up| catch_up.bytes())
                .unwrap_or(0);
        }
        bytes > 0 && bytes.saturating_add(delivery.len()) > settings.pending_bytes_max
    }

    /// Drops the message of this topic that has waited longest. False if there is none. A message
    /// that waits since before the topic was left and joined again is of it as well.
    fn drop_oldest_of(self: &Rc<Self>, topic: &LocalTopic, reason: LostReason) -> bool {
        let is_of_it = |waiting: &Delivery| waiting.topic.topic.is_named_as(&topic.topic);
        let found = self.pending.borrow_mut().take_first(is_of_it);
        let is_found = found.is_some();
        if let Some(dropped) = found {
            self.lose(dropped, reason);
        }
        is_found
    }

    /// Drops messages that have waited too long, or ends a connection to which that must not
    /// happen.
    pub(super) fn drop_stale(self: &Rc<Self>, now: Instant) {
        let moved = self.if_catching_up(|catch_up| catch_up.moved()).flatten();
        loop {
            let oldest = {
                let mut pending = self.pending.borrow_mut();
                let is_stale = pending.first().is_some_and(|oldest| {
                    let settings = &oldest.published.settings;
                    let mut since = oldest.since;
                    if let Some(moved) = moved.filter(|_| settings.slow == Slow::Close) {
                        since = since.max(moved);
                    }
                    let age = now.saturating_duration_since(since);
                    settings.slow != Slow::LastValue && age > settings.pending_age_max
                });
                if is_stale { pending.pop() } else { None }
            };
            let Some(oldest) = oldest else { return };
            if oldest.published.settings.slow == Slow::Close {
                self.lose(oldest, LostReason::Closed);
                return self.set_too_slow();
            }
            self.lose(oldest, LostReason::Stale);
        }
    }

    fn lose(self: &Rc<Self>, delivery: Rc<Delivery>, reason: LostReason) {
        self.note_removed(&delivery);
        self.local.note_lost(self, &delivery.topic, reason, 1);
        self.local.drop_later(delivery);
    }

    /// Lets its connection be ended in this turn. Waiting messages are lost.
    fn set_too_slow(self: &Rc<Self>) {
        if self.is_too_slow.replace(true) {
            return;
        }
        let mut waiting = self.pending.take();
        while let Some(delivery) = waiting.pop() {
            self.lose(delivery, LostReason::Closed);
        }
        if let Some(place) = self.subscriptions.borrow().first() {
            place.topic.topic.count_closed();
        }
        self.set_dirty();
    }

    /// Sends what waits, as far as its connection has room.
    pub(super) fn flush(self: &Rc<Self>, scratch: &mut Scratch) {
        self.is_dirty.set(false);
        if self.has_ended.get() {
            return;
        }
        let Some(outlet) = self.outlet() else {
            return self.end();
        };
        if self.is_too_slow.get() {
            self.end();
            return outlet.close_slow();
        }
        // Those of a feed whose send has panicked.
        unwind::swallow(|| scratch.sent.clear());
        while !self.has_ended.get() && !self.pending.borrow().is_empty() {
            if !outlet.has_room() {
                return self.block();
            }
            self.send_some(&*outlet, scratch);
            // The last reference to a message may run the user's code.
            unwind::swallow(|| scratch.sent.clear());
        }
        self.is_blocked.set(false);
        drop(self.catch_up.take());
    }

    /// Sends messages in one piece. The connection's code runs while nothing is borrowed.
    fn send_some(&self, outlet: &dyn Outlet, scratch: &mut Scratch) {
        scratch.bytes.clear();
        {
            let mut pending = self.pending.borrow_mut();
            while let Some(first) = pending.first() {
                let form = outlet.form(&first.published);
                let is_first = scratch.sent.is_empty();
                let is_alone = is_first && (pending.is_alone() || form.len() > COPIED_BYTES_MAX);
                let is_too_much = form.len() > COPIED_BYTES_MAX
                    || scratch.bytes.len() + form.len() > PIECE_BYTES_MAX;
                if !is_alone {
                    if !is_first && is_too_much {
                        break;
                    }
                    scratch.bytes.extend_from_slice(form);
                }
                self.note_removed(first);
                scratch.sent.extend(pending.pop());
                if is_alone {
                    break;
                }
            }
        }
        for delivery in &scratch.sent {
            self.local.note_delivered(&delivery.topic);
        }
        match &*scratch.sent {
            [only] if scratch.bytes.is_empty() => {
                outlet.send(Piece::Shared(outlet.form(&only.published)));
            }
            _ => outlet.send(Piece::Borrowed(&scratch.bytes)),
        }
    }

    fn block(self: &Rc<Self>) {
        self.is_blocked.set(true);
        if !self.is_watched.replace(true) {
            self.local.watch(Rc::clone(self));
        }
    }

    /// Looks at it, once a second. False if it is not blocked any more.
    pub(super) fn look(self: &Rc<Self>, now: Instant) -> bool {
        if self.has_ended.get() || !self.is_blocked.get() {
            self.is_watched.set(false);
            return false;
        }
        self.drop_stale(now);
        if let Some(outlet) = self.outlet() {
            outlet.look();
        }
        true
    }

    /// Ends all subscriptions. Waiting messages are lost.
    pub(super) fn end(self: &Rc<Self>) {
        if self.has_ended.replace(true) {
            return;
        }
        let left = self.subscriptions.take();
        for place in &left {
            place.topic.remove(place.place);
            self.local.forget_left(&place.topic);
        }
        let mut waiting = self.pending.take();
        while let Some(delivery) = waiting.pop() {
            self.local
                .note_lost(self, &delivery.topic, LostReason::Left, 1);
            // The last reference to a message may run the user's code.
            unwind::swallow(|| drop(delivery));
        }
        self.pending_bytes.set(0);
        drop(self.catch_up.take());
        self.local.remove_feed();
    }
}

/// The hold of a connection on its subscriptions, which end with it. A connection that has none
/// holds the room for a pointer.
#[derive(Default)]
pub(crate) struct FeedHandle {
    feed: Cell<Option<Rc<Feed>>>,
}

impl FeedHandle {
    /// Subscribes to a topic. The connection is `outlet`, and gets the messages that were kept, or
    /// those that follow `after`. Once it has ended it subscribes to nothing.
    pub(crate) fn subscribe(
        &self,
        topics: &Topics,
        name: &str,
        after: Option<EventId>,
        outlet: impl FnOnce() -> Weak<dyn Outlet>,
    ) -> Subscription {
        let feed = self.feed();
        let feed = feed.unwrap_or_else(|| Feed::new(Local::current(), outlet()));
        self.feed.set(Some(Rc::clone(&feed)));
        feed.subscribe(topics, name, after)
    }

    /// Sends more, since the connection has room again. False if nothing has waited for that.
    #[inline]
    pub(crate) fn note_room(&self) -> bool {
        let feed = self.feed().filter(|feed| feed.is_blocked.get());
        if let Some(feed) = &feed {
            feed.local.flush_one(feed);
        }
        feed.is_some()
    }

    #[inline]
    fn feed(&self) -> Option<Rc<Feed>> {
        let feed = self.feed.take()?;
        self.feed.set(Some(Rc::clone(&feed)));
        Some(feed)
    }

    /// Ends all subscriptions.
    pub(crate) fn end(&self) {
        if let Some(feed) = self.feed() {
            feed.end();
        }
    }
}

#[cfg(test)]
impl FeedHandle {
    /// How many messages wait.
    pub(super) fn pending_count(&self) -> usize {
        self.feed().map_or(0, |feed| feed.pending.borrow().len())
    }
}

impl Drop for FeedHandle {
    fn drop(&mut self) {
        if let Some(feed) = mem::take(self.feed.get_mut()) {
            feed.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subscriber costs this, 24 bytes in each of its topics and 16 in its own list of them.
    #[test]
    fn a_feed_is_small() {
        let bytes = size_of::<Feed>() + 2 * size_of::<usize>();
        println!("a feed has {bytes} bytes");
        assert!(bytes <= 144, "{bytes}");
    }
}
