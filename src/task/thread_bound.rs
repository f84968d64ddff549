//! A value that may be handed around between threads, and is used and dropped on its own one.
//!
//! # Life
//!
//! | where the wrapper is dropped | what becomes of the value |
//! |---|---|
//! | on the value's thread | it is dropped at once |
//! | elsewhere, and the runtime in which it was made is there | it goes to that runtime's [`Home`], and the runtime drops it at its next turn, or when it ends |
//! | elsewhere, and that runtime has ended, or there was none | it is leaked: no code runs on its thread that would drop it |
//!
//! A home is made with the first value of a runtime. Its owner is a task that drops what arrives,
//! so that the runtime's turn does not have to look. The task is dropped with the others of the
//! user when the runtime ends. By that the home is closed.

use std::{
    any::{Any, type_name},
    cell::Cell,
    fmt,
    future::Future,
    mem::{self, ManuallyDrop},
    panic::Location,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use super::{current, header::State, raw::Unnamed, scheduler::Scheduler};
use crate::{mailbox::Mailbox, unwind};

/// A value that stays on its thread, in a wrapper that is `Send` and `Sync`.
///
/// It is for interfaces that ask for `Send` although nothing moves: those of libraries that are
/// written for runtimes with several threads. The compiler then no longer sees that the value must
/// not be used on another thread, so each use looks at the thread:
///
/// - [`get`](Self::get), [`get_mut`](Self::get_mut) and [`into_inner`](Self::into_inner) panic on
///   another thread than the one on which the wrapper was made; [`is_here`](Self::is_here) and
///   [`try_get`](Self::try_get) tell.
/// - A wrapper that is dropped on another thread sends the value home. The runtime in which the
///   wrapper was made drops it there, at its next turn. A panic of the value's destructor is
///   swallowed then. The first wrapper of a runtime starts a task for that.
/// - **The value is leaked** if that runtime has ended by then, or if the wrapper was made outside
///   of a runtime: its destructor never runs.
///
/// A look at the thread costs some two instructions. A wrapper has 16 bytes beside the value, and
/// allocates when it is dropped on another thread only.
///
/// The wrapper of a future is a future, which is polled on its own thread. A future that must not
/// move, as that of an `async` block, has to be in a box, since a value that goes home moves:
/// [`pin`](Self::pin) makes that.
///
/// # Examples
///
/// A library wants a callback that is `Send`. It is called on this thread, and counts without an
/// atomic:
///
/// ```
/// use std::cell::Cell;
/// use annulus::task::ThreadBound;
///
/// fn call_twice(callback: impl Fn() + Send) {
///     callback();
///     callback();
/// }
///
/// let calls = std::rc::Rc::new(Cell::new(0));
/// let bound = ThreadBound::new(calls.clone());
/// call_twice(move || bound.get().set(bound.get().get() + 1));
/// assert_eq!(calls.get(), 2);
/// ```
///
/// A future of ours behind a trait that asks for `Send`:
///
/// ```
/// use std::{pin::Pin, rc::Rc};
/// use annulus::task::ThreadBound;
///
/// type Answer = Pin<Box<dyn Future<Output = usize> + Send>>;
///
/// fn answer() -> Answer {
///     let shared = Rc::new(20); // not `Send`
///     Box::pin(ThreadBound::pin(async move { *shared + 1 }))
/// }
///
/// annulus::run(async {
///     assert_eq!(answer().await, 21);
/// });
/// ```
pub struct ThreadBound<T: 'static> {
    /// Invariant: it is used and dropped on the thread `thread` only. A move is no use.
    value: ManuallyDrop<T>,
    thread: ThreadNumber,
    home: Option<Arc<Home>>,
}

// SAFETY: all that is done with the value on another thread is moving its bytes; see `value`. The
// other fields are `Send`.
unsafe impl<T: 'static> Send for ThreadBound<T> {}
// SAFETY: a shared reference gives access to the value on its own thread only; see `value`. The
// other fields are `Sync`.
unsafe impl<T: 'static> Sync for ThreadBound<T> {}

