//! Libraries of tokio's on annulus, by its context and by its threads, on both drivers.

#![expect(unsafe_code, reason = "limits and forks are raw system calls")]

#[path = "../support/mod.rs"]
mod support;

mod context;
mod inside;
mod life;
mod on_tokio;
mod one_thread;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Keeps the tests of this suite apart, since some count the process's threads.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sentence of a panic.
fn sentence(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(sentence) => *sentence,
        Err(panic) => (*panic.downcast::<&str>().expect("a sentence")).to_owned(),
    }
}

/// The sentence with which `call` panics.
fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("it does not panic"),
        Err(panic) => sentence(panic),
    }
}
