//! The primitives of `std` that the models of loom replace.
//!
//! Everything that several threads use together gets its mutexes and atomics from here, so that a
//! model runs the code itself and not a copy of it. A static cannot: those of loom are not made by
//! constants.

#[cfg(not(loom))]
pub(crate) use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

#[cfg(loom)]
pub(crate) use loom::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

#[cfg(not(loom))]
pub(crate) use std::time::Instant;

#[cfg(not(loom))]
pub(crate) use crate::unwind::lock;

/// As [`unwind::lock`](crate::unwind::lock), for the mutex of a model.
#[cfg(loom)]
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    use std::sync::PoisonError;
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that goes on with each look at it, since a model has no time.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Instant(u64);

#[cfg(loom)]
impl Instant {
    pub(crate) fn now() -> Self {
        use std::sync::atomic::AtomicU64;
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        Self(LOOKS.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::from_micros(30 * (Self::now().0 - self.0))
    }
}

/// Runs every order of events with at most so many unforced changes of threads.
#[cfg(all(test, loom))]
pub(crate) fn model(preemptions: usize, code: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(code);
}
