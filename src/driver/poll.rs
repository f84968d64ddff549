//! The poll driver: readiness from epoll, for places where the ring is forbidden.
//!
//! A descriptor is registered once, edge-triggered, at its first wait. Events that epoll has
//! reported since stay in its source until a system call finds nothing: so a busy connection costs
//! one `epoll_wait` for many and no `epoll_ctl` at all.
//!
//! # Short reads
//!
//! A read of TCP that does not fill its buffer has taken all there was, which saves the read that
//! finds nothing: a third of a connection's system calls. It holds because such a read ends early
//! in two places only, and both are known from epoll. One is the end of the stream (`closed`). The
//! other is the mark of urgent data (`urgent`): bytes behind it were either there when epoll told
//! last, and then epoll told of the mark (`EPOLLPRI`), or came later, and then epoll has another
//! event.
//!
//! A read of a Unix socket also ends where descriptors or credentials were passed, which epoll does
//! not tell. So its reads go on until one finds nothing, and so do writes of any socket: the kernel
//! promises an event only after a write that failed for want of room.
//!
//! # Descriptors of others
//!
//! Epoll knows a registration by the descriptor's number and the file behind it. Two sources of one
//! descriptor would be the same to it, so the second has a duplicate. A library may close a
//! descriptor of which a source is left, which epoll does not tell, and the number may be another
//! source's by the time the first one goes: `numbers` knows whose it is.

use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::Arc,
};

use super::{DriverStats, Key, Remote};
use crate::{
    shrink,
    sys::{Completion, Epoll, PollEvents, Wait, errno},
};

/// A descriptor without a source.
pub(crate) const NO_SOURCE: u32 = u32::MAX;

const WAKE_TOKEN: u64 = u64::MAX;

/// How many events one `epoll_wait` brings at most.
const EVENTS_PER_WAIT: usize = 256;

pub(super) struct PollBackend {
    epoll: Epoll,
    sources: slab::Slab<Source>,
    /// The source that each number was registered for last, or `NO_SOURCE`.
    numbers: Vec<u32>,
    generation: u32,
    /// Decides when `sources` gives its room back.
    source_room: shrink::Table,
    number_room: shrink::Table,
    remote: Arc<Remote>,
    waits: u64,
    events: u64,
}

struct Source {
    generation: u32,
    readable: bool,
    writable: bool,
    /// The peer has finished or the connection is broken, which stays so: then a short read does
    /// not mean that nothing is left to be told. It says nothing about reads that find nothing,
    /// because an error may wait where reads do not look (`MSG_ERRQUEUE`).
    closed: bool,
    /// There may be urgent data, at which a read ends early, until a read finds nothing.
    urgent: bool,
    /// The descriptor by which epoll knows it, where another source has the one that was meant.
    duplicate: Option<OwnedFd>,
    waiters: Vec<(PollEvents, Key)>,
}

/// The number of a waiter: its source, and its place there.
#[inline]
fn waiter_number(source_index: u32, position: usize) -> u64 {
    (position as u64) << 32 | u64::from(source_index)
}

impl Source {
    #[inline]
    fn is_ready(&self, events: PollEvents) -> bool {
        match events {
            PollEvents::READ => self.readable,
            PollEvents::WRITE => self.writable,
            _ => self.closed,
        }
    }

    /// Takes a waiter out; the last one takes its place.
    #[inline]
    fn remove(&mut self, index: u32, position: usize, mut renumber: impl FnMut(Key, u64)) {
        self.waiters.swap_remove(position);
        if let Some(&(_, moved)) = self.waiters.get(position) {
            renumber(moved, waiter_number(index, position));
        }
    }

    /// Gives back the room of many waiters.
    #[inline]
    fn give_back(&mut self) {
        if self.waiters.is_empty() {
            shrink::empty(&mut self.waiters);
        }
    }

    /// Notes that a system call found nothing, or all there was (`drained`).
    #[inline]
    fn not_ready(&mut self, events: PollEvents, drained: bool) {
        match events {
            PollEvents::READ if drained && (self.closed || self.urgent) => {}
            PollEvents::READ => {
                self.readable = false;
                self.urgent = false;
            }
            PollEvents::WRITE => self.writable = false,
            _ => {}
        }
    }
}

impl PollBackend {
    pub(super) fn new(remote: &Arc<Remote>) -> io::Result<Self> {
        let epoll = Epoll::new(EVENTS_PER_WAIT)?;
        // For reading alone: that an eventfd which was read can be written would be told as well.
        epoll.add_eventfd(remote.wake_fd(), WAKE_TOKEN)?;
        Ok(Self {
            epoll,
            sources: slab::Slab::new(),
            numbers: Vec::new(),
            generation: 0,
            source_room: shrink::Table::default(),
            number_room: shrink::Table::default(),
            remote: Arc::clone(remote),
            waits: 0,
            events: 0,
        })
    }