// The value is never pinned: no method makes a `Pin` to it without `T: Unpin`.
impl<T: 'static> Unpin for ThreadBound<T> {}

impl<T: 'static> ThreadBound<T> {
    /// Binds `value` to this thread, and to the runtime that runs here, if one does.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self {
            value: ManuallyDrop::new(value),
            thread: ThreadNumber::here(),
            home: current::get().map(|scheduler| scheduler.home()),
        }
    }

    /// Whether the value can be used here: on the thread on which the wrapper was made.
    #[inline]
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.thread.is_here()
    }

    /// Returns the value.
    ///
    /// # Panics
    ///
    /// On another thread than the value's.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> &T {
        self.check();
        &self.value
    }

    /// Returns the value.
    ///
    /// # Panics
    ///
    /// On another thread than the value's.
    #[inline]
    #[track_caller]
    pub fn get_mut(&mut self) -> &mut T {
        self.check();
        &mut self.value
    }

    /// Returns the value if it can be used here.
    #[inline]
    pub fn try_get(&self) -> Option<&T> {
        self.is_here().then(|| &*self.value)
    }

    /// Takes the value out.
    ///
    /// # Panics
    ///
    /// On another thread than the value's. The value goes home then.
    #[inline]
    #[track_caller]
    pub fn into_inner(self) -> T {
        self.check();
        let mut this = ManuallyDrop::new(self);
        drop(this.home.take());
        // SAFETY: this is the value's thread, and the wrapper, which is not dropped, does not use
        // it any more.
        unsafe { ManuallyDrop::take(&mut this.value) }
    }

    #[inline]
    #[track_caller]
    fn check(&self) {
        if !self.is_here() {
            refuse(type_name::<T>());
        }
    }

    /// Does what is left for a value that is not on its own thread.
    #[cold]
    fn send_home(&mut self) {
        if let Some(home) = &self.home {
            // SAFETY: the wrapper is being dropped and does not use it any more. Here the value is
            // moved only, and `Traveller` has no destructor.
            let value = unsafe { ManuallyDrop::take(&mut self.value) };
            home.send(Traveller(ManuallyDrop::new(Box::new(value))));
        }
    }
}

impl<F: Future + 'static> ThreadBound<Pin<Box<F>>> {
    /// Puts a future into a box, and binds it to this thread. The future does not move any more.
    ///
    /// The wrapper may go to another thread, where it cannot be polled: that panics, and the future
    /// is as it was. A wrapper that is dropped there sends the box home, and the future is dropped
    /// by the runtime in which `pin` was called, at its next turn. Without that runtime the future
    /// is leaked. A runtime with several threads polls a task on any of them, so give the wrapper
    /// to `annulus::spawn` or to a task that stays on this thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{rc::Rc, thread};
    /// use annulus::task::{ThreadBound, yield_now};
    ///
    /// annulus::run(async {
    ///     let shared = Rc::new(5);
    ///     let weak = Rc::downgrade(&shared);
    ///     let bound = ThreadBound::pin(async move { *shared });
    ///     thread::spawn(move || drop(bound)).join().unwrap(); // never polled
    ///     while weak.upgrade().is_some() {
    ///         yield_now().await; // dropped at a turn of this runtime
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn pin(future: F) -> Self {
        Self::new(Box::pin(future))
    }
}

impl<T: 'static> Drop for ThreadBound<T> {
    #[inline]
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: this is the value's thread, and the wrapper does not use it any more.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        } else {
            self.send_home();
        }
    }
}

impl<F: Future + Unpin + 'static> Future for ThreadBound<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this: &mut Self = Pin::into_inner(self);
        Pin::new(this.get_mut()).poll(context)
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for ThreadBound<T> {
    /// Shows the value on its own thread only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("ThreadBound");
        match self.try_get() {
            Some(value) => debug.field(value),
            None => debug.field(&format_args!("<on another thread>")),
        };
        debug.finish()
    }
}

