//! Gives back the memory of lists that a burst has made long.
//!
//! A list keeps its room when it empties, so that steady traffic allocates nothing. A burst would
//! be paid for as long as the list lives. So room beyond a small part goes when little of it is
//! used: a list that grows and shrinks in turn allocates a few times for thousands of entries.

use std::{cell::RefCell, collections::VecDeque};

/// The room that a list keeps in any case.
const KEPT_BYTES: usize = 16 * 1024;

/// Whether a list with room for `capacity` entries of type `T` has more than is always kept.
#[inline]
pub(crate) fn is_large<T>(capacity: usize) -> bool {
    capacity.saturating_mul(size_of::<T>()) > KEPT_BYTES
}

/// Gives back a half of the room of a queue from which something was taken, if it needs a quarter
/// at most.
#[inline]
pub(crate) fn queue<T>(queue: &mut VecDeque<T>) {
    if is_large::<T>(queue.capacity()) && queue.len() < queue.capacity() / 4 {
        halve(queue);
    }
}

#[cold]
fn halve<T>(queue: &mut VecDeque<T>) {
    queue.shrink_to(queue.capacity() / 2);
}

/// Gives back the room of a list that is empty.
#[inline]
pub(crate) fn empty<T>(list: &mut Vec<T>) {
    debug_assert!(list.is_empty());
    if is_large::<T>(list.capacity()) {
        *list = Vec::new();
    }
}

/// The most things of one kind that are kept for the next need.
pub(crate) const SPARE_MAX: usize = 64;

/// Used things of one kind that are kept for the next need, up to a number.
#[derive(Debug)]
pub(crate) struct Spares<T>(RefCell<Vec<T>>);

impl<T> Spares<T> {
    pub(crate) fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    /// Keeps `spare`, or gives it back when there are enough.
    pub(crate) fn put(&self, spare: T) -> Result<(), T> {
        let mut spares = self.0.borrow_mut();
        if spares.len() >= SPARE_MAX {
            return Err(spare);
        }
        spares.push(spare);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Keeps `kept_max` at most for now; the others are returned.
    pub(crate) fn shrink(&self, kept_max: usize) -> Vec<T> {
        let mut spares = self.0.borrow_mut();
        let kept = kept_max.min(spares.len());
        let dropped = spares.split_off(kept);
        spares.shrink_to_fit();
        dropped
    }
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

/// Decides when a table, whose entries keep their places, gives its room back: only entries past
/// the last used one can go, and finding that one is not free.
///
/// So it is tried when less than a quarter is in use, again when that has halved, and again after
/// one, two, four looks and so on: what stood at the end has most likely gone by then.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The capacity at the last try, and how many entries were in use.
    capacity: usize,
    len: usize,
    /// The number of looks before the next try, and before the one after that.
    wait: u32,
    next_wait: u32,
}

const WAIT_MAX: u32 = 1 << 20;

impl Table {
    /// Whether to try now, with `len` of `capacity` entries of type `T` in use.
    #[inline]
    pub(crate) fn is_due<T>(&mut self, len: usize, capacity: usize) -> bool {
        is_large::<T>(capacity) && len < capacity / 4 && self.is_time(len, capacity)
    }

    #[cold]
    fn is_time(&mut self, len: usize, capacity: usize) -> bool {
        if capacity != self.capacity || len < self.len / 2 {
            self.capacity = capacity;
            self.len = len;
            (self.wait, self.next_wait) = (0, 1);
        }
        if self.wait > 0 {
            self.wait -= 1;
            return false;
        }
        self.wait = self.next_wait;
        self.next_wait = (self.next_wait * 2).min(WAIT_MAX);
        true
    }

    /// Gives back the room of a slab, if it is worth a try.
    #[inline]
    pub(crate) fn slab<T>(&mut self, slab: &mut slab::Slab<T>) {
        if self.is_due::<T>(slab.len(), slab.capacity()) {
            slab.shrink_to_fit();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gives_back_what_a_burst_needed_and_keeps_a_little() {
        let mut list = VecDeque::new();
        list.extend(0..1_000_000_u64);
        let mut moved = 0;
        while let Some(_number) = list.pop_front() {
            let before = list.capacity();
            queue(&mut list);
            if list.capacity() != before {
                moved += list.len();
            }
            assert!(list.len() * 8 + 8 >= list.capacity() || !is_large::<u64>(list.capacity()));
        }
        assert!(list.capacity() * 8 <= KEPT_BYTES, "{}", list.capacity());
        assert!(moved < 1_000_000, "{moved} entries were moved");
        let kept = list.capacity();
        for _ in 0..3 {
            list.extend(0..kept as u64);
            while list.pop_front().is_some() {
                queue(&mut list);
            }
            assert_eq!(list.capacity(), kept);
        }
    }

    #[test]
    fn a_table_is_tried_now_and_then_until_it_has_given_its_room_back() {
        let (mut table, mut slab) = (Table::default(), slab::Slab::new());
        for number in 0..100_000_u64 {
            slab.insert(number);
        }
        table.slab(&mut slab);
        // The last one is in use, so that nothing can be given back.
        for index in 0..99_999 {
            slab.remove(index);
        }
        let capacity = slab.capacity();
        let tries = |table: &mut Table, looks| {
            let is_tried = (0..looks).filter(|_| table.is_due::<u64>(1, capacity));
            is_tried.count()
        };
        assert_eq!(tries(&mut table, 1), 1);
        assert_eq!(tries(&mut table, 1000), 9);
        slab.remove(99_999);
        (0..2000).for_each(|_| table.slab(&mut slab));
        assert_eq!(slab.capacity(), 0);
        for number in 0..100 {
            slab.insert(number);
        }
        table.slab(&mut slab);
        assert!(slab.capacity() >= 100, "little is kept");
    }

    #[test]
    fn what_takes_no_room_is_never_large() {
        assert!(!is_large::<()>(usize::MAX));
        let mut list = VecDeque::from(vec![(); 100_000]);
        list.pop_front();
        queue(&mut list);
        assert_eq!(list.len(), 99_999);
    }
}
