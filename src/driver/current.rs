//! The driver of the runtime that this thread is inside of.

use std::{cell::RefCell, io, mem::ManuallyDrop, rc::Rc};

use super::{Driver, error::no_runtime};
use crate::task;

thread_local! {
    /// Only [`Entered`] drops what is in here, so that there is no destructor: a runtime that is
    /// kept in a thread-local may end when the thread does, and finds this as it was.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Driver>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// This thread's driver.
///
/// # Errors
///
/// Outside a runtime there is none.
pub(crate) fn current() -> io::Result<Rc<Driver>> {
    let current = CURRENT.with_borrow(|current| Option::clone(current));
    current.ok_or_else(no_runtime)
}

/// Makes `driver` this thread's until the guard is dropped. Meanwhile the one before is not
/// current: a runtime may end, or be dropped, inside a task of another.
///
/// The guard of the tasks is made after this one and dropped before it, so that the tasks of the
/// runtime before are current again when its driver is.
pub(crate) fn enter(driver: &Rc<Driver>) -> Entered {
    let before = replace(Some(Rc::clone(driver)));
    if let Some(before) = &before {
        before.entered.set(false);
    }
    driver.entered.set(driver.can_be_current());
    Entered { before }
}

/// Whether this thread's driver is that of the process which this one is a fork of.
pub(crate) fn is_inherited() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|driver| driver.is_inherited()))
}

/// Makes the current driver what it is in a child that fork(2) has made: not current. Its runtime
/// runs no further tasks there.
pub(super) fn leave() {
    task::leave();
    CURRENT.with_borrow(|current| {
        if let Some(driver) = &**current {
            driver.entered.set(false);
        }
    });
}

fn replace(driver: Option<Rc<Driver>>) -> Option<Rc<Driver>> {
    ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(driver)))
}

/// Brings back the driver from before when it is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    before: Option<Rc<Driver>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        let is_back = before.clone();
        let left = replace(before);
        if let Some(left) = &left {
            left.entered.set(false);
        }
        if let Some(before) = is_back {
            before.entered.set(before.can_be_current());
            if before.is_inherited() {
                // The fork was made inside of the runtime that ends here, and only that one has
                // been told of it.
                task::leave();
            }
        }
        // It may be the last reference, and is dropped when nothing is borrowed any more.
        drop(left);
    }
}
