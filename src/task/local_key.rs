//! [`LocalKey`]: a value that a task has for itself.

use std::{
    cell::RefCell,
    error::Error,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use pin_project_lite::pin_project;

/// Declares values that each task has for itself: see [`LocalKey`].
///
/// A declaration looks like a `static` without a value, and there may be several.
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty);* $(;)?) => {$(
        $(#[$attribute])*
        $visibility static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static VALUE: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            $crate::task::LocalKey::__new(VALUE)
        };
    )*};
}

/// The key of a value that each task has for itself, declared by
/// [`task_local!`](crate::task_local).
///
/// [`scope`](LocalKey::scope) gives a value to a future, and code that the future calls finds it
/// there: the number of a request, for instance, in the lines of a log. A task that is spawned
/// inside has no value before it is given one. For a value of the whole thread std's
/// `thread_local!` is enough, since tasks do not move.
///
/// # Examples
///
/// ```
/// use annulus::{future::join, task::yield_now, task_local};
///
/// task_local! {
///     static REQUEST: u32;
/// }
///
/// fn log(text: &str) -> String {
///     match REQUEST.try_get() {
///         Ok(number) => format!("{number}: {text}"),
///         Err(_) => format!("-: {text}"),
///     }
/// }
///
/// async fn handle() -> String {
///     yield_now().await; // the other one has its turn
///     log("done")
/// }
///
/// annulus::run(async {
///     let both = join(REQUEST.scope(1, handle()), REQUEST.scope(2, handle()));
///     assert_eq!(both.await, ("1: done".into(), "2: done".into()));
///     assert_eq!(log("idle"), "-: idle");
/// });
/// ```
pub struct LocalKey<T: 'static> {
    /// The value of the future that is polled now.
    current: thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn __new(current: thread::LocalKey<RefCell<Option<T>>>) -> Self {
        Self { current }
    }

    /// Returns a future that polls `future` with `value` under this key.
    ///
    /// The value is there in each poll of the future, and when it is dropped. It is dropped after
    /// it.
    ///
    /// # Panics
    ///
    /// The future panics when it is polled within [`with`](LocalKey::with) of the same key.
    ///
    /// # Cancel safety
    ///
    /// As that of `future`.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> LocalScope<T, F> {
        LocalScope {
            future: Some(future),
            value: Some(value),
            key: self,
        }
    }

    /// Calls `call` with `value` under this key, and returns what it returned.
    ///
    /// # Panics
    ///
    /// Within [`with`](LocalKey::with) of the same key.
    pub fn sync_scope<R>(&'static self, value: T, call: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        let _entered = self.enter(&mut value).expect(BORROWED);
        call()
    }

    /// Calls `call` with the value, and returns what it returned.
    ///
    /// # Panics
    ///
    /// Outside of a [`scope`](LocalKey::scope) of this key.
    #[track_caller]
    pub fn with<R>(&'static self, call: impl FnOnce(&T) -> R) -> R {
        match self.try_with(call) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls `call` with the value, and returns what it returned.
    ///
    /// # Errors
    ///
    /// [`AccessError`] outside of a [`scope`](LocalKey::scope) of this key. `call` is not called
    /// then.
    pub fn try_with<R>(&'static self, call: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let called = self
            .current
            .try_with(|value| value.borrow().as_ref().map(call));
        called.ok().flatten().ok_or(AccessError)
    }

    /// Has `value` under this key until the guard is dropped, and keeps what was there before in
    /// its place. None, and nothing is changed, while the value of the key is borrowed.
    fn enter<'a>(&'static self, value: &'a mut Option<T>) -> Option<Entered<'a, T>> {
        self.swap(value).then(|| Entered { key: self, value })
    }

    /// Returns whether the value of the key is not borrowed.
    fn swap(&'static self, value: &mut Option<T>) -> bool {
        let swapped = self.current.try_with(|current| {
            let Ok(mut current) = current.try_borrow_mut() else {
                return false;
            };
            mem::swap(&mut *current, value);
            true
        });
        // At the end of the thread no key has a value, and that is no borrow.
        swapped.unwrap_or(true)
    }
}

/// The value of a key is the task's until this is dropped.
struct Entered<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        // No borrow is left, since each is within a call that has returned.
        self.key.swap(self.value);
    }
}

/// The reason of the panic of a scope that begins within `with`.
const BORROWED: &str = "expected no scope of a key while its value is borrowed";

impl<T: Clone + 'static> LocalKey<T> {
    /// Returns a clone of the value.
    ///
    /// # Panics
    ///
    /// Outside of a [`scope`](LocalKey::scope) of this key.
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(Clone::clone)
    }

    /// Returns a clone of the value.
    ///
    /// # Errors
    ///
    /// [`AccessError`] outside of a [`scope`](LocalKey::scope) of this key.
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(Clone::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// The key has no value here: the code runs outside of its scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a value of the task, found that its key has none here")
    }
}

impl Error for AccessError {}

pin_project! {
    /// The future of [`LocalKey::scope`].
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct LocalScope<T: 'static, F> {
        // None when it was ready.
        #[pin]
        future: Option<F>,
        value: Option<T>,
        key: &'static LocalKey<T>,
    }

    impl<T: 'static, F> PinnedDrop for LocalScope<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _entered = this.key.enter(this.value);
                this.future.set(None);
            }
        }
    }
}

impl<T: 'static, F: Future> Future for LocalScope<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _entered = this.key.enter(this.value).expect(BORROWED);
        let running = this.future.as_mut().as_pin_mut();
        let polled = running
            .expect("a scope was polled after it was ready")
            .poll(context);
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}

impl<T: 'static, F> fmt::Debug for LocalScope<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalScope").finish_non_exhaustive()
    }
}
