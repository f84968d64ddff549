//! Waits for the readiness of descriptors that other code reads and writes.
//!
//! Unlike the waits of this crate's own operations they are *level-triggered* on both drivers, as
//! poll(2) is: other code may leave a part of what it was told of, and no call tells the driver
//! that a read has found nothing. A poll entry of the ring looks when it begins. The poll driver's
//! edges do not, so there each wait begins with a call of poll(2).

use std::{
    cell::Cell,
    io,
    task::{Context, Waker},
};

use super::{
    Abandoned, Core, Driver, Key, Withdrawn,
    backend::Backend,
    foreign_runtime,
    slot::{State, What},
};
use crate::sys::{self, Completion, Entry, PollEvents, opcode};

/// The begin of a wait for readiness.
pub(crate) enum WaitBegun {
    /// Its completion has the events.
    Waits(Key),
    /// There was nothing to wait for. These are the events.
    Ready(PollEvents),
}

impl Driver {
    /// Begins to wait until `fd` has one of `events`, an error or a hang-up. `source` is where the
    /// poll driver remembers the descriptor.
    ///
    /// A ring also tells that the peer has finished sending, whether or not that was asked for.
    pub(crate) fn begin_wait(
        &self,
        fd: i32,
        source: &Cell<u32>,
        events: PollEvents,
        context: &Context<'_>,
    ) -> io::Result<WaitBegun> {
        // To clone it may run code of the user's, and with it a turn.
        let waker = context.waker().clone();
        if self.uses_ring {
            let entry = Entry::poll_add(fd, events);
            return self
                .push_slot(State::Waiting(waker), entry)
                .map(WaitBegun::Waits);
        }
        let now = sys::poll_now(fd, events)?;
        if !now.is_empty() {
            return Ok(WaitBegun::Ready(now));
        }
        let mut core = self.core.borrow_mut();
        let Backend::Poll(poll) = &mut core.backend else {
            return Err(foreign_runtime());
        };
        poll.watch(fd, source)?;
        Ok(WaitBegun::Waits(core.add_waiter(fd, source, events, waker)))
    }

    /// Gives up a wait. The kernel addresses no memory for it, so nothing is kept.
    pub(crate) fn give_up_wait(&self, key: Key) {
        if let Withdrawn::InFlight = self.withdraw(key) {
            self.abandon(key, Box::new(Nothing));
        }
    }
}

impl Core {
    /// Waits for `events` of a source, on the poll driver.
    #[inline]
    pub(super) fn add_waiter(
        &mut self,
        fd: i32,
        source: &Cell<u32>,
        events: PollEvents,
        waker: Waker,
    ) -> Key {
        let key = self.next_key();
        let Backend::Poll(poll) = &mut self.backend else {
            unreachable!("only the poll driver has sources")
        };
        let number = poll.add_waiter(source, events, key);
        self.insert_as(
            key,
            State::Waiting(waker),
            number,
            What::new(opcode::POLL_ADD, fd),
        );
        self.in_flight += 1;
        key
    }
}

/// The rest of a wait that was given up: nothing is kept, and its box takes no memory.
struct Nothing;

impl Abandoned for Nothing {
    fn part(&mut self, _completion: Completion) {}

    fn finish(self: Box<Self>, _completion: Completion) {}
}
