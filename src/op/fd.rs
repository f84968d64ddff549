//! A counted descriptor: closed when its last user is gone, and never before.
//!
//! Invariant: an entry that names a descriptor's number is queued or in flight only while the
//! descriptor is counted, by the operation or by the box that it was abandoned in. So a number is
//! never closed, and then used again by a new connection, under an entry that means the old one.

use std::{
    cell::Cell,
    os::fd::{BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd},
    rc::Rc,
};

use crate::driver::{self, Driver};

/// State that a descriptor's owner keeps beside it. It stands in the descriptor's allocation, so
/// that an idle connection has one and not two.
pub(crate) trait Owner: 'static {
    /// Ends a descriptor whose last user is gone: by a plain close(2), which for a socket does not
    /// wait, unless the owner knows better.
    fn close(&self, fd: OwnedFd, _driver: &Driver) {
        drop(fd);
    }
}

impl Owner for () {}

/// A descriptor, its driver, and what its owner keeps beside it in the same allocation.
pub(crate) struct Descriptor<T: Owner + ?Sized> {
    raw: Cell<i32>,
    /// The index of the descriptor's source in the poll driver.
    source: Cell<u32>,
    driver: Rc<Driver>,
    pub(crate) extra: T,
}

/// A descriptor of any owner, as operations hold it.
pub(crate) type AnyFd = Rc<Descriptor<dyn Owner>>;

impl<T: Owner> Descriptor<T> {
    pub(crate) fn new(fd: OwnedFd, driver: Rc<Driver>, extra: T) -> Rc<Self> {
        Rc::new(Self {
            raw: Cell::new(fd.into_raw_fd()),
            source: Cell::new(driver::NO_SOURCE),
            driver,
            extra,
        })
    }
}

impl<T: Owner + ?Sized> Descriptor<T> {
    #[inline]
    pub(crate) fn raw(&self) -> i32 {
        self.raw.get()
    }

    /// The descriptor, which its owner keeps open for that long.
    ///
    /// # Panics
    ///
    /// When it was taken away.
    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        assert!(self.raw() >= 0, "a socket that is there has its descriptor");
        // SAFETY: the descriptor is open until `take`, which its owner calls last.
        unsafe { BorrowedFd::borrow_raw(self.raw()) }
    }

    #[inline]
    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
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

impl<T: Owner + ?Sized> Drop for Descriptor<T> {
    fn drop(&mut self) {
        if let Some(fd) = self.take() {
            self.extra.close(fd, &self.driver);
        }
    }
}

impl<T: Owner + ?Sized> std::fmt::Debug for Descriptor<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptor")
            .field("raw", &self.raw.get())
            .finish_non_exhaustive()
    }
}
