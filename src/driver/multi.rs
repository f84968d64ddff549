//! Multishots: one operation with many completions, which queue in its slot until they are taken.

use std::{
    cell::RefMut,
    io,
    task::{Context, Poll, Waker},
};

use super::{
    Abandoned, Core, Driver, Item, Key,
    slot::{self, Flight, Multi, Slot, State},
};
use crate::sys::{Completion, Entry};

/// With fewer entries the list of multishots that hold a buffer is not tidied.
pub(super) const PARKED_MIN: usize = 1024;

/// The state that `Driver::watch_multi` found.
pub(crate) enum MultiState {
    InFlight,
    /// With its last completion, which waits in the queue.
    Ended(Completion),
}

impl Driver {
    /// Pushes a multishot `entry`. At `limit` completions that were not taken, it is cancelled. A
    /// receive that goes on by itself names its `stream`, whose end the kernel may fail to report.
    ///
    /// # Safety
    ///
    /// As [`Driver::submit`].
    pub(crate) unsafe fn submit_multi(
        &self,
        entry: Entry,
        limit: u8,
        waker: Option<Waker>,
        stream: Option<i32>,
    ) -> io::Result<Key> {
        self.push_slot(State::Multi(Multi::new(limit, waker, stream)), entry)
    }

    /// The next completion of a multishot. One without `MORE` is the last, and frees the slot.
    #[inline]
    pub(crate) fn poll_multi(&self, key: Key, context: &Context<'_>) -> Poll<Item> {
        {
            let mut guard = self.core.borrow_mut();
            let core = &mut *guard;
            let multi = multi_in(&mut core.slots, key);
            if let Some(item) = multi.pop(&mut core.spare_rests) {
                return Poll::Ready(take_item(guard, key, item));
            }
            let waker = multi.waker.as_ref();
            if waker.is_some_and(|waker| waker.will_wake(context.waker())) {
                return Poll::Pending;
            }
        }
        let waker = context.waker().clone();
        let mut core = self.core.borrow_mut();
        let multi = core.multi(key);
        if multi.is_empty() {
            let old = multi.waker.replace(waker);
            drop(core);
            drop(old);
            return Poll::Pending;
        }
        drop(core);
        self.come_meanwhile(key)
    }

    /// Takes the only completion of a multishot that goes on, and registers for the next one. None
    /// if there is none, several, or one that says more than that bytes came: nothing has changed
    /// then.
    #[inline]
    pub(crate) fn take_and_watch(&self, key: Key, context: &Context<'_>) -> Option<Item> {
        // This is the user's code, so nothing is borrowed.
        let waker = context.waker().clone();
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let multi = multi_of(&mut core.slots, key)?;
        let item = multi.pop_only()?;
        let old = multi.waker.replace(waker);
        if item.holds_buffer() {
            core.parked_buffers -= 1;
        }
        drop(guard);
        drop(old);
        Some(item)
    }

    /// The completion that was handled while a waker was cloned, which is code of the user's.
    #[cold]
    fn come_meanwhile(&self, key: Key) -> Poll<Item> {
        self.try_multi(key).map_or(Poll::Pending, Poll::Ready)
    }

    /// The next completion of a multishot that is here already.
    pub(crate) fn try_multi(&self, key: Key) -> Option<Item> {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let item = multi_in(&mut core.slots, key).pop(&mut core.spare_rests)?;
        Some(take_item(guard, key, item))
    }

    /// Whether a multishot goes on and nothing waits in its queue.
    pub(crate) fn multi_is_silent(&self, key: Key) -> bool {
        let mut core = self.core.borrow_mut();
        let multi = core.multi(key);
        multi.is_in_flight() && multi.is_empty()
    }

    /// The last completion of a multishot, once it waits in the queue.
    pub(crate) fn multi_end(&self, key: Key) -> Option<Completion> {
        let mut core = self.core.borrow_mut();
        let multi = core.multi(key);
        if multi.is_in_flight() {
            None
        } else {
            multi.last()
        }
    }

    /// Registers for the next completion of a multishot and takes none, or tells how it ended.
    pub(crate) fn watch_multi(&self, key: Key, context: &Context<'_>) -> MultiState {
        {
            let mut core = self.core.borrow_mut();
            let multi = core.multi(key);
            if let (Some(last), false) = (multi.last(), multi.is_in_flight()) {
                return MultiState::Ended(last);
            }
            let waker = multi.waker.as_ref();
            if waker.is_some_and(|waker| waker.will_wake(context.waker())) {
                return MultiState::InFlight;
            }
        }
        let waker = context.waker().clone();
        let mut core = self.core.borrow_mut();
        let multi = core.multi(key);
        if let (Some(last), false) = (multi.last(), multi.is_in_flight()) {
            return MultiState::Ended(last);
        }
        let old = multi.waker.replace(waker);
        drop(core);
        drop(old);
        MultiState::InFlight
    }

    /// Asks the kernel to end a multishot. Completions that it still delivers come as before.
    pub(crate) fn cancel_multi(&self, key: Key) {
        self.leave_inherited();
        let mut core = self.core.borrow_mut();
        let multi = core.multi(key);
        if multi.flight == Flight::GoesOn {
            multi.flight = Flight::Cancelled;
            core.cancel(key);
        }
    }

