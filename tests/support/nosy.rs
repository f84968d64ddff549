//! A waker that runs code as it is cloned.

use std::{
    cell::RefCell,
    ptr,
    task::{RawWaker, RawWakerVTable, Waker},
};

thread_local! {
    /// The action of the next clone.
    static AT_CLONE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that does what [`at_clone`] has set.
pub(crate) fn nosy() -> Waker {
    const TABLE: RawWakerVTable = RawWakerVTable::new(clone, ignore, ignore, ignore);

    unsafe fn clone(_: *const ()) -> RawWaker {
        if let Some(call) = AT_CLONE.take() {
            call();
        }
        RawWaker::new(ptr::null(), &TABLE)
    }

    unsafe fn ignore(_: *const ()) {}

    // SAFETY: the functions use no data.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) }
}

/// Sets the action of the next clone of a [`nosy`] waker on this thread.
pub(crate) fn at_clone(call: impl FnOnce() + 'static) {
    AT_CLONE.set(Some(Box::new(call)));
}

/// Whether the action is still to come.
pub(crate) fn is_set() -> bool {
    AT_CLONE.with_borrow(Option::is_some)
}