#[cold]
#[track_caller]
fn refuse(type_name: &str) -> ! {
    let thread = thread::current();
    panic!(
        "a `{type_name}` was used on the thread `{}`, and stays on the one on which it was made: \
         run the code that uses it there, with `annulus::spawn` and not with the spawning function \
         of another runtime",
        thread.name().unwrap_or("without a name")
    )
}

/// The number of a thread. Unlike an address it is never used for a second one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ThreadNumber(u64);

thread_local! {
    // A constant without a destructor can be read for as long as the thread lives.
    static HERE: Cell<ThreadNumber> = const { Cell::new(ThreadNumber::NONE) };
}

impl ThreadNumber {
    /// Of a thread that has not asked for its number yet.
    const NONE: Self = Self(0);

    fn here() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        HERE.with(|here| {
            if here.get() == Self::NONE {
                here.set(Self(LAST.fetch_add(1, Ordering::Relaxed) + 1));
            }
            here.get()
        })
    }

    #[inline]
    fn is_here(self) -> bool {
        HERE.with(|here| here.get() == self)
    }
}

/// Where values of one runtime that were dropped on other threads arrive. It is shared with them.
#[derive(Default)]
pub(super) struct Home {
    mailbox: Mailbox<Arrivals>,
}

#[derive(Default)]
struct Arrivals {
    values: Vec<Traveller>,
    /// No code will drop what arrives.
    is_closed: bool,
}

/// A value on its way home.
///
/// It has no destructor, since it may come to its end on any thread: there it is leaked.
struct Traveller(ManuallyDrop<Box<dyn Any>>);

// SAFETY: other threads move it only. [`Traveller::arrive`] is for the value's own.
unsafe impl Send for Traveller {}

impl Traveller {
    /// Drops the value.
    ///
    /// # Safety
    ///
    /// This is the thread on which the value's wrapper was made.
    unsafe fn arrive(self) {
        let value = ManuallyDrop::into_inner(self.0);
        unwind::swallow(|| drop(value));
    }
}

impl Home {
    /// Leaves a value for the home's thread, or leaks it if that will not look any more.
    fn send(&self, value: Traveller) {
        self.mailbox.put(|arrivals| {
            if !arrivals.is_closed {
                arrivals.values.push(value);
            }
        });
    }
}

/// The task that owns a home: it drops what arrives, and closes the home when it is dropped.
///
/// Invariant: it is a task of the scheduler whose home it is. So it is polled and dropped on the
/// thread of the values that arrive, which were bound while that scheduler was current.
struct Keeper {
    home: Arc<Home>,
    is_owner: bool,
}

impl Keeper {
    fn drop_arrivals(&self) {
        let arrived = self
            .home
            .mailbox
            .take(|arrivals| mem::take(&mut arrivals.values));
        for value in arrived.into_iter().flatten() {
            // SAFETY: the invariant of this type.
            unsafe { value.arrive() };
        }
    }
}

impl Future for Keeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // The waker of a task is the same at each poll.
        if !self.is_owner {
            self.is_owner = true;
            self.home.mailbox.set_owner(Some(context.waker().clone()));
        }
        self.drop_arrivals();
        Poll::Pending
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.home.mailbox.set_owner(None);
        self.home.mailbox.put(|arrivals| arrivals.is_closed = true);
        self.drop_arrivals();
    }
}

impl Scheduler {
    /// The home of values that are bound while this scheduler is current.
    fn home(&self) -> Arc<Home> {
        let mut keeper = None;
        let home = self.home.get_or_init(|| {
            let home = Arc::new(Home::default());
            keeper = Some(Keeper {
                home: Arc::clone(&home),
                is_owner: false,
            });
            home
        });
        if let Some(keeper) = keeper {
            self.spawn(keeper, Unnamed, State::DETACHED, Location::caller());
        }
        Arc::clone(home)
    }
}
