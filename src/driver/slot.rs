//! The slot of one operation in flight.

use std::{collections::VecDeque, task::Waker};

use super::silent::Heard;
use crate::{
    shrink::SPARE_MAX,
    sys::{Completion, errno},
};

/// Names a slot: an index that is used again, and a generation that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Key {
    #[inline]
    pub(super) fn user_data(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    #[inline]
    pub(super) fn from_user_data(user_data: u64) -> Self {
        Self {
            index: user_data as u32,
            generation: (user_data >> 32) as u32,
        }
    }
}

/// The fate of an operation that was given up.
#[derive(Debug)]
pub(crate) enum Withdrawn {
    /// The kernel never saw it: everything may be freed.
    NeverRan,
    /// It has completed, and its result must be looked at.
    Done(Completion),
    /// The kernel has it: leave it to the driver.
    InFlight,
    /// The driver closed without its final completion: its memory must never be freed.
    Lost,
}

/// An operation whose future is gone.
pub(crate) trait Abandoned {
    /// Takes a completion that is not the last. It runs while the driver is borrowed, so it must
    /// neither call the driver nor run anything of the user's.
    fn part(&mut self, completion: Completion);

    /// Takes the final completion, and drops the operation's result and all that it held.
    fn finish(self: Box<Self>, completion: Completion);
}

/// The kind of an operation, for dumps: its opcode, and 24 bits of its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct What(u32);

/// In place of a descriptor: none.
const NO_FD: u32 = (1 << 24) - 1;

impl What {
    #[inline]
    pub(super) fn new(opcode: u8, fd: i32) -> Self {
        // The upper bits of the descriptor fall off.
        Self((fd as u32) << 8 | u32::from(opcode))
    }

    pub(super) fn opcode(self) -> u8 {
        self.0 as u8
    }

    pub(super) fn fd(self) -> Option<i32> {
        let fd = self.0 >> 8;
        (fd != NO_FD).then_some(fd as i32)
    }
}

pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) what: What,
    /// The place of the entry in the submission queue, or of a wait for readiness among the waiters
    /// of its source.
    pub(super) number: u64,
    pub(super) state: State,
}

/// The slot of an operation that has not been taken yet.
#[inline]
pub(super) fn live(slots: &mut slab::Slab<Slot>, key: Key) -> &mut Slot {
    let slot = slots
        .get_mut(key.index as usize)
        .expect("a live key has a slot");
    assert_eq!(
        slot.generation, key.generation,
        "a live key has its slot's generation"
    );
    slot
}

pub(super) enum State {
    /// Invariant: the operation's future, which is alive, keeps what the kernel may touch.
    Waiting(Waker),
    /// As `Waiting`, but this result does not wake the task.
    Quiet(Waker, i32),
    Done(Completion),
    Multi(Multi),
    /// Invariant: the box keeps what the kernel may touch.
    Abandoned(Box<dyn Abandoned>),
}

/// One completion of a multishot, waiting to be taken.
#[derive(Debug)]
pub(crate) enum Item {
    /// As it came.
    Raw(Completion),
    /// Its bytes were copied out of the provided buffer, which is the kernel's again. Boxed,
    /// because it is rare and every slot has room for an item.
    Copied(Box<(Completion, Box<[u8]>)>),
}

impl Item {
    #[inline]
    pub(crate) fn completion(&self) -> Completion {
        match self {
            Self::Raw(completion) => *completion,
            Self::Copied(copied) => copied.0,
        }
    }

    #[inline]
    pub(super) fn holds_buffer(&self) -> bool {
        matches!(self, Self::Raw(completion) if completion.buffer_id().is_some())
    }
}

/// The items of a multishot after the first. Boxed, since there are none most of the time and every
/// slot has room for it.
type Rest = Box<VecDeque<Item>>;

/// A queue with room for more items is not kept.
const REST_ITEMS_MAX: usize = 64;

/// Empty queues, kept for the next multishots that several items wait in. So a burst of datagrams,
/// of which one turn brings many, allocates nothing once there were others.
#[derive(Default)]
pub(super) struct SpareRests(Vec<Rest>);

impl SpareRests {
    fn take(&mut self) -> Rest {
        self.0.pop().unwrap_or_default()
    }

    fn put(&mut self, rest: Option<Rest>) {
        if self.0.len() < SPARE_MAX {
            let rest = rest.filter(|rest| rest.capacity() <= REST_ITEMS_MAX);
            self.0.extend(rest);
        }
    }

    /// Drops all of them.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

/// The queue of a multishot. Most of the time it is empty or holds one item, so the first stands
/// in the slot and only further ones need memory.
pub(super) struct Multi {
    pub(super) waker: Option<Waker>,
    first: Option<Item>,
    rest: Option<Rest>,
    /// The stream that it receives from, or minus one.
    fd: i32,
    limit: u8,
    pub(super) heard: Heard,
    pub(super) flight: Flight,
    /// Whether it stands in the list of those that hold a provided buffer.
    pub(super) is_listed: bool,
}

/// The stages of a multishot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flight {
    GoesOn,
    /// Its final completion is still to come.
    Cancelled,
    Ended,
}

