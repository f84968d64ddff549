//! Runs the user's code that may panic: wakers, destructors, outputs.
//!
//! A panic in one of them is its owner's, and costs other tasks nothing. So a list that is woken or
//! dropped is gone through to its end ([`each`]), what has to follow a wake follows it ([`then`]),
//! and only then the panic goes on. Where there is no caller to take it, it ends ([`swallow`]): the
//! panic hook has reported it by then. A second panic, while the first is on its way, would end the
//! process, and is swallowed as well. None of that code runs under a mutex ([`lock`]).

mod payload;

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

pub(crate) use payload::Payload;

/// Calls `act` for each of `items`, also when it panics for some. The first panic goes on when all
/// had their turn.
#[inline]
pub(crate) fn each<I: IntoIterator>(items: I, act: impl FnMut(I::Item)) {
    struct Each<I: Iterator, F: FnMut(I::Item)> {
        items: I,
        act: F,
    }

    impl<I: Iterator, F: FnMut(I::Item)> Drop for Each<I, F> {
        fn drop(&mut self) {
            for item in self.items.by_ref() {
                swallow(|| (self.act)(item));
            }
        }
    }

    let mut each = Each {
        items: items.into_iter(),
        act,
    };
    for item in each.items.by_ref() {
        (each.act)(item);
    }
}

/// Calls `first` and then `second`, also when the first one panics.
#[inline]
pub(crate) fn then(first: impl FnOnce(), second: impl FnOnce()) {
    struct Then<F: FnOnce()>(Option<F>);

    impl<F: FnOnce()> Drop for Then<F> {
        fn drop(&mut self) {
            if let Some(second) = self.0.take() {
                swallow(second);
            }
        }
    }

    let mut then = Then(Some(second));
    first();
    if let Some(second) = then.0.take() {
        second();
    }
}

/// The first panic of several pieces of code, which goes on when all of them have run.
#[derive(Default)]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Runs `code`, and returns what it returned unless it panicked.
    pub(crate) fn catch<T>(&mut self, code: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(code)) {
            Ok(returned) => Some(returned),
            Err(payload) => {
                if self.0.is_none() {
                    self.0 = Some(payload);
                } else {
                    discard(payload);
                }
                None
            }
        }
    }

    /// Lets the panic go on, if there was one. While another one is under way it ends here.
    pub(crate) fn go_on(self) {
        let Some(payload) = self.0 else { return };
        if thread::panicking() {
            discard(payload);
        } else {
            resume_unwind(payload);
        }
    }
}

/// Runs code whose panic has no caller to go to.
#[inline]
pub(crate) fn swallow(code: impl FnOnce()) {
    let _ = caught(code);
}

/// As [`swallow`], and returns what `code` returned unless it panicked.
#[inline]
pub(crate) fn caught<T>(code: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(returned) => Some(returned),
        Err(payload) => {
            discard(payload);
            None
        }
    }
}

/// The message of a panic, if its payload is a string, as that of `panic!` is.
pub(crate) fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    match payload.downcast_ref::<&'static str>() {
        Some(message) => Some(message),
        None => payload.downcast_ref::<String>().map(String::as_str),
    }
}

/// Locks a mutex under which no code panics, so that it is never poisoned. The user's code runs
/// after the lock is released.
#[inline]
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // A payload whose drop panics with another one: there has to be an end.
        mem::forget(payload);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A panic whose payload panics when it is dropped, and so does that one's.
    struct Payload(u32);

    impl Drop for Payload {
        fn drop(&mut self) {
            if self.0 > 0 {
                resume_unwind(Box::new(Payload(self.0 - 1)));
            }
        }
    }

    fn number(panic: &(dyn Any + Send)) -> u32 {
        *panic.downcast_ref().expect("it is a test's panic")
    }

    #[test]
    fn each_has_its_turn_and_the_first_panic_goes_on() {
        let seen = RefCell::new(Vec::new());
        let panic = catch_unwind(AssertUnwindSafe(|| {
            each(0..6_u32, |item| {
                seen.borrow_mut().push(item);
                if item % 2 == 1 {
                    resume_unwind(Box::new(item));
                }
            });
        }))
        .unwrap_err();
        assert_eq!(number(&*panic), 1);
        assert_eq!(seen.take(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_second_follows_whatever_becomes_of_the_first() {
        let seen = RefCell::new(Vec::new());
        let see = |what: u32| seen.borrow_mut().push(what);
        then(|| see(1), || see(2));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            then(
                || resume_unwind(Box::new(3_u32)),
                || {
                    see(4);
                    resume_unwind(Box::new(5_u32));
                },
            );
        }))
        .unwrap_err();
        assert_eq!(number(&*panic), 3);
        assert_eq!(seen.take(), [1, 2, 4]);
    }

    #[test]
    fn the_first_of_several_panics_goes_on() {
        let mut panic = FirstPanic::default();
        assert_eq!(panic.catch(|| 1), Some(1));
        assert_eq!(panic.catch(|| resume_unwind(Box::new(2_u32))), None::<()>);
        assert_eq!(
            panic.catch(|| resume_unwind(Box::new(Payload(1)))),
            None::<()>
        );
        assert_eq!(panic.catch(|| 3), Some(3));
        let panic = catch_unwind(AssertUnwindSafe(|| panic.go_on())).unwrap_err();
        assert_eq!(number(&*panic), 2);
        FirstPanic::default().go_on();
    }

    #[test]
    fn a_payload_that_panics_as_it_is_dropped_is_swallowed_too() {
        swallow(|| resume_unwind(Box::new(Payload(2))));
    }
}
