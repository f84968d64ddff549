//! Items that were read a moment ago, for all workers.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ecosystem::arena::Item;

/// How long an item is known after it was read. Reads do not prolong it.
const AGE_MAX: Duration = Duration::from_millis(200);

/// How many parts with a lock of their own there are.
const PARTS: usize = 64;

/// A part is swept when it has grown to this many entries since its last sweep.
const GROWTH_MAX: usize = 1024;

/// Items by their number. An item that was changed since its row was read is not put in.
pub(crate) struct SharedCache([Mutex<Part>; PARTS]);

#[derive(Default)]
struct Part {
    entries: HashMap<i32, (Instant, Item)>,
    /// Counts the changes of rows whose items belong here.
    changes: u64,
    /// The number of entries at which it is swept.
    sweep_at: usize,
}

/// A row is about to be read: what [`SharedCache::insert`] needs to know of that moment.
pub(crate) struct Reading {
    changes: u64,
}

impl Default for SharedCache {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl SharedCache {
    /// The item, or the beginning of its reading.
    pub(crate) fn get(&self, id: i32) -> Result<Item, Reading> {
        let part = self.part(id);
        match part.entries.get(&id) {
            Some((read, item)) if read.elapsed() < AGE_MAX => Ok(item.clone()),
            _ => Err(Reading {
                changes: part.changes,
            }),
        }
    }

    /// Keeps an item that was read since `reading`, unless rows were changed meanwhile.
    pub(crate) fn insert(&self, reading: &Reading, item: Item) {
        let mut part = self.part(item.id);
        if part.changes != reading.changes {
            return;
        }
        if part.entries.len() >= part.sweep_at {
            part.entries.retain(|_, (read, _)| read.elapsed() < AGE_MAX);
            part.sweep_at = part.entries.len() + GROWTH_MAX;
        }
        part.entries.insert(item.id, (Instant::now(), item));
    }

    /// Forgets an item whose row has changed.
    pub(crate) fn remove(&self, id: i32) {
        let mut part = self.part(id);
        part.changes += 1;
        part.entries.remove(&id);
    }

    fn part(&self, id: i32) -> MutexGuard<'_, Part> {
        let index = usize::try_from(id.unsigned_abs()).unwrap_or(0) % PARTS;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