    /// Another descriptor of this epoll, for a foreign loop to wait for.
    pub(super) fn duplicate_epoll(&self) -> io::Result<OwnedFd> {
        self.epoll.duplicate()
    }

    #[inline]
    pub(super) fn give_back(&mut self) {
        self.source_room.slab(&mut self.sources);
        let (len, capacity) = (self.sources.len(), self.numbers.capacity());
        if self.number_room.is_due::<u32>(len, capacity) {
            let last = self.numbers.iter().rposition(|&index| index != NO_SOURCE);
            self.numbers.truncate(last.map_or(0, |last| last + 1));
            self.numbers.shrink_to_fit();
        }
    }

    pub(super) fn add_stats(&self, stats: &mut DriverStats) {
        stats.enters = self.waits;
        stats.completions = self.events;
    }

    /// Registers `fd` unless it is already.
    #[inline]
    pub(super) fn watch(&mut self, fd: i32, source: &Cell<u32>) -> io::Result<()> {
        if source.get() != NO_SOURCE {
            return Ok(());
        }
        self.generation = self.generation.wrapping_add(1);
        let index = self.sources.insert(Source {
            generation: self.generation,
            readable: false,
            writable: false,
            closed: false,
            urgent: false,
            duplicate: None,
            waiters: Vec::new(),
        });
        if let Err(error) = self.register(fd, index) {
            self.sources.remove(index);
            return Err(error);
        }
        source.set(u32::try_from(index).expect("there are fewer than 2^32 descriptors"));
        Ok(())
    }