impl Multi {
    /// A receive that goes on by itself names its stream.
    pub(super) fn new(limit: u8, waker: Option<Waker>, stream: Option<i32>) -> Self {
        Self {
            waker,
            first: None,
            rest: None,
            fd: stream.unwrap_or(-1),
            limit,
            heard: Heard::Never,
            flight: Flight::GoesOn,
            is_listed: false,
        }
    }

    /// Ends it as cancelled, if its final completion has not come, when none will come any more.
    pub(super) fn end(&mut self, spares: &mut SpareRests) {
        if self.is_in_flight() {
            self.flight = Flight::Ended;
            self.push(Completion::new(-errno::ECANCELED), spares);
        }
    }

    /// Whether the final completion is still to come.
    #[inline]
    pub(super) fn is_in_flight(&self) -> bool {
        self.flight != Flight::Ended
    }

    #[inline]
    pub(super) fn fd(&self) -> i32 {
        self.fd
    }

    /// Whether the kernel still receives for it, so that it waits to be told of an end.
    pub(super) fn can_miss_an_end(&self) -> bool {
        self.fd >= 0 && self.flight == Flight::GoesOn
    }

    #[inline]
    pub(super) fn push(&mut self, completion: Completion, spares: &mut SpareRests) {
        let item = Item::Raw(completion);
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.push_rest(item, spares);
        }
    }

    #[inline(never)]
    fn push_rest(&mut self, item: Item, spares: &mut SpareRests) {
        let rest = self.rest.get_or_insert_with(|| spares.take());
        rest.push_back(item);
    }

    #[inline]
    pub(super) fn pop(&mut self, spares: &mut SpareRests) -> Option<Item> {
        let item = self.first.take()?;
        if self.rest.is_some() {
            self.pop_rest(spares);
        }
        Some(item)
    }

    /// Takes the item if it is the only one, brought something, and others will follow.
    #[inline]
    pub(super) fn pop_only(&mut self) -> Option<Item> {
        if self.rest.is_some() || self.flight != Flight::GoesOn {
            return None;
        }
        self.first
            .take_if(|item| item.completion().more() && item.completion().res > 0)
    }

    /// Moves the next item to the front.
    #[inline(never)]
    fn pop_rest(&mut self, spares: &mut SpareRests) {
        if let Some(rest) = &mut self.rest {
            self.first = rest.pop_front();
            if rest.is_empty() {
                spares.put(self.rest.take());
            }
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The completion that came last, if it was not taken.
    pub(super) fn last(&self) -> Option<Completion> {
        let last = self.rest.as_ref().and_then(|rest| rest.back());
        last.or(self.first.as_ref()).map(Item::completion)
    }

    pub(super) fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        let rest = self.rest.as_deref_mut().into_iter().flatten();
        self.first.iter_mut().chain(rest)
    }

    /// Whether a provided buffer waits to be taken.
    pub(super) fn holds_buffer(&self) -> bool {
        let rest = self.rest.as_deref().into_iter().flatten();
        self.first.iter().chain(rest).any(Item::holds_buffer)
    }

    /// Whether so much waits that the operation has to stop.
    #[inline]
    pub(super) fn is_over_limit(&self) -> bool {
        let len = usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |r| r.len());
        len >= usize::from(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_way_through_user_data() {
        let key = Key {
            index: 7,
            generation: u32::MAX,
        };
        assert_eq!(Key::from_user_data(key.user_data()), key);
    }

    #[test]
    fn a_multishots_items_come_out_in_order() {
        let spares = &mut SpareRests::default();
        let mut multi = Multi::new(2, None, None);
        assert!(multi.pop(spares).is_none());
        for res in 0..5 {
            assert_eq!(multi.is_over_limit(), res >= 2);
            multi.push(Completion::new(res), spares);
        }
        assert_eq!(multi.items_mut().count(), 5);
        for res in 0..5 {
            assert_eq!(multi.pop(spares).unwrap().completion().res, res);
        }
        assert!(multi.pop(spares).is_none() && !multi.is_over_limit());
    }

    #[test]
    fn an_emptied_queue_is_kept_for_the_next_multishot_unless_it_is_large() {
        let spares = &mut SpareRests::default();
        let mut fill = |count| {
            let mut multi = Multi::new(2, None, None);
            (0..count).for_each(|res| multi.push(Completion::new(res), spares));
            while multi.pop(spares).is_some() {}
            spares.0.len()
        };
        assert_eq!([1, 2, 30, 30].map(&mut fill), [0, 1, 1, 1]);
        assert_eq!(fill(1000), 0);
    }

    #[test]
    fn a_slot_fits_a_cache_line() {
        assert!(size_of::<Slot>() <= 64, "{}", size_of::<Slot>());
    }
}
