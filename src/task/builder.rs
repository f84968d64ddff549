//! Spawning with a name.

use std::{borrow::Cow, future::Future, panic::Location};

use super::{JoinHandle, raw::Unnamed, spawn_as};

/// Spawns a task with a name, as std's `thread::Builder` spawns a thread.
///
/// The name appears in reports about the task: that it panicked while it was detached, or that it
/// blocked its thread. A task without a name pays nothing for the possibility.
///
/// # Examples
///
/// ```
/// use annulus::task;
///
/// annulus::run(async {
///     let handle = task::Builder::new().name("greeter").spawn(async { task::name() });
///     assert_eq!(handle.await?.as_deref(), Some("greeter"));
///     Ok::<(), task::JoinError>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct Builder {
    name: Option<Cow<'static, str>>,
}

impl Builder {
    /// Describes a task without a name, as [`spawn`](super::spawn) makes it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the task a name.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Spawns the task on this thread's runtime.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](super::spawn).
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        match self.name {
            Some(name) => spawn_as(future, name, Location::caller()),
            None => spawn_as(future, Unnamed, Location::caller()),
        }
    }
}