    fn register(&mut self, fd: i32, index: usize) -> io::Result<()> {
        let token = u64::from(self.generation) << 32 | index as u64;
        match self.epoll.add(fd, token) {
            Err(error) if error.raw_os_error() == Some(errno::EEXIST) => {
                self.sources[index].duplicate = Some(self.epoll.add_duplicate(fd, token)?);
            }
            result => {
                result?;
                let number = fd as usize;
                if number >= self.numbers.len() {
                    self.numbers.resize(number + 1, NO_SOURCE);
                }
                self.numbers[number] = index as u32;
            }
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, fd: i32, source: &Cell<u32>) {
        let index = source.replace(NO_SOURCE);
        if index == NO_SOURCE {
            return;
        }
        let source = self.sources.remove(index as usize);
        // A descriptor that was closed elsewhere is gone from epoll already.
        if let Some(duplicate) = source.duplicate {
            let _ = self.epoll.remove(duplicate.as_raw_fd());
        } else if self.numbers.get(fd as usize) == Some(&index) {
            self.numbers[fd as usize] = NO_SOURCE;
            let _ = self.epoll.remove(fd);
        }
    }

    #[inline]
    pub(super) fn maybe_ready(&self, source: &Cell<u32>, events: PollEvents) -> bool {
        // A descriptor that was never registered is worth a try.
        self.sources
            .get(source.get() as usize)
            .is_none_or(|source| source.is_ready(events))
    }

    /// Whether `events` were told and not used up since.
    pub(super) fn is_ready(&self, source: &Cell<u32>, events: PollEvents) -> bool {
        self.sources
            .get(source.get() as usize)
            .is_some_and(|source| source.is_ready(events))
    }

    pub(super) fn not_ready(&mut self, source: &Cell<u32>, events: PollEvents, drained: bool) {
        if let Some(source) = self.sources.get_mut(source.get() as usize) {
            source.not_ready(events, drained);
        }
    }

    /// Adds a waiter and returns its number. That may change while it waits: see `renumber` below.
    #[inline]
    pub(super) fn add_waiter(&mut self, source: &Cell<u32>, events: PollEvents, key: Key) -> u64 {
        let waiters = &mut self.sources[source.get() as usize].waiters;
        let number = waiter_number(source.get(), waiters.len());
        waiters.push((events, key));
        number
    }

    /// Takes a waiter off its source; false when it waits for something else. `renumber` is told
    /// the new number of the one that takes its place.
    pub(super) fn remove_waiter(
        &mut self,
        number: u64,
        key: Key,
        renumber: impl FnMut(Key, u64),
    ) -> bool {
        let (source_index, position) = (number as u32, (number >> 32) as usize);
        let Some(source) = self.sources.get_mut(source_index as usize) else {
            return false;
        };
        let found = source.waiters.get(position);
        if found.is_none_or(|(_, waiter)| *waiter != key) {
            return false;
        }
        source.remove(source_index, position, renumber);
        source.give_back();
        true
    }

    pub(super) fn drain_waiters(&mut self) -> Vec<Key> {
        self.sources
            .iter_mut()
            .flat_map(|(_, source)| source.waiters.drain(..))
            .map(|(_, key)| key)
            .collect()
    }

    pub(super) fn collect(
        &mut self,
        wait: Wait,
        out: &mut Vec<(u64, Completion)>,
        mut renumber: impl FnMut(Key, u64),
    ) -> io::Result<()> {
        let timeout = match wait {
            Wait::No => Some(std::time::Duration::ZERO),
            Wait::Completion => None,
            Wait::Timeout(duration) => Some(duration),
        };
        self.waits += 1;
        for event in self.epoll.wait(timeout)? {
            if event.token == WAKE_TOKEN {
                self.remote.clear_wake();
                continue;
            }
            let source_index = event.token as u32;
            let Some(source) = self.sources.get_mut(source_index as usize) else {
                continue;
            };
            if source.generation != (event.token >> 32) as u32 {
                continue;
            }
            self.events += 1;
            source.closed |= event.answers(PollEvents::CLOSED);
            source.urgent |= event.is_urgent();
            source.readable |= event.answers(PollEvents::READ);
            source.writable |= event.answers(PollEvents::WRITE);
            let mut position = 0;
            while let Some(&(events, key)) = source.waiters.get(position) {
                if event.answers(events) {
                    let told = event.bits as i32;
                    out.push((key.user_data(), Completion::new(told)));
                    source.remove(source_index, position, &mut renumber);
                } else {
                    position += 1;
                }
            }
            source.give_back();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source of which epoll has told an error or the peer's end.
    fn closed_source() -> Source {
        Source {
            generation: 1,
            readable: true,
            writable: true,
            closed: true,
            urgent: false,
            duplicate: None,
            waiters: Vec::new(),
        }
    }

    #[test]
    fn a_read_that_found_nothing_waits_also_behind_an_error() {
        let mut source = closed_source();
        source.not_ready(PollEvents::READ, false);
        assert!(!source.is_ready(PollEvents::READ));
        assert!(source.is_ready(PollEvents::CLOSED));
    }

    #[test]
    fn a_short_read_does_not_hide_the_end_behind_it() {
        let mut source = closed_source();
        source.not_ready(PollEvents::READ, true);
        assert!(source.is_ready(PollEvents::READ));
    }

    #[test]
    fn a_short_read_does_not_hide_what_is_behind_urgent_data() {
        let mut source = Source {
            closed: false,
            urgent: true,
            ..closed_source()
        };
        source.not_ready(PollEvents::READ, true);
        assert!(source.is_ready(PollEvents::READ));
        // A read that found nothing was behind the mark.
        source.not_ready(PollEvents::READ, false);
        assert!(!source.is_ready(PollEvents::READ));
        source.readable = true;
        source.not_ready(PollEvents::READ, true);
        assert!(!source.is_ready(PollEvents::READ));
    }

    #[test]
    fn a_source_whose_number_was_taken_over_and_given_back_can_be_forgotten() {
        let remote = Arc::new(Remote::new().unwrap());
        let event = crate::sys::WakeFd::new().unwrap();
        let mut poll = PollBackend::new(&remote).unwrap();
        let (early, late) = (Cell::new(NO_SOURCE), Cell::new(NO_SOURCE));
        poll.watch(event.raw(), &early).unwrap();
        // The library has closed the descriptor, which epoll forgets, and opened another.
        poll.epoll.remove(event.raw()).unwrap();
        poll.watch(event.raw(), &late).unwrap();
        poll.forget(event.raw(), &late);
        poll.numbers.clear();
        poll.forget(event.raw(), &early);
        assert!(poll.sources.is_empty());
    }

    #[test]
    fn a_waiter_that_leaves_is_found_by_its_number() {
        let key = |index| Key {
            index,
            generation: 7,
        };
        let mut source = closed_source();
        source.waiters = (0..4).map(|index| (PollEvents::READ, key(index))).collect();
        let mut renumbered = Vec::new();
        let mut renumber = |key: Key, number| renumbered.push((key.index, number));
        source.remove(5, 1, &mut renumber);
        source.remove(5, 2, &mut renumber);
        // The last one took the place of the second; the third was the last by then.
        assert_eq!(renumbered, [(3, 1 << 32 | 5)]);
        let left: Vec<u32> = source.waiters.iter().map(|(_, key)| key.index).collect();
        assert_eq!(left, [0, 3]);
    }
}
