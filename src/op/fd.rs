//! A counted descriptor: closed when its last user is gone, and never before.
//!
//! Invariant: an entry that names a descriptor's number is queued or in flight only while the
//! descriptor is counted, by the operation or by the box that it was abandoned in. So a number is
//! never closed, and then used again by a new connection, under an entry that means the old one.

use std::{
    any::Any,
    cell::Cell,
    os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd},
    rc::Rc,
};

use crate::driver::{self, Driver};

/// What happens to a descriptor when its last user is gone.
pub(crate) enum OnDrop {
    /// A plain close(2), which for a socket does not wait.
    Close,
    /// A file's close may write to a slow device, so the ring does it, and nobody waits.
    CloseByRing,
    /// Somebody wants it back. The closure must not call the driver.
    HandOver(Box<dyn FnOnce(OwnedFd)>),
}

/// A descriptor, its driver, and what its owner keeps beside it in the same allocation.
pub(crate) struct Descriptor<T: ?Sized = ()> {
    raw: Cell<i32>,
    on_drop: Cell<OnDrop>,
    /// Where the poll driver remembers it.
    source: Cell<u32>,
    driver: Rc<Driver>,
    pub(crate) extra: T,
}

/// A descriptor of any owner, as operations hold it.
pub(crate) type AnyFd = Rc<Descriptor<dyn Any>>;

impl<T> Descriptor<T> {
    pub(crate) fn new(fd: OwnedFd, on_drop: OnDrop, driver: Rc<Driver>, extra: T) -> Rc<Self> {
        let source = Cell::new(driver::NO_SOURCE);
        let (raw, on_drop) = (Cell::new(fd.into_raw_fd()), Cell::new(on_drop));
        Rc::new(Self {
            raw,
            on_drop,
            source,
            driver,
            extra,
        })
    }
}

impl<T: ?Sized> Descriptor<T> {
    #[inline]
    pub(crate) fn raw(&self) -> i32 {
        self.raw.get()
    }

    #[inline]
    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    /// Changes what happens at the end.
    pub(crate) fn on_drop(&self, on_drop: OnDrop) {
        self.on_drop.set(on_drop);
    }

    #[inline]
    pub(crate) fn source(&self) -> &Cell<u32> {
        &self.source
    }

    /// Takes the descriptor away, so that nothing closes it here.
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        if self.raw.get() < 0 {
            return None;
        }
        self.driver.forget_source(self.raw.get(), &self.source);
        // SAFETY: the number is this descriptor's own, and this is the last use of it here.
        Some(unsafe { OwnedFd::from_raw_fd(self.raw.replace(-1)) })
    }
}

impl<T: ?Sized> Drop for Descriptor<T> {
    fn drop(&mut self) {
        let Some(fd) = self.take() else { return };
        match self.on_drop.replace(OnDrop::Close) {
            OnDrop::Close => drop(fd),
            OnDrop::CloseByRing => {
                if self.driver.close_detached(fd.as_raw_fd()) {
                    // The number is the entry's now.
                    let _ = fd.into_raw_fd();
                }
            }
            OnDrop::HandOver(take) => take(fd),
        }
    }
}

impl<T: ?Sized> std::fmt::Debug for Descriptor<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptor")
            .field("raw", &self.raw.get())
            .finish_non_exhaustive()
    }
}
