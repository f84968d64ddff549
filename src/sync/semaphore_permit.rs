//! [`SemaphorePermit`] and [`OwnedSemaphorePermit`]: the permits that a semaphore gives out.

use std::rc::Rc;

use super::semaphore::Semaphore;

/// One or more permits of a [`Semaphore`]; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back at once"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    amount: usize,
}

impl<'a> SemaphorePermit<'a> {
    pub(super) fn new(semaphore: &'a Semaphore, amount: usize) -> SemaphorePermit<'a> {
        SemaphorePermit { semaphore, amount }
    }

    /// Takes the permits out of circulation: they are not given back.
    pub fn forget(mut self) {
        self.amount = 0;
    }

    /// Makes two of it: the first one has `amount` permits, the second one the others.
    pub(super) fn split(mut self, amount: usize) -> (SemaphorePermit<'a>, SemaphorePermit<'a>) {
        assert!(
            amount <= self.amount,
            "a permit has no more than it was given"
        );
        self.amount -= amount;
        (SemaphorePermit::new(self.semaphore, amount), self)
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.semaphore.add_permits(self.amount);
        }
    }
}

/// A permit that keeps its [`Semaphore`] alive; dropping it gives it back.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back at once"]
pub struct OwnedSemaphorePermit {
    semaphore: Rc<Semaphore>,
    amount: usize,
}

impl OwnedSemaphorePermit {
    pub(super) fn new(semaphore: Rc<Semaphore>, amount: usize) -> OwnedSemaphorePermit {
        OwnedSemaphorePermit { semaphore, amount }
    }

    /// Takes the permit out of circulation: it is not given back.
    pub fn forget(mut self) {
        self.amount = 0;
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.semaphore.add_permits(self.amount);
        }
    }
}
