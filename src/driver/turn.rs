//! One turn of the driver: submits staged entries, collects completions, wakes the tasks.

use std::{io, task::Waker};

use super::{
    Abandoned, Core, Driver, Key,
    backend::{self, Backend},
    inherited_runtime,
    slot::{Flight, State},
};
use crate::{
    sys::{Completion, Wait},
    unwind,
};

/// Work for after the driver's borrow has ended.
pub(super) enum After {
    Wake(Waker),
    /// A waker that was not needed.
    Forget(Waker),
    Finish(Box<dyn Abandoned>, Completion),
}

impl After {
    #[inline]
    pub(super) fn run(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Forget(waker) => drop(waker),
            Self::Finish(abandoned, completion) => abandoned.finish(completion),
        }
    }
}

/// The lists of a turn, kept for the next one.
#[derive(Default)]
pub(super) struct Events {
    /// Those of the last turn stay until the next one, which looks for what was parked.
    pub(super) completions: Vec<(u64, Completion)>,
    pub(super) after: Vec<After>,
}

impl Driver {
    /// Submits what is queued, collects what has completed, and wakes those who wait for it. It
    /// sleeps as `wait` says only when nothing has completed.
    ///
    /// # Errors
    ///
    /// Only what ends a ring: the kernel dropped completions, or the ring is another thread's.
    pub(crate) fn turn(&self, wait: Wait) -> io::Result<()> {
        self.turn_in(wait, false)
    }

    /// As [`turn`](Self::turn), while tasks take what the last turn brought.
    pub(super) fn turn_between(&self) -> io::Result<()> {
        self.turn_in(Wait::No, true)
    }

    fn turn_in(&self, wait: Wait, is_between: bool) -> io::Result<()> {
        if self.is_inherited() {
            return Err(inherited_runtime());
        }
        self.turns.set(self.turns.get() + 1);
        // A waker that runs a turn of its own, inside a nested call, finds the lists lent out.
        let mut events = self.events.try_borrow_mut().map_or_else(
            |_| Events::default(),
            |mut events| std::mem::take(&mut *events),
        );
        let result = {
            let mut core = self.core.borrow_mut();
            core.stop_over_limit();
            core.start_look_period();
            if !is_between {
                core.list_parked(&mut events.completions);
            }
            let before = events.completions.len();
            let result = core.collect(wait, self.remote(), &mut events.completions);
            let batch = &events.completions[before..];
            self.batch.set(batch.len());
            let mut buffers_taken = self.buffers_taken.get();
            for &(user_data, completion) in batch {
                let takes_buffer = completion.buffer_id().is_some();
                buffers_taken = buffers_taken.wrapping_add(u32::from(takes_buffer));
                core.complete(user_data, completion, &mut events.after);
            }
            self.buffers_taken.set(buffers_taken);
            core.look();
            result
        };
        self.collected_at.note();
        // A panic in one task's waker or buffer must not lose the completions of other tasks.
        unwind::each(events.after.drain(..), After::run);
        if let Ok(mut kept) = self.events.try_borrow_mut() {
            // A turn inside of this one has left its completions there.
            events.completions.append(&mut kept.completions);
            *kept = events;
        }
        result
    }
}

impl Core {
    /// Stops the multishots that went over their limit and were not caught up with since.
    pub(super) fn stop_over_limit(&mut self) {
        while let Some(key) = self.over_limit.pop() {
            let Some(slot) = self.slots.get_mut(key.index as usize) else {
                continue;
            };
            if slot.generation != key.generation {
                continue;
            }
            let State::Multi(multi) = &mut slot.state else {
                continue;
            };
            if multi.flight == Flight::GoesOn && multi.is_over_limit() {
                multi.flight = Flight::Cancelled;
                self.backpressure += 1;
                self.cancel(key);
            }
        }
    }

    fn collect(
        &mut self,
        wait: Wait,
        remote: &super::Remote,
        completions: &mut Vec<(u64, Completion)>,
    ) -> io::Result<()> {
        remote.take(completions);
        let wait = if completions.is_empty() {
            wait
        } else {
            Wait::No
        };
        match &mut self.backend {
            Backend::Ring(ring) => ring.collect(wait, completions)?,
            Backend::Poll(poll) => {
                poll.collect(wait, completions, super::renumber(&mut self.slots))?
            }
            Backend::Closed => {}
        }
        remote.take(completions);
        Ok(())
    }

    // Always, because the end of a driver calls it as well: out of line, an echo of two completions
    // costs 75 instructions more.
    #[inline(always)]
    pub(super) fn complete(
        &mut self,
        user_data: u64,
        completion: Completion,
        after: &mut Vec<After>,
    ) {
        let key = Key::from_user_data(user_data);
        let slot = match self.slots.get_mut(key.index as usize) {
            Some(slot) if slot.generation == key.generation => slot,
            _ => {
                if !backend::is_internal(user_data) {
                    self.stale += 1;
                }
                return;
            }
        };
        let last = !completion.more();
        match &mut slot.state {
            State::Waiting(_) | State::Quiet(..) => {
                let old = std::mem::replace(&mut slot.state, State::Done(completion));
                self.in_flight -= 1;
                match old {
                    State::Quiet(waker, result) if result == completion.res => {
                        after.push(After::Forget(waker));
                    }
                    State::Waiting(waker) | State::Quiet(waker, _) => {
                        after.push(After::Wake(waker));
                    }
                    _ => {}
                }
            }
            State::Multi(multi) => {
                multi.push(completion, &mut self.spare_rests);
                if completion.buffer_id().is_some() {
                    self.parked_buffers += 1;
                }
                if last {
                    multi.flight = Flight::Ended;
                    self.in_flight -= 1;
                } else {
                    if multi.is_over_limit() {
                        self.over_limit.push(key);
                    }
                    self.looks.hear(key, multi);
                }
                if let Some(waker) = multi.waker.take() {
                    after.push(After::Wake(waker));
                }
            }
            State::Abandoned(abandoned) if !last => abandoned.part(completion),
            State::Abandoned(_) => {
                let slot = self.slots.remove(key.index as usize);
                self.in_flight -= 1;
                if let State::Abandoned(abandoned) = slot.state {
                    after.push(After::Finish(abandoned, completion));
                }
            }
            State::Done(_) => self.stale += 1,
        }
    }
}
