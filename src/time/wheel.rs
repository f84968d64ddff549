//! The timer wheel: entries in a table, in slots by index.
//!
//! A level has 64 slots. A slot of level 0 is one tick (1 ms) wide, a slot of level `n` is `64^n`
//! ticks. An entry stands on the lowest level on which its tick and the wheel's position differ in
//! the slot alone, which has three consequences: every entry of a level is due before every entry
//! of the level above, within a level the slots are in order of time, and no slot wraps around. The
//! earliest slot is therefore the first occupied one of the lowest occupied level. Eight levels
//! hold every deadline there is (44 bits of ticks), so none is clamped.
//!
//! When the position reaches a slot of a higher level its entries move down, in their order.
//! Entries of one tick keep the order in which they were armed: an entry can be armed on a lower
//! level than an older one of the same tick only after the older one has come down.
//!
//! The wheel reads no clock and calls no waker.

use std::task::Waker;

use super::slots::{Chunk, NONE, Place, Slots};
use crate::shrink;

/// Nanoseconds since the clock's base, the deadlines' unit.
pub(super) type Nanos = i64;

const TICK_NANOS: u64 = 1_000_000;
const LEVEL_COUNT: usize = 8;
const LEVEL_BITS: u32 = 6;
const LEVEL_SLOT_COUNT: usize = 1 << LEVEL_BITS;

/// In the place of a slot's index: the entry has fired.
const DUE: u16 = u16::MAX;
/// In the place of a slot's index: the entry is on the free list.
const FREE: u16 = u16::MAX - 1;

struct Entry {
    deadline: Nanos,
    waker: Option<Waker>,
    /// Its chunk in the slot. Also the link of the free list.
    chunk: u32,
    /// The index of its slot, [`DUE`] or [`FREE`].
    slot_index: u16,
    /// Its position in the chunk.
    position: u8,
}

const _: () = assert!(size_of::<Entry>() <= 32);

/// The state that a look at an entry found.
pub(super) enum Look {
    /// It has fired.
    Due,
    /// It is pending and holds a waker for the same task.
    Pending,
    /// It is pending and holds another waker.
    PendingForOther,
}

pub(super) struct Wheel {
    /// The position, in ticks. Outside of `fire` every pending entry's tick is greater.
    position: u64,
    /// For each level a bit for each slot that holds an entry.
    occupied: [u64; LEVEL_COUNT],
    slots: Slots<{ LEVEL_COUNT * LEVEL_SLOT_COUNT }>,
    entries: Vec<Entry>,
    /// The entries from this index on are free and were not used since the table was last empty.
    /// Timers that are armed one after the other then lie side by side, which the processor
    /// foresees.
    fresh: u32,
    /// The free entries below `fresh`.
    first_free: u32,
    /// How many entries are pending or due.
    used_count: usize,
    due_count: usize,
    fired_count: u64,
    /// Decides when `entries` gives its room back.
    room: shrink::Table,
}

/// The first tick that is not before `deadline`.
#[inline]
#[expect(
    clippy::manual_div_ceil,
    reason = "it cannot know that the sum fits, and would multiply twice"
)]
fn tick_after(deadline: Nanos) -> u64 {
    (deadline.max(0) as u64 + (TICK_NANOS - 1)) / TICK_NANOS
}

