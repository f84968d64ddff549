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

    /// Takes a connection whose tunnel is to be polled by tick `now`. `serves` tells whether a
    /// connection has a tunnel: a number may have gone on to the tunnel of another one.
    pub(crate) fn take_due(&mut self, now: Tick, serves: impl Fn(u32, u32) -> bool) -> Option<u32> {
        loop {
            let first = self.due.peek_mut()?;
            let Reverse((tick, number, index)) = *first;
            if tick > now {
                return None;
            }
            PeekMut::pop(first);
            if !serves(index, number) {
                continue;
            }
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
                count += usize::from(tunnel.stop());
            }
            next += 1;
        }
        (next, count)
    }
}

fn slot(number: u32) -> usize {
    number.wrapping_sub(FIRST) as usize
}

#[cfg(test)]
mod tests {
    use std::{
        rc::Rc,
        task::{Context, Poll},
        time::Duration,
    };

    use super::*;
    use crate::{
        http::{
            StatusCode,
            transport::{
                Transport,
                tunnelled::{Left, Tunnelled},
            },
        },
        net::Outbox,
    };

    /// A protocol that does nothing until its tick.
    struct Waiting(Tick);

    impl Tunnelled for Waiting {
        fn poll(&mut self, _: &mut Context<'_>, _: &Rc<Outbox>) -> Poll<()> {
            Poll::Pending
        }

        fn due(&self) -> Option<Tick> {
            Some(self.0)
        }

        fn look(&self, _: &mut dyn FnMut(&Transport)) {}

        fn leave(self: Box<Self>, _: bool) -> Left {
            Left::Cut
        }
    }

    fn tunnel(due: Tick) -> Tunnel {
        Tunnel::new(StatusCode::SWITCHING_PROTOCOLS, Box::new(Waiting(due)))
    }

    #[test]
    fn an_entry_of_a_tunnel_that_has_ended_is_not_that_of_the_next_with_its_number() {
        let now = Tick::now();
        let mut tunnels = Tunnels::default();
        let later = now.after(Duration::from_secs(1000)).unwrap();
        tunnels.insert(tunnel(later));
        let first = tunnels.insert(tunnel(now));
        assert!(tunnels.note_due(first, 1));
        tunnels.remove(first);
        let second = tunnels.insert(tunnel(now));
        assert_eq!(second, first);
        tunnels.note_due(second, 2);
        let serves = |index, number| (index, number) == (2, second);
        assert_eq!(tunnels.take_due(now, serves), Some(2));
        assert_eq!(tunnels.take_due(now, serves), None);
    }
}
