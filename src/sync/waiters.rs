//! A queue of waiting futures, first come first served.
//!
//! A future that has to wait takes a place with [`Waiters::push`] and holds its [`Place`], which
//! moves by index, so that it can leave from the middle at no cost. It waits until another call
//! *chooses* it: that takes it out of the line and wakes it, and says why. The future owns its
//! place until it has seen the choice ([`Waiters::poll_chosen`]) or is dropped
//! ([`Waiters::remove`]), and in the second case passes on what it was chosen for.

use std::{
    cell::{Cell, RefCell},
    task::{Poll, Waker},
};

use crate::{shrink, unwind};

/// In the place of an index: none.
const NONE: u32 = u32::MAX;

/// The place of one waiting future: only the future that pushed it has it.
pub(crate) struct Place(u32);

/// A queue whose waiters are chosen for a reason `C`.
pub(crate) struct Waiters<C> {
    /// No waker is cloned, woken or dropped while this is borrowed.
    list: RefCell<List<C>>,
    waiting_count: Cell<usize>,
}

struct List<C> {
    nodes: Vec<Node<C>>,
    first: u32,
    last: u32,
    first_free: u32,
    /// How many nodes are not free.
    used_count: usize,
}

struct Node<C> {
    state: State<C>,
    /// How much the waiter needs, for those who choose.
    amount: usize,
    previous: u32,
    /// Also the link of the free list.
    next: u32,
}

enum State<C> {
    Free,
    Waiting(Waker),
    Chosen(C),
}

impl<C: Copy> Default for Waiters<C> {
    fn default() -> Waiters<C> {
        Waiters::new()
    }
}

impl<C: Copy> Waiters<C> {
    pub(crate) const fn new() -> Waiters<C> {
        Waiters {
            list: RefCell::new(List {
                nodes: Vec::new(),
                first: NONE,
                last: NONE,
                first_free: NONE,
                used_count: 0,
            }),
            waiting_count: Cell::new(0),
        }
    }

    /// Whether no future waits. Chosen ones do not count.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting_count.get() == 0
    }

    /// How many futures wait. Chosen ones do not count.
    pub(crate) fn len(&self) -> usize {
        self.waiting_count.get()
    }

    /// Whether no future has a place, in line or chosen.
    pub(crate) fn is_unused(&self) -> bool {
        self.list.borrow().used_count == 0
    }

    /// How much the first in line needs.
    pub(crate) fn first_amount(&self) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let list = self.list.borrow();
        Some(list.nodes[list.first as usize].amount)
    }

    /// Takes the last place.
    pub(crate) fn push(&self, waker: Waker, amount: usize) -> Place {
        self.waiting_count.set(self.waiting_count.get() + 1);
        Place(self.list.borrow_mut().push(waker, amount))
    }

    /// Chooses the first in line. The caller wakes its waker.
    pub(crate) fn choose_first(&self, choice: C) -> Option<Waker> {
        if self.is_empty() {
            return None;
        }
        self.waiting_count.set(self.waiting_count.get() - 1);
        self.list.borrow_mut().choose_first(choice)
    }

    /// Chooses and wakes all who wait now, but none who begin to while these are woken. The panic
    /// of one waker goes on when all were woken.
    pub(crate) fn wake_all(&self, choice: C) {
        if self.waiting_count.get() <= 1 {
            if let Some(waker) = self.choose_first(choice) {
                waker.wake();
            }
            return;
        }
        let mut wakers = Vec::with_capacity(self.waiting_count.get());
        while let Some(waker) = self.choose_first(choice) {
            wakers.push(waker);
        }
        unwind::each(wakers, Waker::wake);
    }

    /// Returns what the waiter was chosen for, which ends its place, or sets its waker. The caller
    /// forgets the place when it is ready.
    pub(crate) fn poll_chosen(&self, place: &Place, waker: &Waker) -> Poll<C> {
        match self.list.borrow_mut().look(place.0, waker) {
            Look::Chosen(choice) => return Poll::Ready(choice),
            Look::Waiting => return Poll::Pending,
            Look::WaitingForOther => {}
        }
        let waker = waker.clone();
        // Cloning may have chosen this waiter, and then it is the new one that is dropped. That may
        // panic, so the choice is taken after it.
        let unused = self.list.borrow_mut().replace_waker(place.0, waker);
        drop(unused);
        self.list.borrow_mut().take_choice(place.0)
    }

    /// As [`poll_chosen`](Self::poll_chosen) for a caller under a lock, where no waker is cloned or
    /// dropped: it sets `waker`, and returns the one that is not needed.
    pub(crate) fn poll_or_set(&self, place: &Place, waker: Waker) -> (Poll<C>, Waker) {
        let mut list = self.list.borrow_mut();
        let unused = list.replace_waker(place.0, waker);
        (list.take_choice(place.0), unused)
    }

    /// Ends a place. The caller acts on what its waiter was chosen for before it drops the waker.
    pub(crate) fn remove(&self, place: Place) -> Left<C> {
        let state = self.list.borrow_mut().remove(place.0);
        match state {
            State::Chosen(choice) => Left::Chosen(choice),
            State::Waiting(waker) => {
                self.waiting_count.set(self.waiting_count.get() - 1);
                Left::Waiting(waker)
            }
            State::Free => unreachable!("a place is ended once"),
        }
    }
}