/// The last tick that is not after `now`.
fn tick_before(now: Nanos) -> u64 {
    now.max(0) as u64 / TICK_NANOS
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel {
            position: 0,
            occupied: [0; LEVEL_COUNT],
            slots: Slots::new(),
            entries: Vec::new(),
            fresh: 0,
            first_free: NONE,
            used_count: 0,
            due_count: 0,
            fired_count: 0,
            room: shrink::Table::default(),
        }
    }

    pub(super) fn pending_count(&self) -> usize {
        self.used_count - self.due_count
    }

    /// Shows each pending entry's deadline and waker to `look`.
    pub(super) fn for_each_pending(&self, mut look: impl FnMut(Nanos, &Waker)) {
        for entry in &self.entries {
            if let (Some(waker), true) = (&entry.waker, entry.slot_index < FREE) {
                look(entry.deadline, waker);
            }
        }
    }

    pub(super) fn fired_count(&self) -> u64 {
        self.fired_count
    }

    /// Whether the position has reached `deadline`, so that no entry may be armed for it.
    #[inline]
    pub(super) fn has_passed(&self, deadline: Nanos) -> bool {
        tick_after(deadline) <= self.position
    }

    /// Whether `deadline` is in the tick that comes next, or has passed: the clock has to decide.
    #[inline]
    pub(super) fn is_near(&self, deadline: Nanos) -> bool {
        tick_after(deadline) <= self.position + 1
    }

    /// Arms an entry for a deadline that has not passed and returns its index. It is the caller's
    /// until it calls [`Wheel::free`].
    #[inline]
    pub(super) fn arm(&mut self, deadline: Nanos, waker: Waker) -> u32 {
        let index = if self.first_free == NONE {
            self.take_fresh()
        } else {
            let index = self.first_free;
            self.first_free = self.entries[index as usize].chunk;
            index
        };
        let (slot_index, place) = self.append(index, deadline);
        let entry = &mut self.entries[index as usize];
        let other = entry.waker.replace(waker);
        assert!(other.is_none(), "an entry that is given out is free");
        entry.deadline = deadline;
        entry.stand(slot_index, place);
        self.used_count += 1;
        index
    }

    /// An entry that is not on the free list.
    #[inline]
    fn take_fresh(&mut self) -> u32 {
        let index = self.fresh;
        if index as usize == self.entries.len() {
            self.add_fresh();
        }
        self.fresh += 1;
        index
    }

    #[cold]
    fn add_fresh(&mut self) {
        assert!(
            self.fresh != NONE,
            "fewer than 2^32 timers fit into a process"
        );
        self.entries.push(Entry {
            deadline: 0,
            waker: None,
            chunk: NONE,
            slot_index: FREE,
            position: 0,
        });
    }

    #[inline]
    pub(super) fn look(&self, index: u32, waker: &Waker) -> Look {
        match &self.entries[index as usize].waker {
            None => Look::Due,
            Some(stored) if stored.will_wake(waker) => Look::Pending,
            Some(_) => Look::PendingForOther,
        }
    }

    /// Sets a pending entry's waker and returns the old one, or gives the new one back if the entry
    /// has fired. The caller drops either after the borrow.
    pub(super) fn replace_waker(&mut self, index: u32, waker: Waker) -> Result<Waker, Waker> {
        match &mut self.entries[index as usize].waker {
            Some(stored) => Ok(std::mem::replace(stored, waker)),
            None => Err(waker),
        }
    }

    /// Moves a pending entry to another deadline that has not passed; its waker stays. Returns
    /// whether the entry was pending.
    pub(super) fn rearm(&mut self, index: u32, deadline: Nanos) -> bool {
        if self.entries[index as usize].slot_index == DUE {
            return false;
        }
        self.unlink(index);
        self.entries[index as usize].deadline = deadline;
        self.link(index);
        true
    }

    /// Ends an entry, pending or due. The caller drops or wakes the waker after the borrow.
    #[inline]
    pub(super) fn free(&mut self, index: u32) -> Option<Waker> {
        if self.entries[index as usize].slot_index == DUE {
            self.due_count -= 1;
        } else {
            self.unlink(index);
        }
        self.used_count -= 1;
        let entry = &mut self.entries[index as usize];
        entry.slot_index = FREE;
        if self.used_count == 0 {
            // The table begins anew, whatever the order in which its entries were freed.
            self.fresh = 0;
            self.first_free = NONE;
        } else {
            entry.chunk = self.first_free;
            self.first_free = index;
        }
        entry.waker.take()
    }

    /// Gives back memory if far fewer entries are in use than there is room for.
    #[inline]
    pub(super) fn give_back(&mut self) {
        let (used, capacity) = (self.used_count, self.entries.capacity());
        if self.room.is_due::<Entry>(used, capacity) {
            self.shrink();
        }
    }

    /// Gives back the memory of entries that are free, as far as none is behind them that is not.
    pub(super) fn shrink(&mut self) {
        while self
            .entries
            .last()
            .is_some_and(|entry| entry.slot_index == FREE)
        {
            self.entries.pop();
        }
        self.entries.shrink_to_fit();
        self.slots.shrink();
        // It was counted up to here by `take_fresh`.
        self.fresh = self.entries.len() as u32;
        self.first_free = NONE;
        // The first ones are given out first, so that those behind them become free.
        for (index, entry) in self.entries.iter_mut().enumerate().rev() {
            if entry.slot_index == FREE {
                entry.chunk = self.first_free;
                self.first_free = index as u32;
            }
        }
    }

    /// The start of the earliest slot: no entry is due before it. `fire` at that time either fires
    /// an entry or moves the slot's entries down, after which the answer is later.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        let (_, tick) = self.earliest_slot()?;
        // Ticks of deadlines come from `Nanos`; rounding up can exceed it at its very end.
        Some(Nanos::try_from(tick * TICK_NANOS).unwrap_or(Nanos::MAX))
    }

    /// The exact earliest deadline. It takes as long as its slot has entries.
    pub(super) fn earliest_deadline(&self) -> Option<Nanos> {
        let (slot_index, _) = self.earliest_slot()?;
        let indices = self.slots.chunks(slot_index).flat_map(Chunk::indices);
        indices
            .map(|index| self.entries[index as usize].deadline)
            .min()
    }

    /// Fires every entry whose tick has come.
    pub(super) fn fire(&mut self, now: Nanos, woken: &mut Vec<Waker>) {
        let now = tick_before(now);
        while let Some((slot_index, tick)) = self.earliest_slot() {
            if tick > now {
                break;
            }
            self.position = tick;
            self.mark_empty(slot_index);
            let mut at = self.slots.take(slot_index);
            while let Some(chunk) = self.slots.pop(&mut at) {
                for index in chunk.indices() {
                    if slot_index < LEVEL_SLOT_COUNT {
                        self.make_due(index, woken);
                    } else {
                        self.link(index);
                    }
                }
            }
        }
        self.position = self.position.max(now);
    }

    /// Fires every entry whose deadline has come, to the nanosecond and in their order. It looks
    /// at every entry of a slot for each deadline in it, which is fine for a paused clock only.
    pub(super) fn fire_exactly(&mut self, now: Nanos, woken: &mut Vec<Waker>) {
        while let Some(deadline) = self.earliest_deadline() {
            if deadline > now {
                break;
            }
            // This fires the deadline if it is at the end of its tick, and otherwise moves the
            // position to the tick before.
            self.fire(deadline, woken);
            if let Some((slot_index, _)) = self.earliest_slot() {
                let chunks = self.slots.chunks(slot_index);
                let indices: Vec<u32> = chunks.flat_map(Chunk::indices).collect();
                for index in indices {
                    if self.entries[index as usize].deadline <= deadline {
                        self.unlink(index);
                        self.make_due(index, woken);
                    }
                }
            }
        }
        self.fire(now, woken);
    }

    /// The index of the earliest slot that holds an entry, and its first tick.
    fn earliest_slot(&self) -> Option<(usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = LEVEL_BITS * level as u32;
        let block = self.position >> (shift + LEVEL_BITS) << LEVEL_BITS;
        let tick = (block | u64::from(slot)) << shift;
        Some((level * LEVEL_SLOT_COUNT + slot as usize, tick))
    }

    #[inline]
    fn make_due(&mut self, index: u32, woken: &mut Vec<Waker>) {
        let entry = &mut self.entries[index as usize];
        entry.slot_index = DUE;
        woken.extend(entry.waker.take());
        self.due_count += 1;
        self.fired_count += 1;
    }

    /// Appends an entry to the slot of its deadline.
    fn link(&mut self, index: u32) {
        let deadline = self.entries[index as usize].deadline;
        let (slot_index, place) = self.append(index, deadline);
        self.entries[index as usize].stand(slot_index, place);
    }

    /// Makes `index` the last of the slot of `deadline`, and returns that slot and where it stands.
    /// The entry itself is the caller's to write.
    #[inline]
    fn append(&mut self, index: u32, deadline: Nanos) -> (u16, Place) {
        let tick = tick_after(deadline);
        debug_assert!(tick >= self.position);
        // The lowest 6 bits never decide, since they tell the slot of level 0.
        let differing = (tick ^ self.position) | (LEVEL_SLOT_COUNT as u64 - 1);
        let level = match differing {
            // Most timers are due within four minutes, and a branch that the processor foresees is
            // quicker than the logarithm, for which everything behind has to wait.
            ..=0x3f => 0,
            0x40..=0xfff => 1,
            0x1000..=0x3_ffff => 2,
            _ => differing.ilog2() / LEVEL_BITS,
        };
        let slot = (tick >> (LEVEL_BITS * level)) as usize % LEVEL_SLOT_COUNT;
        let slot_index = level as usize * LEVEL_SLOT_COUNT + slot;
        let (place, is_alone) = self.slots.append(slot_index, index);
        if is_alone {
            self.occupied[level as usize] |= 1 << slot;
        }
        (slot_index as u16, place)
    }

    /// Takes a pending entry out of its slot.
    #[inline]
    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let slot_index = usize::from(entry.slot_index);
        if self.slots.remove(slot_index, entry.place()) {
            self.mark_empty(slot_index);
        }
    }

    #[inline]
    fn mark_empty(&mut self, slot_index: usize) {
        self.occupied[slot_index / LEVEL_SLOT_COUNT] &= !(1 << (slot_index % LEVEL_SLOT_COUNT));
    }
}

impl Entry {
    #[inline]
    fn stand(&mut self, slot_index: u16, place: Place) {
        self.slot_index = slot_index;
        self.chunk = place.chunk;
        self.position = place.position;
    }

    /// Returns the place of a pending entry in its slot.
    #[inline]
    fn place(&self) -> Place {
        Place {
            chunk: self.chunk,
            position: self.position,
        }
    }
}
