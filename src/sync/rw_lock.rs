//! [`RwLock`]: a value for many tasks that read or for one that writes, also over an `await`.

use std::{
    cell::{Ref, RefCell, RefMut},
    fmt,
    ops::{Deref, DerefMut},
};

use super::{semaphore::Semaphore, semaphore_permit::SemaphorePermit};
use crate::wait_note::WaitNote;

/// The permits of a lock. A reader has one, a writer all.
const PERMITS: usize = u32::MAX as usize;

/// A value that many tasks may read at a time, or one may write, for as long as they hold a guard.
///
/// A `RefCell` is enough for a value that is not held over an `await`, as for a
/// [`Mutex`](super::Mutex).
///
/// Tasks have the value in the order in which they asked: readers that come after a waiting writer
/// wait for it, so that writers have their turn. For the same reason a task that reads must not ask
/// again while it holds its guard: with a writer in between, both would wait for ever. A panic
/// gives the value to the next task as it is.
///
/// # Examples
///
/// ```
/// use annulus::{sync::RwLock, task::yield_now};
///
/// annulus::run(async {
///     let routes = RwLock::new(vec!["/"]);
///     let first = routes.read().await;
///     let second = routes.read().await;
///     yield_now().await; // held over an `await`
///     assert_eq!(*first, *second);
///     assert!(routes.try_write().is_none());
///     drop((first, second));
///     routes.write().await.push("/health");
///     assert_eq!(routes.read().await.len(), 2);
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    /// Has [`PERMITS`], and is never closed.
    turns: Semaphore,
    /// Borrowed only by guards, which have permits.
    value: RefCell<T>,
}

impl<T> RwLock<T> {
    /// Returns a lock that no task holds.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock {
            turns: Semaphore::noting(PERMITS, WaitNote::RwLock),
            value: RefCell::new(value),
        }
    }

    /// Returns the value. No guard is left, since they borrow the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until the value can be read, and holds it until the guard is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line. A turn that it was given goes to the next.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        let turn = self.turns.acquire().await;
        self.read_guard(turn.expect("the semaphore of a lock is never closed"))
    }

    /// Waits until the value can be written, and holds it until the guard is dropped.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](RwLock::read).
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        let turn = self.turns.acquire_many(PERMITS).await;
        self.write_guard(turn.expect("the semaphore of a lock is never closed"))
    }

    /// Returns the value to read it, if no task writes it or waits for it.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let turn = self.turns.try_acquire()?;
        Some(self.read_guard(turn))
    }

    /// Returns the value to write it, if no task holds it or waits for it.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let turn = self.turns.try_acquire_many(PERMITS)?;
        Some(self.write_guard(turn))
    }

    /// Returns the value without a guard, since no other code has the lock now.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    fn read_guard<'a>(&'a self, turn: SemaphorePermit<'a>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard {
            value: self.value.borrow(),
            _turn: turn,
        }
    }

    fn write_guard<'a>(&'a self, turn: SemaphorePermit<'a>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard {
            value: self.value.borrow_mut(),
            turn,
            lock: self,
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RwLock");
        match self.value.try_borrow() {
            Ok(value) => lock.field("value", &&*value),
            Err(_) => lock.field("value", &format_args!("<locked>")),
        };
        lock.finish()
    }
}

/// The value of an [`RwLock`] to read.
#[must_use = "dropping a guard gives its turn back at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Dropped in this order: the next task has its turn when the value is free.
    value: Ref<'a, T>,
    _turn: SemaphorePermit<'a>,
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The value of an [`RwLock`] to write.
#[must_use = "dropping a guard gives its turn back at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // Dropped in this order: the next task has its turn when the value is free.
    value: RefMut<'a, T>,
    turn: SemaphorePermit<'a>,
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Lets other tasks read the value too. No task writes it in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::RwLock;
    ///
    /// annulus::run(async {
    ///     let number = RwLock::new(1);
    ///     let mut own = number.write().await;
    ///     *own += 1;
    ///     let own = own.downgrade();
    ///     assert_eq!((*own, *number.read().await), (2, 2));
    /// });
    /// ```
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { value, turn, lock } = self;
        drop(value);
        let (own, others) = turn.split(1);
        let guard = lock.read_guard(own);
        // It wakes those who wait to read, so it comes last.
        drop(others);
        guard
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
