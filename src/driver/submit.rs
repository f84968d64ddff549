//! The ways in which an operation gets its slot.

use std::{cell::Cell, io, sync::Arc, task::Waker};

use super::{
    Abandoned, Driver, Job, Key,
    backend::Backend,
    foreign_runtime,
    slot::{State, What},
};
use crate::{
    sys::{Completion, Entry, PollEvents, errno, opcode},
    unwind::FirstPanic,
};

impl Driver {
    /// Pushes `entry`, whose completion wakes `waker`.
    ///
    /// # Safety
    ///
    /// The memory that `entry` points to lives, and is left alone, until the slot's final
    /// completion was seen: by [`Driver::poll_op`], by [`Driver::withdraw`], or by
    /// [`Abandoned::finish`].
    pub(crate) unsafe fn submit(&self, entry: Entry, waker: Waker) -> io::Result<Key> {
        self.push_slot(State::Waiting(waker), entry)
    }

    /// Pushes `entry`, whose completion is `keeper`'s. Where that fails, it completes at once, with
    /// the error.
    ///
    /// # Safety
    ///
    /// `keeper` keeps what `entry` points to, and leaves it alone, until [`Abandoned::finish`].
    #[inline]
    pub(crate) unsafe fn submit_unattended(&self, entry: Entry, keeper: Box<dyn Abandoned>) {
        let pushed = self
            .core
            .borrow_mut()
            .push_slot(State::Abandoned(keeper), entry);
        if let Err((error, State::Abandoned(keeper))) = pushed {
            let errno = error.raw_os_error().unwrap_or(errno::EPIPE);
            keeper.finish(Completion::new(-errno));
        }
    }

    /// As [`Driver::submit`], but a completion with `result` does not wake the task. It is seen
    /// when the operation is polled for another reason; being polled before makes it wake as usual.
    ///
    /// # Safety
    ///
    /// As [`Driver::submit`].
    pub(crate) unsafe fn submit_quiet(
        &self,
        entry: Entry,
        waker: Waker,
        result: i32,
    ) -> io::Result<Key> {
        self.push_slot(State::Quiet(waker, result), entry)
    }

    #[inline]
    pub(super) fn push_slot(&self, state: State, entry: Entry) -> io::Result<Key> {
        let pushed = self.core.borrow_mut().push_slot(state, entry);
        // The state is dropped here, where the driver is no longer borrowed.
        pushed.map_err(|(error, _state)| error)
    }

    /// Waits for `fd` to be ready. `source` is where the poll driver remembers the descriptor.
    ///
    /// The waker is woken in any case, so the future need not look at once.
    pub(crate) fn submit_ready(
        &self,
        fd: i32,
        source: &Cell<u32>,
        events: PollEvents,
        waker: Waker,
    ) -> io::Result<Key> {
        if self.uses_ring {
            return self.push_slot(State::Waiting(waker), Entry::poll_add(fd, events));
        }
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let Backend::Poll(poll) = &mut core.backend else {
            return Err(foreign_runtime());
        };
        poll.watch(fd, source)?;
        if poll.is_ready(source, events) {
            let key = core.insert(
                State::Done(Completion::new(0)),
                u64::MAX,
                What::new(opcode::POLL_ADD, fd),
            );
            drop(guard);
            let mut panic = FirstPanic::default();
            if panic.catch(|| waker.wake()).is_none() {
                // The caller does not get the key.
                self.core.borrow_mut().slots.remove(key.index as usize);
            }
            panic.go_on();
            return Ok(key);
        }
        Ok(core.add_waiter(fd, source, events, waker))
    }

    /// Runs `job` on a helper thread; its result completes the slot.
    ///
    /// # Safety
    ///
    /// As [`Driver::submit`], for what `job` touches.
    pub(crate) unsafe fn submit_job(
        &self,
        job: Box<dyn FnOnce() -> i32 + Send>,
        waker: Waker,
    ) -> io::Result<Key> {
        let Some(helpers) = self.helpers.get() else {
            return Err(io::Error::from_raw_os_error(errno::ENOSYS));
        };
        let key = {
            let mut core = self.core.borrow_mut();
            let key = core.insert(
                State::Waiting(waker),
                u64::MAX,
                What::new(opcode::HELPER, -1),
            );
            core.in_flight += 1;
            key
        };
        let remote = Arc::clone(&self.remote);
        helpers.run(Job::new(job, move |result| remote.post(key, result)));
        Ok(key)
    }
}
