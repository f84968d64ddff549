//! The messages that wait for one subscriber.

use std::{collections::VecDeque, rc::Rc};

use super::delivery::Delivery;

/// The messages that wait for one subscriber. Most wait for the end of a turn, and alone, so the
/// first one has its place here and costs no allocation.
#[derive(Default)]
pub(super) struct Pending {
    first: Option<Rc<Delivery>>,
    /// Empty while there is no first one. It holds no memory while it is empty.
    more: VecDeque<Rc<Delivery>>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn is_alone(&self) -> bool {
        self.more.is_empty() && self.first.is_some()
    }

    pub(super) fn first(&self) -> Option<&Rc<Delivery>> {
        self.first.as_ref()
    }

    /// Whether a message `is_it`.
    pub(super) fn has(&self, is_it: impl Fn(&Delivery) -> bool) -> bool {
        self.first
            .iter()
            .chain(&self.more)
            .any(|delivery| is_it(delivery))
    }

    pub(super) fn push(&mut self, delivery: Rc<Delivery>) {
        if self.first.is_none() {
            self.first = Some(delivery);
        } else {
            self.more.push_back(delivery);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Rc<Delivery>> {
        let popped = self.first.take()?;
        self.first = self.more.pop_front();
        self.shrink();
        Some(popped)
    }

    /// Takes the first message that `is_it`.
    pub(super) fn take_first(&mut self, is_it: impl Fn(&Delivery) -> bool) -> Option<Rc<Delivery>> {
        if is_it(self.first.as_ref()?) {
            return self.pop();
        }
        let index = self.more.iter().position(|delivery| is_it(delivery))?;
        let taken = self.more.remove(index);
        self.shrink();
        taken
    }

    fn shrink(&mut self) {
        if self.more.is_empty() && self.more.capacity() > 0 {
            self.more = VecDeque::new();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }
}
