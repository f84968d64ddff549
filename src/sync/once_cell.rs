//! [`OnceCell`]: a value that the first task that needs it makes, by a future.

use std::{cell, convert::Infallible, fmt};

use super::{closed::Closed, semaphore::Semaphore};
use crate::{budget, wait_note::WaitNote};

/// A value that is made once, by a future, when the first task asks for it.
///
/// Tasks that ask meanwhile wait for it. If the future that makes it fails or is dropped, the task
/// that has waited longest goes on with its own. `std::cell::OnceCell` is for values that are made
/// without waiting.
///
/// # Examples
///
/// ```
/// use annulus::{sync::OnceCell, time::sleep};
/// use std::time::Duration;
///
/// async fn load() -> u32 {
///     sleep(Duration::from_millis(1)).await;
///     5
/// }
///
/// annulus::run(async {
///     let cell = OnceCell::new();
///     assert_eq!(cell.get(), None);
///     assert_eq!(*cell.get_or_init(load).await, 5);
///     let again = cell.get_or_init(async || unreachable!("there is a value"));
///     assert_eq!(*again.await, 5);
/// });
/// ```
pub struct OnceCell<T> {
    value: cell::OnceCell<T>,
    /// Has one permit, for the task that makes the value. It is closed when there is one.
    turn: Semaphore,
}

impl<T> OnceCell<T> {
    /// Returns an empty cell.
    pub const fn new() -> OnceCell<T> {
        OnceCell {
            value: cell::OnceCell::new(),
            turn: Semaphore::noting(1, WaitNote::OnceCell),
        }
    }

    /// Returns the value if there is one, without waiting.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value if there is one, to change it.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Returns the value. If there is none, makes it by `init`, or waits for the task that does.
    ///
    /// An `init` that asks for the value of its own cell waits for ever.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops that of `init` as well, and the next task in line begins with its
    /// own.
    pub async fn get_or_init(&self, init: impl AsyncFnOnce() -> T) -> &T {
        let made = self.get_or_try_init(async || Ok::<T, Infallible>(init().await));
        match made.await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Returns the value. If there is none, makes it by `init`, or waits for the task that does.
    ///
    /// # Errors
    ///
    /// That of `init`. The cell stays empty then, and the next task in line begins with its own.
    ///
    /// # Cancel safety
    ///
    /// As for [`get_or_init`](OnceCell::get_or_init).
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::sync::OnceCell;
    ///
    /// annulus::run(async {
    ///     let cell = OnceCell::new();
    ///     let failed = cell.get_or_try_init(async || "five".parse::<u32>()).await;
    ///     assert!(failed.is_err());
    ///     assert_eq!(cell.get_or_try_init(async || "5".parse()).await, Ok(&5));
    ///     Ok::<(), std::num::ParseIntError>(())
    /// })?;
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub async fn get_or_try_init<E>(
        &self,
        init: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        if let Some(value) = self.get() {
            budget::turn().await;
            return Ok(value);
        }
        match self.turn.acquire().await {
            Ok(_turn) => {
                let value = init().await?;
                Ok(self.fill(value))
            }
            Err(Closed) => Ok(self.get().expect("a cell is closed when it has a value")),
        }
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// Gives the value back when there is one already, or a task is about to make it.
    pub fn set(&self, value: T) -> Result<(), T> {
        let Some(_turn) = self.turn.try_acquire() else {
            return Err(value);
        };
        self.fill(value);
        Ok(())
    }

    /// Returns the value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Sets the value of an empty cell, and wakes all tasks that wait for it. The caller has the
    /// permit.
    fn fill(&self, value: T) -> &T {
        let value = self.value.get_or_init(|| value);
        self.turn.close();
        value
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> OnceCell<T> {
        let cell = OnceCell::new();
        cell.fill(value);
        cell
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cell = f.debug_struct("OnceCell");
        match self.get() {
            Some(value) => cell.field("value", value),
            None => cell.field("value", &format_args!("<empty>")),
        };
        cell.finish()
    }
}
