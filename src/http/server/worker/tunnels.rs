//! The connections of one worker that have left HTTP.

use crate::http::server::exchange::Tunnel;

/// Exchanges are numbered from 0, and tunnels from here.
const FIRST: u32 = 1 << 31;

/// The tunnels of one worker, by number.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    // In boxes, so that a burst of them leaves a table of pointers alone.
    slots: slab::Slab<Box<Tunnel>>,
}

impl Tunnels {
    /// Adds a tunnel and returns its number, which no exchange has.
    pub(crate) fn insert(&mut self, tunnel: Box<Tunnel>) -> u32 {
        let index = u32::try_from(self.slots.insert(tunnel)).ok();
        let number = index.and_then(|index| index.checked_add(FIRST));
        number.expect("there are fewer than 2^31 descriptors")
    }

    pub(crate) fn get(&self, number: u32) -> &Tunnel {
        &self.slots[index(number)]
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> &mut Tunnel {
        &mut self.slots[index(number)]
    }

    pub(crate) fn remove(&mut self, number: u32) -> Box<Tunnel> {
        let tunnel = self.slots.remove(index(number));
        if self.slots.is_empty() {
            self.slots = slab::Slab::new();
        }
        tunnel
    }

    /// Takes all.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Box<Tunnel>> + '_ {
        self.slots.drain()
    }
}

fn index(number: u32) -> usize {
    number.wrapping_sub(FIRST) as usize
}
