//! Tests of the task module, by subject.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::*;

mod abort;
mod index_lists;
mod join_sets;
mod life;
mod panics;
mod scopes;
mod shutdown;
mod thread_bound;
mod wakers;

/// Counts the calls and lets the owner sleep until the next one.
#[derive(Default)]
pub(super) struct TestUnpark {
    notified: Mutex<bool>,
    condition: Condvar,
    calls: AtomicUsize,
}

impl TestUnpark {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Sleeps until the next `unpark`, or since the last sleep. Fails rather than hangs.
    fn sleep(&self) {
        let notified = self.notified.lock().unwrap();
        let (mut notified, timeout) = self
            .condition
            .wait_timeout_while(notified, Duration::from_secs(60), |notified| !*notified)
            .unwrap();
        assert!(!timeout.timed_out(), "nobody ended the sleep");
        *notified = false;
    }
}

impl Unpark for TestUnpark {
    fn unpark(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        *self.notified.lock().unwrap() = true;
        self.condition.notify_one();
    }
}

fn new_tasks() -> (Tasks, Arc<TestUnpark>) {
    let unpark = Arc::new(TestUnpark::default());
    (Tasks::new(unpark.clone()), unpark)
}

/// Runs what is ready until nothing is.
fn run_all(tasks: &Tasks) {
    tasks.poll_inbox();
    while tasks.run(61) > 0 {
        tasks.poll_inbox();
    }
}

/// The turn of a runtime that has nothing but tasks.
fn block_on<F: Future>(tasks: &Tasks, unpark: &TestUnpark, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = tasks.root_waker();
    waker.wake_by_ref();
    loop {
        tasks.poll_inbox();
        if tasks.take_root_wake() {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
        tasks.run(61);
        if tasks.prepare_park() {
            unpark.sleep();
            tasks.unparked();
        }
    }
}

/// Polls once with a waker that does nothing.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A closure that is called when this is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Counts its drops.
#[derive(Clone, Default)]
struct Drops(Rc<Cell<usize>>);

impl Drops {
    fn count(&self) -> usize {
        self.0.get()
    }

    /// A value whose drop is counted.
    fn token(&self) -> OnDrop<impl FnMut() + use<>> {
        let count = self.0.clone();
        OnDrop(move || count.set(count.get() + 1))
    }
}

/// A future that never ends, and gives its waker away.
fn wait_and_show(slot: Rc<RefCell<Option<Waker>>>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        slot.replace(Some(cx.waker().clone()));
        Poll::Pending
    })
}

/// Wakes by value, which takes another way than by reference.
fn clone_and_wake(waker: &Waker) {
    let clone = waker.clone();
    clone.wake();
}

/// A waker of another kind that runs a closure when it is woken.
struct CallOnWake<F>(F);

impl<F: Fn() + Send + Sync> Wake for CallOnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}
