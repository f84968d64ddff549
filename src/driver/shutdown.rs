//! The end of a driver: everything is cancelled and waited for, and what the kernel still holds
//! then is left to it.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    Core, Driver, Key,
    backend::{self, Backend},
    slot::{Flight, State},
};
use crate::{
    sys::{self, Completion, Wait, errno},
    unwind::{self, FirstPanic},
};

impl Driver {
    /// Cancels everything, waits for the final completions until `timeout`, and closes the ring or
    /// epoll and the wake descriptor.
    ///
    /// Returns the number of operations whose memory was left behind because the kernel may still
    /// touch it. A panic of the user's code on the way there goes on when all is done.
    pub(crate) fn shutdown(&self, timeout: Duration) -> usize {
        let mut panic = FirstPanic::default();
        let leaked = self.end(timeout, &mut panic);
        panic.go_on();
        leaked
    }

    /// As [`shutdown`](Self::shutdown), but a panic goes to `panic`.
    pub(crate) fn end(&self, timeout: Duration, panic: &mut FirstPanic) -> usize {
        self.leave_inherited();
        if self.closed.get() {
            return 0;
        }
        let deadline = Instant::now().checked_add(timeout);
        let mut gone = self.core.borrow_mut().cancel_everything();
        loop {
            let done = {
                let core = self.core.borrow();
                core.in_flight == 0 && !core.backend.has_staged()
            };
            if done {
                break;
            }
            let now = Instant::now();
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(now));
            let wait = if self.core.borrow().in_flight == 0 {
                Wait::No
            } else {
                Wait::Timeout(left)
            };
            let mut turn = |wait| panic.catch(|| self.turn(wait)).unwrap_or(Ok(()));
            if left.is_zero() || turn(wait).is_err() {
                // Staged entries close descriptors and cancel operations that the kernel still has:
                // they have to reach the kernel also when no task waits for the result.
                let _ = turn(Wait::No);
                break;
            }
        }
        self.closed.set(true);
        if self.close_backend() {
            // Entries that the kernel never took have their completion now.
            panic.catch(|| drop(self.turn(Wait::No)));
        }
        self.remote.close_wake();
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let leaked = core.in_flight;
        if let (Some(buffers), true) = (self.buffers.get(), leaked > 0) {
            // The kernel may still write there, so they must never be freed.
            std::mem::forget(Rc::clone(buffers));
        }
        core.in_flight = 0;
        core.slots.retain(|_, slot| match &mut slot.state {
            // A result waits for its future, which may outlive the runtime.
            State::Done(_) => true,
            // So may the owner of what waits in a multishot's queue.
            State::Multi(multi) => {
                multi.end(&mut core.spare_rests);
                true
            }
            State::Waiting(_) | State::Quiet(..) | State::Abandoned(_) => {
                let cancelled = State::Done(Completion::new(-errno::ECANCELED));
                match std::mem::replace(&mut slot.state, cancelled) {
                    // The kernel may still write there, so that memory must never have an owner
                    // again.
                    State::Abandoned(abandoned) => std::mem::forget(abandoned),
                    waiting => gone.push(waiting),
                }
                false
            }
        });
        drop(guard);
        panic.catch(|| unwind::each(gone, drop));
        leaked
    }

    /// Closes the backend, and ends what it was asked for and the kernel has not taken. Returns
    /// whether the next turn has completions of that.
    fn close_backend(&self) -> bool {
        let backend = std::mem::replace(&mut self.core.borrow_mut().backend, Backend::Closed);
        let Backend::Ring(ring) = backend else {
            return false;
        };
        let mut has_completions = false;
        for entry in ring.into_untaken() {
            let user_data = entry.user_data();
            match (backend::is_internal(user_data), entry.closes()) {
                // No task waits for it, and the descriptor has no other owner.
                (true, Some(fd)) => drop(sys::close(fd)),
                (true, None) => {}
                // They come as results of helper threads do, so that completions have one way.
                (false, _) => {
                    let key = Key::from_user_data(user_data);
                    self.remote.post(key, -errno::ECANCELED);
                    has_completions = true;
                }
            }
        }
        has_completions
    }
}

impl Core {
    /// Asks for the end of all that is in flight, and returns what to drop outside the borrow.
    fn cancel_everything(&mut self) -> Vec<State> {
        let mut keys = Vec::new();
        for (index, slot) in &mut self.slots {
            let key = Key {
                index: index as u32,
                generation: slot.generation,
            };
            match &mut slot.state {
                // Abandoned operations were cancelled then, and those that never had a future were
                // not.
                State::Waiting(_) | State::Quiet(..) | State::Abandoned(_) => keys.push(key),
                State::Multi(multi) if multi.flight == Flight::GoesOn => {
                    multi.flight = Flight::Cancelled;
                    keys.push(key);
                }
                _ => {}
            }
        }
        match &mut self.backend {
            Backend::Ring(ring) => keys.into_iter().for_each(|key| ring.cancel(key)),
            Backend::Poll(poll) => {
                // Nothing of the kernel's hangs on a wait for readiness: it ends here.
                let waiters = poll.drain_waiters();
                self.in_flight -= waiters.len();
                let end = |key: Key| {
                    let gone = State::Done(Completion::new(-errno::ECANCELED));
                    std::mem::replace(&mut self.slots[key.index as usize].state, gone)
                };
                return waiters.into_iter().map(end).collect();
            }
            Backend::Closed => {}
        }
        Vec::new()
    }
}
