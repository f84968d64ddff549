//! [`Node`]: a token in the tree of its parents and children.
//!
//! A node keeps its parent, and its parent has a weak reference to it until it is dropped or the
//! parent is cancelled. Trees may be deep, so nothing here calls itself.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use slab::Slab;

use crate::{shrink, sync::notify::Notify, unwind, wait_note::WaitNote};

pub(super) struct Node {
    is_cancelled: Cell<bool>,
    /// Notified when it is cancelled.
    pub(super) cancelled: Notify,
    /// Empty when it is cancelled.
    children: RefCell<Slab<Weak<Node>>>,
    /// The parent, and the place of this node among its children.
    parent: Cell<Option<(Rc<Node>, usize)>>,
}

impl Node {
    pub(super) fn root() -> Rc<Node> {
        Rc::new(Node {
            is_cancelled: Cell::new(false),
            cancelled: Notify::noting(WaitNote::Cancellation),
            children: RefCell::default(),
            parent: Cell::new(None),
        })
    }

    pub(super) fn child(parent: &Rc<Node>) -> Rc<Node> {
        let child = Node::root();
        if parent.is_cancelled() {
            child.is_cancelled.set(true);
        } else {
            let index = parent.children.borrow_mut().insert(Rc::downgrade(&child));
            child.parent.set(Some((Rc::clone(parent), index)));
        }
        child
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }

    fn forget_child(&self, index: usize) {
        let mut children = self.children.borrow_mut();
        children.remove(index);
        if children.is_empty() && shrink::is_large::<Weak<Node>>(children.capacity()) {
            *children = Slab::new();
        }
    }

    /// Cancels `node` and those below it, then wakes all that wait.
    pub(super) fn cancel(node: &Rc<Node>) {
        if node.is_cancelled.replace(true) {
            return;
        }
        let mut cancelled = vec![Rc::clone(node)];
        let mut index = 0;
        while let Some(node) = cancelled.get(index) {
            index += 1;
            let children = node.children.take();
            let children = children
                .into_iter()
                .filter_map(|(_, child)| child.upgrade());
            let children = children.filter(|child| !child.is_cancelled.replace(true));
            cancelled.extend(children.collect::<Vec<_>>());
        }
        unwind::each(cancelled, |node| node.cancelled.notify_waiters());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some((node, index)) = parent {
            // A cancelled node has no children any more.
            if !node.is_cancelled() {
                node.forget_child(index);
            }
            // A parent that only this node has kept is dropped here, and not within its child's
            // drop.
            parent = Rc::into_inner(node).and_then(|node| node.parent.take());
        }
    }
}