/// The state of a waiter that left.
pub(crate) enum Left<C> {
    Chosen(C),
    /// In line. Dropping its waker is the user's code.
    Waiting(Waker),
}

enum Look<C> {
    Chosen(C),
    Waiting,
    WaitingForOther,
}

impl<C: Copy> List<C> {
    fn push(&mut self, waker: Waker, amount: usize) -> u32 {
        let node = Node {
            state: State::Waiting(waker),
            amount,
            previous: self.last,
            next: NONE,
        };
        self.used_count += 1;
        let index = self.first_free;
        let index = if index == NONE {
            let index = u32::try_from(self.nodes.len())
                .ok()
                .filter(|&index| index != NONE);
            self.nodes.push(node);
            index.expect("fewer than 2^32 waiters fit into a process")
        } else {
            self.first_free = self.nodes[index as usize].next;
            self.nodes[index as usize] = node;
            index
        };
        match self.last {
            NONE => self.first = index,
            last => self.nodes[last as usize].next = index,
        }
        self.last = index;
        index
    }

    fn choose_first(&mut self, choice: C) -> Option<Waker> {
        let index = self.first;
        self.unlink(index);
        let node = &mut self.nodes[index as usize];
        match std::mem::replace(&mut node.state, State::Chosen(choice)) {
            State::Waiting(waker) => Some(waker),
            _ => unreachable!("every place in line waits"),
        }
    }

    fn look(&mut self, index: u32, waker: &Waker) -> Look<C> {
        match &self.nodes[index as usize].state {
            State::Waiting(stored) if stored.will_wake(waker) => Look::Waiting,
            State::Waiting(_) => Look::WaitingForOther,
            &State::Chosen(choice) => {
                self.free(index);
                Look::Chosen(choice)
            }
            State::Free => unreachable!("a place is ended once"),
        }
    }

    /// Sets the waker of a waiter that is in line, and returns the one that is not needed.
    fn replace_waker(&mut self, index: u32, waker: Waker) -> Waker {
        match &mut self.nodes[index as usize].state {
            State::Waiting(stored) => std::mem::replace(stored, waker),
            State::Chosen(_) => waker,
            State::Free => unreachable!("a place is ended once"),
        }
    }

    /// Ends the place of a waiter that was chosen.
    fn take_choice(&mut self, index: u32) -> Poll<C> {
        let State::Chosen(choice) = self.nodes[index as usize].state else {
            return Poll::Pending;
        };
        self.free(index);
        Poll::Ready(choice)
    }

    fn remove(&mut self, index: u32) -> State<C> {
        if let State::Waiting(_) = self.nodes[index as usize].state {
            self.unlink(index);
        }
        self.free(index)
    }

    fn free(&mut self, index: u32) -> State<C> {
        let node = &mut self.nodes[index as usize];
        node.next = self.first_free;
        self.first_free = index;
        let state = std::mem::replace(&mut node.state, State::Free);
        self.used_count -= 1;
        if self.used_count == 0 && shrink::is_large::<Node<C>>(self.nodes.capacity()) {
            // They are free all, so that no waker is dropped here.
            self.nodes = Vec::new();
            self.first_free = NONE;
        }
        state
    }

    fn unlink(&mut self, index: u32) {
        let Node { previous, next, .. } = self.nodes[index as usize];
        match previous {
            NONE => self.first = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.last = previous,
            next => self.nodes[next as usize].previous = previous,
        }
    }
}
