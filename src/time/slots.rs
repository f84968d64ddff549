//! The slots of a wheel: lists of the indices of its entries, in the order in which they were
//! added.
//!
//! Many entries are in no order in memory, and who walks along a list of them has to wait for each
//! before it knows where the next one is. So a list consists of chunks of a cache line, and all
//! entries that a chunk names are fetched at once. One that leaves the middle of a chunk leaves a
//! gap; a chunk whose last one leaves is free again.

use std::array;

/// In the place of an index: none.
pub(super) const NONE: u32 = u32::MAX;

/// How many indices a chunk holds.
const CHUNK_LEN: usize = 13;

/// A part of a list.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Chunk {
    /// The first `len` ones are in use or, where that is [`NONE`], were.
    indices: [u32; CHUNK_LEN],
    len: u8,
    /// How many are in use. None in a free chunk.
    used: u8,
    /// The neighbours in the list.
    previous: u32,
    /// Also the link of the free list.
    next: u32,
}

const _: () = assert!(size_of::<Chunk>() == 64);

impl Chunk {
    /// The indices that are in use.
    #[inline]
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + use<> {
        let Self { indices, len, .. } = *self;
        let all: array::IntoIter<u32, CHUNK_LEN> = indices.into_iter();
        all.take(usize::from(len)).filter(|&index| index != NONE)
    }
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
};

/// Where an index is in its list.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) chunk: u32,
    pub(super) position: u8,
}

/// `COUNT` lists.
pub(super) struct Slots<const COUNT: usize> {
    lists: [List; COUNT],
    chunks: Vec<Chunk>,
    first_free: u32,
}

impl<const COUNT: usize> Slots<COUNT> {
    pub(super) fn new() -> Self {
        Self {
            lists: [EMPTY; COUNT],
            chunks: Vec::new(),
            first_free: NONE,
        }
    }

    /// Adds `index` at the end of a list. Says where it is, and whether it is alone.
    #[inline]
    pub(super) fn append(&mut self, slot: usize, index: u32) -> (Place, bool) {
        let last = self.lists[slot].last;
        let (at, is_alone) = match self.chunks.get(last as usize) {
            Some(chunk) if usize::from(chunk.len) < CHUNK_LEN => (last, false),
            _ => (self.add_chunk(slot), last == NONE),
        };
        let chunk = &mut self.chunks[at as usize];
        let position = chunk.len;
        chunk.indices[usize::from(position)] = index;
        chunk.len += 1;
        chunk.used += 1;
        let place = Place {
            chunk: at,
            position,
        };
        (place, is_alone)
    }

    /// Adds a chunk at the end of a list.
    #[inline]
    fn add_chunk(&mut self, slot: usize) -> u32 {
        if self.first_free == NONE {
            self.make_chunk();
        }
        let at = self.first_free;
        let list = &mut self.lists[slot];
        let previous = std::mem::replace(&mut list.last, at);
        let chunk = &mut self.chunks[at as usize];
        self.first_free = chunk.next;
        (chunk.len, chunk.used) = (0, 0);
        (chunk.previous, chunk.next) = (previous, NONE);
        match self.chunks.get_mut(previous as usize) {
            Some(chunk) => chunk.next = at,
            None => list.first = at,
        }
        at
    }

    #[cold]
    fn make_chunk(&mut self) {
        let at = u32::try_from(self.chunks.len()).ok();
        let at = at.filter(|&at| at != NONE);
        self.chunks.push(Chunk {
            indices: [NONE; CHUNK_LEN],
            len: 0,
            used: 0,
            previous: NONE,
            next: self.first_free,
        });
        self.first_free = at.expect("fewer than 2^32 chunks fit into a process");
    }

    /// Takes the index at `place` out of the list in which it is. Says whether it was the only one.
    #[inline]
    pub(super) fn remove(&mut self, slot: usize, place: Place) -> bool {
        let chunk = &mut self.chunks[place.chunk as usize];
        if chunk.used == 1 {
            return self.remove_chunk(slot, place.chunk);
        }
        chunk.used -= 1;
        if chunk.len == place.position + 1 {
            chunk.len -= 1;
        } else {
            chunk.indices[usize::from(place.position)] = NONE;
        }
        false
    }

