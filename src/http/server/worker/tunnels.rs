//! The connections of one worker that have left HTTP.
//!
//! They have no timers of their own. The worker keeps one entry for each that waits for a tick, the
//! earliest first. An entry stays when its tunnel asks for a later tick or ends: it is found to be
//! out of date at its tick.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
};

use crate::http::{server::exchange::Tunnel, tick::Tick};

/// Exchanges are numbered from 0, and tunnels from here.
const FIRST: u32 = 1 << 31;
/// Entries that may be out of date, beside as many as there are tunnels.
const STALE_MAX: usize = 64;

/// The tunnels of one worker, by number.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    slots: slab::Slab<Tunnel>,
    /// Ticks at which connections are looked at, by the number of their tunnel and their index.
    due: BinaryHeap<Reverse<(Tick, u32, u32)>>,
}

impl Tunnels {
    /// Adds a tunnel and returns its number, which no exchange has.
    pub(crate) fn insert(&mut self, tunnel: Tunnel) -> u32 {
        let index = u32::try_from(self.slots.insert(tunnel)).ok();
        let number = index.and_then(|index| index.checked_add(FIRST));
        number.expect("there are fewer than 2^31 descriptors")
    }

    pub(crate) fn get(&self, number: u32) -> &Tunnel {
        &self.slots[slot(number)]
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> &mut Tunnel {
        &mut self.slots[slot(number)]
    }

    pub(crate) fn remove(&mut self, number: u32) -> Tunnel {
        let tunnel = self.slots.remove(slot(number));
        if self.slots.is_empty() {
            *self = Self::default();
        }
        tunnel
    }

    /// Takes all.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Tunnel> + '_ {
        self.due.clear();
        self.slots.drain()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Notes the tick at which a tunnel, that of connection `index`, wants to be polled. True if no
    /// other is earlier.
    pub(crate) fn note_due(&mut self, number: u32, index: u32) -> bool {
        let Some(tick) = self.slots[slot(number)].due_earlier() else {
            return false;
        };
        if self.due.len() >= 2 * self.slots.len() + STALE_MAX {
            let slots = &self.slots;
            self.due.retain(|Reverse((tick, number, _))| {
                let tunnel = slots.get(slot(*number));
                tunnel.is_some_and(|tunnel| tunnel.is_looked_at(*tick))
            });
            self.due.shrink_to_fit();
        }
        self.due.push(Reverse((tick, number, index)));
        self.next_due() == Some(tick)
    }

    /// The earliest tick at which a tunnel may want to be polled.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        self.due.peek().map(|Reverse((tick, _, _))| *tick)
    }

    /// Takes a connection whose tunnel is to be polled by tick `now`.
    pub(crate) fn take_due(&mut self, now: Tick) -> Option<u32> {
        loop {
            let first = self.due.peek_mut()?;
            let Reverse((tick, number, index)) = *first;
            if tick > now {
                return None;
            }
            PeekMut::pop(first);
            if let Some(tunnel) = self.slots.get_mut(slot(number)) {
                if tunnel.look_at(tick) {
                    return Some(index);
                }
            }
        }
    }

    /// Tells the tunnels from slot `from` on that the server stops, at most `count_max` of them.
    /// Returns the slot after the last one, and how many were told.
    pub(crate) fn stop(&mut self, from: usize, count_max: usize) -> (usize, usize) {
        let (mut next, mut count) = (from, 0);
        let end = self.slots.capacity();
        while next < end && count < count_max {
            if let Some(tunnel) = self.slots.get_mut(next) {
                tunnel.stop();
                count += 1;
            }
            next += 1;
        }
        (next, count)
    }
}

fn slot(number: u32) -> usize {
    number.wrapping_sub(FIRST) as usize
}
