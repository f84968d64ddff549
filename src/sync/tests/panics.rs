//! Wakers and values that panic cost other tasks nothing.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;

/// Panics when it is woken.
struct PanicsWoken;

impl Wake for PanicsWoken {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a waker's panic"));
    }
}

/// Panics when its last clone is dropped.
struct PanicsDropped;

impl Wake for PanicsDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsDropped {
    fn drop(&mut self) {
        resume_unwind(Box::new("a waker's panic"));
    }
}

/// A value that is counted and panics when it is dropped.
struct Bomb(Rc<Cell<usize>>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        resume_unwind(Box::new("a value's panic"));
    }
}

fn panics(code: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(code)).is_err()
}

/// Has some futures wait by wakers of which every second one panics.
fn wait<F: Future>(futures: impl Iterator<Item = F>) -> Vec<(Pin<Box<F>>, Arc<CountWakes>)> {
    let mut waiting = Vec::new();
    for (number, future) in futures.enumerate() {
        let (wakes, waker) = counting();
        let panicking = Waker::from(Arc::new(PanicsWoken));
        let mut future = Box::pin(future);
        let waker = if number % 2 == 0 { &panicking } else { &waker };
        assert!(poll_with(&mut future, waker).is_pending());
        waiting.push((future, wakes));
    }
    waiting
}

/// All were chosen, and those whose wakers do not panic were woken, too.
fn all_are_ready<F: Future>(mut waiting: Vec<(Pin<Box<F>>, Arc<CountWakes>)>) {
    for (number, (future, wakes)) in waiting.iter_mut().enumerate() {
        assert!(is_ready(future), "{number} waits for ever");
        assert_eq!(wakes.count(), number % 2);
    }
}

#[test]
fn a_waker_that_panics_leaves_no_other_waiter_of_a_notify_behind() {
    let notify = Notify::new();
    let waiting = wait((0..6).map(|_| notify.notified()));
    assert!(panics(|| notify.notify_waiters()));
    all_are_ready(waiting);
}

#[test]
fn a_waker_that_panics_leaves_no_other_waiter_of_a_semaphore_behind() {
    let semaphore = Semaphore::new(0);
    let waiting = wait((0..6).map(|_| semaphore.acquire()));
    assert!(panics(|| semaphore.add_permits(6)));
    all_are_ready(waiting);

    let waiting = wait((0..6).map(|_| semaphore.acquire_many(7)));
    assert!(panics(|| semaphore.close()));
    all_are_ready(waiting);
}

#[test]
fn those_behind_a_waiter_whose_waker_panics_as_it_leaves_have_their_permits() {
    let semaphore = Semaphore::new(1);
    let mut first = Box::pin(semaphore.acquire_many(2));
    let waker = Waker::from(Arc::new(PanicsDropped));
    assert!(poll_with(&mut first, &waker).is_pending());
    drop(waker);
    let (wakes, waker) = counting();
    let mut second = Box::pin(semaphore.acquire());
    assert!(poll_with(&mut second, &waker).is_pending());
    assert!(panics(|| drop(first)));
    assert_eq!(wakes.count(), 1);
    assert!(is_ready(&mut second));
}

#[test]
fn a_waker_that_panics_leaves_no_other_sender_behind() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(1).unwrap();
    let waiting = wait((0..6).map(|_| sender.reserve()));
    assert!(panics(|| receiver.close()));
    all_are_ready(waiting);
}

#[test]
fn a_value_is_not_lost_to_the_waker_of_a_sender() {
    let (sender, mut receiver) = mpsc::channel(2);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    let mut waiting = wait((0..2).map(|_| sender.reserve()));
    assert!(panics(|| assert!(receiver.try_recv().is_err())));
    assert_eq!(receiver.try_recv(), Ok(1));
    // The place went to the first sender once: the channel does not grow.
    assert!(!is_ready(&mut waiting[1].0));
    assert_eq!(receiver.try_recv(), Ok(2));
    assert!(is_ready(&mut waiting[1].0));
    for (mut sending, _) in waiting.into_iter().take(1) {
        assert!(is_ready(&mut sending));
    }
}

#[test]
fn a_receiver_drops_every_value_whatever_panics() {
    let dropped = Rc::new(Cell::new(0));
    let (sender, receiver) = mpsc::channel(3);
    for _ in 0..3 {
        assert!(sender.try_send(Bomb(dropped.clone())).is_ok());
    }
    let waiting = wait((0..2).map(|_| sender.reserve()));
    assert!(panics(|| drop(receiver)));
    assert_eq!(dropped.get(), 3);
    all_are_ready(waiting);

    let (mut sender, receiver) = oneshot::channel::<Bomb>();
    let waker = Waker::from(Arc::new(PanicsWoken));
    assert!(
        sender
            .poll_closed(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(panics(|| drop(receiver)));
    assert!(sender.is_closed());
}