    /// Leaves a multishot to the driver: what waits in its queue and what still comes goes to
    /// `abandoned`, and the final completion finishes it.
    pub(crate) fn abandon_multi(&self, key: Key, mut abandoned: Box<dyn Abandoned>) {
        self.leave_inherited();
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let slot = core.slots.get_mut(key.index as usize);
        let Some(slot) = slot.filter(|slot| slot.generation == key.generation) else {
            drop(guard);
            return drop(abandoned);
        };
        let State::Multi(multi) = &mut slot.state else {
            unreachable!("only a multishot that has an owner is abandoned here")
        };
        let mut last = None;
        while let Some(item) = multi.pop(&mut core.spare_rests) {
            if item.holds_buffer() {
                core.parked_buffers -= 1;
            }
            match item {
                Item::Raw(completion) if completion.more() => abandoned.part(completion),
                Item::Raw(completion) => last = Some(completion),
                // The bytes were ours already, and what is left names no buffer any more.
                Item::Copied(copied) if copied.0.more() => {}
                Item::Copied(_) => last = Some(Completion::new(0)),
            }
        }
        if let Some(completion) = last {
            let slot = core.slots.remove(key.index as usize);
            drop(guard);
            drop(slot);
            return abandoned.finish(completion);
        }
        let goes_on = multi.flight == Flight::GoesOn;
        core.abandoned += 1;
        let old = std::mem::replace(&mut slot.state, State::Abandoned(abandoned));
        if goes_on {
            core.cancel(key);
        }
        drop(guard);
        drop(old);
    }

    /// Copies what is parked in provided buffers out of them, so that the kernel has some again. It
    /// looks at slots in which something came since the last time, and at no others.
    pub(crate) fn copy_out_parked(&self, copy: &mut dyn FnMut(Completion) -> Option<Box<[u8]>>) {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        if let Ok(mut events) = self.events.try_borrow_mut() {
            core.list_parked(&mut events.completions);
        }
        if core.parked_buffers == 0 {
            return;
        }
        // Pieces that cannot be copied need no second look, so the list is empty afterwards.
        for key in core.parked.drain(..) {
            let Some(multi) = multi_of(&mut core.slots, key) else {
                continue;
            };
            multi.is_listed = false;
            for item in multi.items_mut() {
                let completion = item.completion();
                // One that brought no bytes says something else, which a copy could not say.
                if !item.holds_buffer() || completion.res <= 0 {
                    continue;
                }
                if let Some(bytes) = copy(completion) {
                    *item = Item::Copied(Box::new((completion, bytes)));
                    core.parked_buffers -= 1;
                }
            }
        }
    }
}

impl Core {
    /// Lists the multishots of the last turn that still hold a buffer. Most turns leave none, and
    /// cost no more than a look at the count.
    #[inline]
    pub(super) fn list_parked(&mut self, last_turn: &mut Vec<(u64, Completion)>) {
        if self.parked_buffers > 0 {
            self.list_parked_now(last_turn);
        }
        last_turn.clear();
    }

    #[inline(never)]
    fn list_parked_now(&mut self, last_turn: &[(u64, Completion)]) {
        for &(user_data, completion) in last_turn {
            if completion.buffer_id().is_none() {
                continue;
            }
            let key = Key::from_user_data(user_data);
            match multi_of(&mut self.slots, key) {
                Some(multi) if !multi.is_listed && multi.holds_buffer() => {
                    multi.is_listed = true;
                    self.parked.push(key);
                }
                _ => {}
            }
        }
        if self.parked.len() > self.parked_max {
            self.tidy_parked();
        }
    }

    /// Takes those out of the list that hold no buffer any more.
    #[cold]
    pub(super) fn tidy_parked(&mut self) {
        let slots = &mut self.slots;
        self.parked.retain(|&key| {
            multi_of(slots, key).is_some_and(|multi| {
                multi.is_listed = multi.holds_buffer();
                multi.is_listed
            })
        });
        self.parked_max = 2 * self.parked.len() + PARKED_MIN;
        self.parked.shrink_to(self.parked_max);
    }

    #[inline]
    pub(super) fn multi(&mut self, key: Key) -> &mut Multi {
        multi_in(&mut self.slots, key)
    }
}

/// The multishot that `key` names, for a borrow of the slots alone.
#[inline]
fn multi_in(slots: &mut slab::Slab<Slot>, key: Key) -> &mut Multi {
    match &mut slot::live(slots, key).state {
        State::Multi(multi) => multi,
        _ => unreachable!("a multishot's key names a multishot"),
    }
}

/// The multishot that `key` names, if it is still there.
fn multi_of(slots: &mut slab::Slab<Slot>, key: Key) -> Option<&mut Multi> {
    let slot = slots.get_mut(key.index as usize)?;
    match &mut slot.state {
        State::Multi(multi) if slot.generation == key.generation => Some(multi),
        _ => None,
    }
}

/// Notes that `item` was taken from a multishot's queue. Behind the last one its slot goes, once
/// the driver is no longer borrowed.
#[inline(always)] // a call would cost a request 15 instructions
fn take_item(mut core: RefMut<'_, Core>, key: Key, item: Item) -> Item {
    if item.holds_buffer() {
        core.parked_buffers -= 1;
    }
    if !item.completion().more() {
        let slot = core.slots.remove(key.index as usize);
        drop(core);
        drop(slot);
    }
    item
}
