//! The driver of the runtime that this thread is inside of.

use std::{cell::RefCell, io, rc::Rc};

use super::{Driver, error::no_runtime};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Driver>>> = const { RefCell::new(None) };
}

/// This thread's driver.
///
/// # Errors
///
/// Outside a runtime there is none.
pub(crate) fn current() -> io::Result<Rc<Driver>> {
    let current = CURRENT.try_with(|current| current.borrow().clone());
    current.ok().flatten().ok_or_else(no_runtime)
}

/// Makes `driver` this thread's until the guard is dropped.
pub(crate) fn enter(driver: &Rc<Driver>) -> Entered {
    driver.entered.set(true);
    // A runtime that is kept in a thread-local may end after this one is gone.
    let before = CURRENT.try_with(|current| current.replace(Some(Rc::clone(driver))));
    Entered {
        driver: Rc::clone(driver),
        before: before.ok().flatten(),
    }
}

/// Brings back the driver from before when it is dropped. A runtime may be dropped inside another.
#[derive(Debug)]
pub(crate) struct Entered {
    driver: Rc<Driver>,
    before: Option<Rc<Driver>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.try_with(|current| current.replace(self.before.take()));
        self.driver.entered.set(false);
        drop(left);
    }
}
