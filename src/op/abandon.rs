//! The part of an operation that the driver keeps when its future is gone.

use super::Op;
use crate::{
    driver::{Abandoned, Driver, Key, Withdrawn},
    sys::Completion,
};

/// An operation in flight: it is completed as any other and its output dropped, which gives back
/// everything that the kernel handed over.
pub(super) struct AbandonedOp<O: Op>(pub(super) O);

impl<O: Op> Abandoned for AbandonedOp<O> {
    fn part(&mut self, _completion: Completion) {}

    fn finish(self: Box<Self>, completion: Completion) {
        drop(self.0.complete(completion.result()));
    }
}

/// Something to keep until a wait for readiness has ended: its descriptor, most of all.
struct AbandonedWait<T> {
    keep: T,
}

impl<T> Abandoned for AbandonedWait<T> {
    fn part(&mut self, _completion: Completion) {}

    fn finish(self: Box<Self>, _completion: Completion) {
        drop(self.keep);
    }
}

/// Gives up a wait for readiness. The kernel addresses nothing of `keep`, but the descriptor in it
/// must stay open while a poll entry names it.
pub(crate) fn wait<T: 'static>(driver: &Driver, key: Key, keep: T) {
    if let Withdrawn::InFlight = driver.withdraw(key) {
        driver.abandon(key, Box::new(AbandonedWait { keep }));
    }
}
