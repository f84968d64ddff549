//! [`Mailbox`]: the one way by which other threads hand something to the thread that it is for.
//!
//! Results of helper threads come to a driver by it, wakes of indices to their list, and commands
//! to a server's worker. Two others look alike and are no mailbox. The inbox of a thread's tasks
//! (`task/inbox.rs`) is a list through the tasks themselves, so that a wake allocates nothing and
//! takes no lock. The queue of helper threads (`blocking/threads.rs`) has many takers that sleep.

use std::{fmt, mem, sync::Arc, task::Waker};

use crate::{
    primitives::{AtomicBool, Mutex, Ordering, lock},
    unwind,
};

/// A value that any thread may change, until its owner takes the changes.
///
/// A look at one that nothing was put into is one load. The owner may leave a waker, which the
/// first change since the last take wakes: the others are taken with it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox<T> {
    /// Changed under the lock.
    is_new: AtomicBool,
    slot: Mutex<Slot<T>>,
}

#[derive(Debug, Default)]
struct Slot<T> {
    value: T,
    /// Shared, since cloning a waker is code of its maker, and this happens under the lock.
    owner: Option<Arc<Waker>>,
}

/// The owner of a mailbox, to be woken after a change if it is not awake already.
#[must_use = "the owner may sleep"]
pub(crate) struct Owner(Option<Arc<Waker>>);

impl Owner {
    /// Wakes the owner. The waker may be the user's. Its panic ends here, since it does not concern
    /// the caller, who often has other owners to wake.
    pub(crate) fn wake(self) {
        if let Some(waker) = self.0 {
            unwind::swallow(|| waker.wake_by_ref());
            // It is the last one if the owner has left another one meanwhile.
            unwind::swallow(|| drop(waker));
        }
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

impl<T> Mailbox<T> {
    /// Changes the value, and wakes the owner if nothing was new. `change` is none of the user's
    /// code: it runs under the lock.
    pub(crate) fn put(&self, change: impl FnOnce(&mut T)) {
        self.change(change).wake();
    }

    /// As [`put`](Self::put), and leaves the wake to the caller, who may have a lock to release
    /// before it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) -> Owner {
        let mut slot = lock(&self.slot);
        change(&mut slot.value);
        let was_new = self.is_new.load(Ordering::Relaxed);
        self.is_new.store(true, Ordering::Release);
        Owner(if was_new { None } else { slot.owner.clone() })
    }

    /// Whether something is new.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Acquire)
    }

    /// Takes what is new, if anything is, by `take`, which runs under the lock as well.
    #[inline]
    pub(crate) fn take<R>(&self, take: impl FnOnce(&mut T) -> R) -> Option<R> {
        if !self.is_new.load(Ordering::Acquire) {
            return None;
        }
        let mut slot = lock(&self.slot);
        self.is_new.store(false, Ordering::Relaxed);
        Some(take(&mut slot.value))
    }

    /// Leaves a waker for the next change, or none, and returns the one before. A change that
    /// came meanwhile has woken that one, so the owner looks afterwards.
    pub(crate) fn set_owner(&self, owner: Option<Waker>) -> Option<Arc<Waker>> {
        let owner = owner.map(Arc::new);
        mem::replace(&mut lock(&self.slot).owner, owner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{sync::atomic::AtomicUsize, task::Wake, thread};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_first_change_since_a_take_wakes_the_owner() {
        let mailbox = Mailbox::<Vec<u32>>::default();
        assert_eq!(mailbox.take(mem::take), None);
        mailbox.put(|numbers| numbers.push(1));
        let wakes = Arc::new(Wakes::default());
        assert!(mailbox.set_owner(Some(Arc::clone(&wakes).into())).is_none());
        let count = || wakes.0.load(Ordering::Relaxed);
        mailbox.put(|numbers| numbers.push(2));
        assert_eq!(count(), 0, "the owner looks after it has left its waker");
        assert_eq!(mailbox.take(mem::take), Some(vec![1, 2]));
        assert_eq!(mailbox.take(mem::take), None);
        mailbox.put(|numbers| numbers.push(3));
        mailbox.put(|numbers| numbers.push(4));
        assert_eq!(count(), 1);
        assert!(mailbox.set_owner(None).is_some());
        assert_eq!(mailbox.take(mem::take), Some(vec![3, 4]));
        mailbox.put(|numbers| numbers.push(5));
        assert_eq!(count(), 1);
    }

    /// Panics when it is woken, and when it is dropped.
    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("planned: woken");
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(thread::panicking(), "planned: dropped");
        }
    }

    #[test]
    fn the_panic_of_the_owners_waker_is_not_the_callers() {
        let mailbox = Mailbox::<Vec<u32>>::default();
        assert!(mailbox.set_owner(Some(Arc::new(Bomb).into())).is_none());
        mailbox.put(|numbers| numbers.push(1));
        assert_eq!(mailbox.take(mem::take), Some(vec![1]));
        // The owner is woken at the next change, too.
        mailbox.put(|numbers| numbers.push(2));
        assert_eq!(mailbox.take(mem::take), Some(vec![2]));
        let bomb = mailbox.set_owner(None);
        assert!(unwind::caught(|| drop(bomb)).is_none());
    }

    #[test]
    fn changes_of_many_threads_are_all_taken() {
        let mailbox = Mailbox::<u32>::default();
        let mut sum = 0;
        thread::scope(|scope| {
            let putting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).for_each(|_| mailbox.put(|sum| *sum += 1))))
                .collect();
            while !putting.iter().all(thread::ScopedJoinHandle::is_finished) {
                sum += mailbox.take(mem::take).unwrap_or(0);
                thread::yield_now();
            }
        });
        sum += mailbox.take(mem::take).unwrap_or(0);
        assert_eq!(sum, 4000);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;
    use crate::{
        park::block_on,
        primitives::{model, thread},
    };

    #[test]
    fn loom_a_change_wakes_the_owner_that_has_found_nothing() {
        model(3, || {
            let mailbox = Arc::new(Mailbox::<Vec<Box<u32>>>::default());
            let putting = [1, 2].map(|number| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || mailbox.put(|numbers| numbers.push(Box::new(number))))
            });
            let mut sum = 0;
            let mut is_owner = false;
            block_on(poll_fn(|context| {
                if !is_owner {
                    is_owner = true;
                    mailbox.set_owner(Some(context.waker().clone()));
                }
                let numbers = mailbox.take(mem::take).unwrap_or_default();
                sum += numbers.iter().map(|number| **number).sum::<u32>();
                if sum == 3 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }));
            for putting in putting {
                putting.join().unwrap();
            }
        });
    }
}