    /// Takes a whole chunk out of its list. Says whether it was the only one.
    #[inline]
    fn remove_chunk(&mut self, slot: usize, at: u32) -> bool {
        let Chunk { previous, next, .. } = self.chunks[at as usize];
        self.free_chunk(at);
        let list = &mut self.lists[slot];
        // No chunk has the index `NONE`.
        match self.chunks.get_mut(previous as usize) {
            Some(chunk) => chunk.next = next,
            None => list.first = next,
        }
        match self.chunks.get_mut(next as usize) {
            Some(chunk) => chunk.previous = previous,
            None => list.last = previous,
        }
        previous == NONE && next == NONE
    }

    #[inline]
    fn free_chunk(&mut self, at: u32) {
        let chunk = &mut self.chunks[at as usize];
        chunk.used = 0;
        chunk.next = self.first_free;
        self.first_free = at;
    }

    /// Empties a list, and returns its first chunk for [`pop`](Self::pop).
    pub(super) fn take(&mut self, slot: usize) -> u32 {
        std::mem::replace(&mut self.lists[slot], EMPTY).first
    }

    /// Takes the chunk `at`, of a list that was taken, and goes on to the next one.
    #[inline]
    pub(super) fn pop(&mut self, at: &mut u32) -> Option<Chunk> {
        let chunk = *self.chunks.get(*at as usize)?;
        self.free_chunk(*at);
        *at = chunk.next;
        Some(chunk)
    }

    /// The chunks of a list.
    pub(super) fn chunks(&self, slot: usize) -> impl Iterator<Item = &Chunk> {
        let at = |at: u32| self.chunks.get(at as usize);
        std::iter::successors(at(self.lists[slot].first), move |chunk| at(chunk.next))
    }

    /// Gives back the memory of free chunks, as far as none is behind them that is not.
    pub(super) fn shrink(&mut self) {
        while self.chunks.last().is_some_and(|chunk| chunk.used == 0) {
            self.chunks.pop();
        }
        self.chunks.shrink_to_fit();
        self.first_free = NONE;
        // The first ones are given out first, so that those behind them become free.
        for (at, chunk) in self.chunks.iter_mut().enumerate().rev() {
            if chunk.used == 0 {
                chunk.next = self.first_free;
                self.first_free = at as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(slots: &Slots<2>, slot: usize) -> Vec<u32> {
        slots.chunks(slot).flat_map(Chunk::indices).collect()
    }

    #[test]
    fn lists_are_what_was_added_and_not_removed_in_that_order() {
        let mut slots = Slots::<2>::new();
        let mut lists: [Vec<(u32, Place)>; 2] = Default::default();
        let (mut next, mut chunks_max) = (0, 0);
        // A number that looks random, the same in every run.
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let (slot, choice) = ((random >> 33) as usize % 2, (random >> 40) as usize);
            let list = &mut lists[slot];
            // They grow, shrink, and are taken as a whole now and then.
            let grows = step / 500 % 2 == 0;
            if choice % 400 == 0 {
                let mut at = slots.take(slot);
                let mut taken = Vec::new();
                while let Some(chunk) = slots.pop(&mut at) {
                    taken.extend(chunk.indices());
                }
                let expected: Vec<u32> = list.drain(..).map(|(index, _)| index).collect();
                assert_eq!(taken, expected);
            } else if list.is_empty() || (choice % 3 == 0) != grows {
                let (place, is_alone) = slots.append(slot, next);
                assert_eq!(is_alone, list.is_empty());
                list.push((next, place));
                next += 1;
            } else {
                let (_, place) = list.remove(choice / 3 % list.len());
                assert_eq!(slots.remove(slot, place), list.is_empty());
            }
            let expected: Vec<u32> = list.iter().map(|&(index, _)| index).collect();
            assert_eq!(indices(&slots, slot), expected);
            chunks_max = chunks_max.max(slots.chunks.len());
            if step % 777 == 0 {
                slots.shrink();
            }
        }
        assert!(chunks_max > 4, "the lists had gaps in few chunks only");
        for (slot, list) in lists.into_iter().enumerate() {
            for (_, place) in list {
                slots.remove(slot, place);
            }
        }
        slots.shrink();
        assert!(slots.chunks.is_empty() && slots.first_free == NONE);
    }
}
