//! [`Semaphore`]: a limited number of permits.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{
    closed::Closed,
    semaphore_permit::{OwnedSemaphorePermit, SemaphorePermit},
    waiters::{Left, Place, Waiters},
};
use crate::{
    budget::{self, PutOff},
    unwind,
    wait_note::{self, WaitNote},
};

/// Limits how many tasks do something at the same time.
///
/// A task holds a permit for as long as it does it; dropping the permit gives it back. Permits go
/// to tasks in the order in which they asked: one that asks for many is not overtaken by those that
/// ask for few. Since only permits give back, and each only once, there are never more permits than
/// the semaphore was made with, apart from those added with
/// [`add_permits`](Semaphore::add_permits).
///
/// # Examples
///
/// ```
/// use annulus::sync::Semaphore;
///
/// annulus::run(async {
///     let requests = Semaphore::new(2);
///     let first = requests.acquire().await?;
///     let second = requests.acquire().await?;
///     assert!(requests.try_acquire().is_none());
///     drop(first);
///     assert!(requests.try_acquire().is_some());
///     drop(second);
///     Ok::<(), annulus::sync::Closed>(())
/// })?;
/// # Ok::<(), annulus::sync::Closed>(())
/// ```
pub struct Semaphore {
    /// The permits that are free. While a task waits, fewer than the first in line needs.
    permits: Cell<usize>,
    is_closed: Cell<bool>,
    waiters: Waiters<Choice>,
    /// The note of a task that waits.
    note: WaitNote,
}

/// Why a waiter was chosen.
#[derive(Clone, Copy)]
enum Choice {
    /// Its permits were taken for it.
    Granted,
    Closed,
}

