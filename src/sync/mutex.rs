//! [`Mutex`]: a value for one task at a time, also over an `await`.

use std::{
    cell::{RefCell, RefMut},
    fmt,
    ops::{Deref, DerefMut},
};

use super::{semaphore::Semaphore, semaphore_permit::SemaphorePermit};
use crate::wait_note::WaitNote;

/// A value that one task at a time uses, for as long as it holds a guard.
///
/// No other task of the thread runs between two `await`s, so a `Cell` or a `RefCell` is enough for
/// a value that is not held over one. This is for those that are: a connection on which one task
/// asks and reads the answer before the next one asks.
///
/// Tasks have the value in the order in which they asked. The panic of a task that holds it gives
/// it to the next one as it is: there is no poisoning. A task that asks for a value that it holds
/// itself waits for ever.
///
/// # Examples
///
/// ```
/// use annulus::{io::Reader, net::UnixStream, sync::Mutex};
///
/// /// Sends a question and returns the answer to it.
/// async fn ask(connection: &Mutex<UnixStream>, question: &'static str) -> std::io::Result<String> {
///     let stream = connection.lock().await;
///     stream.write_all(question).await?;
///     let answer = Reader::new(&*stream).read_line(64).await?;
///     Ok(answer.unwrap_or_default())
/// }
///
/// annulus::run(async {
///     let (near, far) = UnixStream::pair()?;
///     let connection = Mutex::new(near);
///     let questions = annulus::future::join(ask(&connection, "a?\n"), ask(&connection, "b?\n"));
///     let answers = async {
///         let mut reader = Reader::new(&far);
///         while let Some(question) = reader.read_line(64).await? {
///             far.write_all(question.replace('?', "!") + "\n").await?;
///             if question == "b?" {
///                 break;
///             }
///         }
///         std::io::Result::Ok(())
///     };
///     let ((a, b), served) = annulus::future::join(questions, answers).await;
///     assert_eq!((a?.as_str(), b?.as_str()), ("a!", "b!"));
///     served
/// })
/// # .unwrap();
/// ```
pub struct Mutex<T: ?Sized> {
    /// Has one permit, and is never closed.
    turn: Semaphore,
    /// Borrowed only by a guard, which has the permit.
    value: RefCell<T>,
}

impl<T> Mutex<T> {
    /// Returns a mutex that no task holds.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            turn: Semaphore::noting(1, WaitNote::Mutex),
            value: RefCell::new(value),
        }
    }

    /// Returns the value. No guard is left, since they borrow the mutex.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the value, and holds it until the guard is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line. A turn that it was given goes to the next.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        let turn = self.turn.acquire().await;
        self.guard(turn.expect("the semaphore of a mutex is never closed"))
    }

    /// Returns the value if no task holds it or waits for it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.turn.try_acquire().map(|turn| self.guard(turn))
    }

    /// Returns the value without a guard, since no other code has the mutex now.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    fn guard<'a>(&'a self, turn: SemaphorePermit<'a>) -> MutexGuard<'a, T> {
        MutexGuard {
            value: self.value.borrow_mut(),
            _turn: turn,
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("Mutex");
        match self.value.try_borrow() {
            Ok(value) => mutex.field("value", &&*value),
            Err(_) => mutex.field("value", &format_args!("<locked>")),
        };
        mutex.finish()
    }
}

/// The value of a [`Mutex`]; dropping it gives the value to the next task in line.
#[must_use = "dropping a guard unlocks its mutex at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    // Dropped in this order: the next task has its turn when the value is free.
    value: RefMut<'a, T>,
    _turn: SemaphorePermit<'a>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
