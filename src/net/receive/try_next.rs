//! Receiving what is here already.

use std::{io, rc::Rc};

use super::{Receive, Shared, State, Step, Ticket};
use crate::{op, pool::ManagedBuf};

impl Receive {
    /// Takes bytes that are here already, or fails with `WouldBlock`.
    pub(in crate::net) fn try_next(&self, shared: &Rc<Shared>) -> io::Result<ManagedBuf> {
        let driver = shared.driver();
        driver.check_current()?;
        let ticket = Ticket::new();
        if !self.turns.try_take(&ticket) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = self.try_next_in_turn(shared);
        self.turns.leave(&ticket);
        result
    }

    /// Takes what is there, and leaves a wait for readiness to those who will wait again.
    fn attempt_beside_wait(&self, shared: &Rc<Shared>) -> Step {
        let before = self.state.get();
        match (self.attempt(shared), before) {
            (Step::Again, _) => Step::Pending,
            (Step::End, State::Ready(key)) => {
                op::abandon_wait(shared.driver(), key, Rc::clone(shared));
                Step::End
            }
            (step, _) => step,
        }
    }

    fn try_next_in_turn(&self, shared: &Rc<Shared>) -> io::Result<ManagedBuf> {
        loop {
            let step = match self.take_parked(shared.driver()) {
                Some(step) => step,
                None => match self.state.get() {
                    // Nothing is under way that could be overtaken: no bytes, only a wait for them.
                    State::Idle | State::Ready(_) => self.attempt_beside_wait(shared),
                    State::Multi(_) | State::Ended => Step::Pending,
                },
            };
            return match step {
                Step::Bytes(bytes) => Ok(bytes),
                Step::End => self.tell_end(),
                Step::Again | Step::NoBuffer => continue,
                Step::Pending => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
    }
}