impl Semaphore {
    /// Returns a semaphore with this many permits.
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore::noting(permits, WaitNote::Semaphore)
    }

    /// As [`new`](Self::new), where a task that waits leaves another note.
    pub(super) const fn noting(permits: usize, note: WaitNote) -> Semaphore {
        Semaphore {
            permits: Cell::new(permits),
            is_closed: Cell::new(false),
            waiters: Waiters::new(),
            note,
        }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the semaphore was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line. A permit that it was given goes to the next.
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for `amount` permits, all at once.
    ///
    /// Those behind it wait as well, even if there are enough permits for them. An amount that the
    /// semaphore never has is waited for until permits are added.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the semaphore was closed.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Semaphore::acquire).
    pub fn acquire_many(&self, amount: usize) -> Acquire<'_> {
        Acquire {
            semaphore: self,
            amount,
            place: None,
            put_off: PutOff::new(),
        }
    }

    /// Waits for a permit that keeps the semaphore alive, for instance to move it into a task.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the semaphore was closed.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Semaphore::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::Semaphore;
    /// use std::rc::Rc;
    ///
    /// annulus::run(async {
    ///     let semaphore = Rc::new(Semaphore::new(1));
    ///     let permit = semaphore.clone().acquire_owned().await?;
    ///     let task = async move {
    ///         // ..
    ///         drop(permit);
    ///     };
    ///     task.await;
    ///     assert_eq!(semaphore.available_permits(), 1);
    ///     Ok::<(), annulus::sync::Closed>(())
    /// })?;
    /// # Ok::<(), annulus::sync::Closed>(())
    /// ```
    pub async fn acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, Closed> {
        let permit = self.acquire().await?;
        permit.forget();
        Ok(OwnedSemaphorePermit::new(self, 1))
    }

    /// Returns a permit if one is free and no task waits for it.
    ///
    /// `None` also when the semaphore was closed.
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.try_take(1)?.ok()
    }

    /// Returns `amount` permits if there are so many and no task waits.
    ///
    /// `None` also when the semaphore was closed.
    pub fn try_acquire_many(&self, amount: usize) -> Option<SemaphorePermit<'_>> {
        self.try_take(amount)?.ok()
    }

    /// Returns the number of free permits. Tasks in line come first for them.
    pub fn available_permits(&self) -> usize {
        self.permits.get()
    }

    /// Adds permits.
    ///
    /// # Panics
    ///
    /// When there would be more than `usize::MAX`.
    pub fn add_permits(&self, amount: usize) {
        let permits = self.permits.get().checked_add(amount);
        self.permits
            .set(permits.expect("a semaphore has at most `usize::MAX` permits"));
        self.serve();
    }

    /// Refuses permits from now on: tasks that wait get an error, and so do later callers.
    ///
    /// Permits that are held stay valid.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.waiters.wake_all(Choice::Closed);
    }

    /// Whether the semaphore was closed.
    pub fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// Grants permits to those in line, as far as they go.
    fn serve(&self) {
        // Waking is user code, which may come back here: all is settled before. It may panic, and
        // the next in line has its permits all the same.
        unwind::each(std::iter::from_fn(|| self.grant()), Waker::wake);
    }

    /// Grants the first in line its permits, if there are enough.
    fn grant(&self) -> Option<Waker> {
        let amount = self.waiters.first_amount()?;
        self.permits.set(self.permits.get().checked_sub(amount)?);
        self.waiters.choose_first(Choice::Granted)
    }

    /// Takes a permit for good unless that means waiting, also from a closed semaphore.
    pub(super) fn take_even_closed(&self) -> bool {
        let Some(left) = self.permits.get().checked_sub(1) else {
            return false;
        };
        let is_free = self.waiters.is_empty();
        if is_free {
            self.permits.set(left);
            budget::spend();
        }
        is_free
    }

    /// Whether permits can be taken without waiting.
    fn has(&self, amount: usize) -> bool {
        self.waiters.is_empty() && self.permits.get() >= amount
    }

    /// Takes permits unless that means waiting.
    fn try_take(&self, amount: usize) -> Option<Result<SemaphorePermit<'_>, Closed>> {
        if self.is_closed.get() {
            return Some(Err(Closed));
        }
        if !self.waiters.is_empty() {
            return None;
        }
        self.permits.set(self.permits.get().checked_sub(amount)?);
        budget::spend();
        Some(Ok(SemaphorePermit::new(self, amount)))
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "it acquires a permit only when it is awaited or polled"]
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    amount: usize,
    /// The place in line while this waits.
    place: Option<Place>,
    put_off: PutOff,
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<SemaphorePermit<'a>, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Acquire {
            semaphore, amount, ..
        } = *self;
        if let Some(place) = &self.place {
            return match semaphore.waiters.poll_chosen(place, context.waker()) {
                Poll::Pending => {
                    wait_note::leave(semaphore.note);
                    Poll::Pending
                }
                Poll::Ready(choice) => {
                    self.place = None;
                    Poll::Ready(match choice {
                        Choice::Granted => Ok(SemaphorePermit::new(semaphore, amount)),
                        Choice::Closed => Err(Closed),
                    })
                }
            };
        }
        if budget::is_spent() && semaphore.has(amount) && self.put_off.waits(context) {
            return Poll::Pending;
        }
        if let Some(taken) = semaphore.try_take(amount) {
            return Poll::Ready(taken);
        }
        let waker = context.waker().clone();
        // Cloning a waker is user code, which may have given back a permit.
        if let Some(taken) = semaphore.try_take(amount) {
            return Poll::Ready(taken);
        }
        self.place = Some(semaphore.waiters.push(waker, amount));
        wait_note::leave(semaphore.note);
        Poll::Pending
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            match self.semaphore.waiters.remove(place) {
                Left::Chosen(Choice::Granted) => self.semaphore.add_permits(self.amount),
                Left::Chosen(Choice::Closed) => {}
                // It may have been first in line, and those behind it need less.
                Left::Waiting(waker) => unwind::then(|| drop(waker), || self.semaphore.serve()),
            }
        }
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}
