//! A queue of values from many senders to one receiver, between threads.
//!
//! A channel made by [`channel`] holds at most its capacity: senders wait when it is full, in the
//! order in which they began to wait. One made by [`unbounded`] has no limit. The methods and
//! errors are those of [`sync::mpsc`](crate::sync::mpsc).
//!
//! When many values have passed, a side that finds nothing to do looks again for up to 50
//! microseconds before it sleeps or waits in line, and the other tasks of its thread run meanwhile.
//! The sleeps would cost more than all the rest. It stops doing so while that brings nothing.
//!
//! The channel ends for the receiver when all senders are dropped and all values received, and for
//! the senders when the receiver is closed or dropped.

// # How values pass
//
// Senders push to a list under a lock. The receiver has a list of its own, and exchanges the two
// when its own is empty: so it locks once for all values that have come, and mostly touches memory
// that only its thread uses.
//
// A place in a bounded channel is free again when its value was returned to the user, and not when
// the receiver has taken the list over. So the receiver counts the values that it returns, in the
// word `taken`, where senders find them. The lowest bit of the word says that senders wait. Both
// are in one word because the two sides must not miss each other: either the receiver's count comes
// first, and the sender that sets the bit finds the place; or the bit comes first, and the receiver
// that counts finds it and gives the place to the first in line.
//
// | part | changed by | read by |
// |---|---|---|
// | `shared`, in a lock | both sides | both sides |
// | `taken`, the count | the receiver | senders that find the channel full |
// | `taken`, the bit | the sender that begins to wait and the one that serves the line, under the lock | the receiver |
//
// A side that finds nothing to do looks again for some microseconds before it leaves its waker, if
// values flow (`linger.rs`). A sender that does so is not in line yet.
//
// Wakers are user code, and run after the lock is released. Their panics end there: they do not
// concern the caller.

mod permit;
mod receiver;
mod sender;

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use super::linger::{Linger, Patience};
use crate::{
    primitives::{Arc, AtomicUsize, Mutex, Ordering, lock},
    sync::waiters::{Left, Place, Waiters},
    unwind,
};

pub use crate::sync::mpsc::{SendError, TrySendError};
pub use permit::Permit;
pub use receiver::Receiver;
pub use sender::{Reserve, Sender};

/// Returns the two sides of a channel that holds at most `capacity` values.
///
/// # Panics
///
/// When `capacity` is zero.
///
/// # Examples
///
/// ```
/// use annulus::sync::remote::mpsc;
/// use std::thread;
///
/// let (sender, mut receiver) = mpsc::channel(16);
/// let producing = thread::spawn(move || {
///     annulus::run(async {
///         for number in 0..1000 {
///             sender.send(number).await?; // waits while the channel is full
///         }
///         Ok::<(), mpsc::SendError<u64>>(())
///     })
/// });
/// let sum = annulus::run(async {
///     let mut sum = 0;
///     while let Some(number) = receiver.recv().await {
///         sum += number;
///     }
///     sum
/// });
/// assert_eq!(sum, 499_500);
/// producing.join().unwrap()?;
/// # Ok::<(), mpsc::SendError<u64>>(())
/// ```
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity > 0,
        "expected a channel with room for a value, found a capacity of zero"
    );
    let channel = Arc::new(Channel {
        shared: Mutex::new(Shared {
            queue: VecDeque::new(),
            sent: 0,
            taken: 0,
            patience: Patience::default(),
            sender_count: 1,
            is_closed: false,
            receiver: None,
            waiters: Waiters::new(),
        }),
        taken: OwnLines(AtomicUsize::new(0)),
        capacity,
    });
    (Sender::new(Arc::clone(&channel)), Receiver::new(channel))
}

/// Returns the two sides of a channel without a limit.
///
/// Sending never waits, so that [`Sender::try_send`] fails only when the channel is closed. Nothing
/// slows down a sender that is faster than the receiver: use this where something else limits how
/// many values there can be.
///
/// # Examples
///
/// ```
/// use annulus::sync::remote::mpsc;
///
/// let (sender, mut receiver) = mpsc::unbounded();
/// std::thread::spawn(move || sender.try_send("from there")).join().unwrap()?;
/// assert_eq!(receiver.try_recv(), Ok("from there"));
/// # Ok::<(), mpsc::TrySendError<&str>>(())
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(usize::MAX)
}

struct Channel<T> {
    shared: Mutex<Shared<T>>,
    /// Twice the number of values that the receiver has returned, and [`SENDERS_WAIT`]. Not used by
    /// a channel without a limit.
    taken: OwnLines<AtomicUsize>,
    capacity: usize,
}

/// A value with cache lines of its own, so that its changes on one processor do not take what
/// stands beside it from another. Lines have 64 bytes, and some processors fetch them in pairs.
#[repr(align(128))]
struct OwnLines<T>(T);

/// The bit of [`Channel::taken`] that says that senders wait.
const SENDERS_WAIT: usize = 1;
const ONE_TAKEN: usize = 2;

struct Shared<T> {
    /// The values that the receiver has not taken over.
    queue: VecDeque<T>,
    /// The values that were sent, and the places that permits hold.
    sent: usize,
    /// The count of `Channel::taken` as senders saw it last.
    taken: usize,
    /// That of the senders.
    patience: Patience,
    sender_count: usize,
    /// The receiver takes no new values.
    is_closed: bool,
    /// The receiver's task, while it waits for a value.
    receiver: Option<Waker>,
    /// Senders that wait for a place. No place is free while one waits and `SENDERS_WAIT` is not
    /// set.
    waiters: Waiters<Choice>,
}

/// Why a waiting sender was chosen.
#[derive(Clone, Copy)]
enum Choice {
    /// A place is reserved for it.
    Reserved,
    Closed,
}

/// The wakers that are woken when the lock is released.
type Wakers = Vec<Waker>;

fn wake_all(wakers: Wakers) {
    for waker in wakers {
        wake(Some(waker));
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        unwind::swallow(|| waker.wake());
    }
}

/// Lets the other tasks of the thread have their turns, and is polled again.
fn wait_a_turn<T>(context: &Context<'_>) -> Poll<T> {
    context.waker().wake_by_ref();
    Poll::Pending
}

/// The state in which a sender found the channel.
enum Room {
    Place,
    Full,
    Closed,
}

impl<T> Shared<T> {
    /// How many values have a place, by the last known count of those that were taken. That count
    /// has one bit less than the other: both go round, on a machine of 32 bits within hours.
    fn under_way(&self) -> usize {
        self.sent.wrapping_sub(self.taken) & (usize::MAX / ONE_TAKEN)
    }
}

impl<T> Channel<T> {
    fn is_bounded(&self) -> bool {
        self.capacity != usize::MAX
    }

    /// Counts a value that the receiver returns, and serves the senders that wait for its place.
    #[inline]
    fn count_taken(&self) {
        if self.is_bounded() {
            // Release: a sender that finds the place also finds the receiver past it.
            let before = self.taken.0.fetch_add(ONE_TAKEN, Ordering::AcqRel);
            if before & SENDERS_WAIT != 0 {
                let wakers = self.serve(&mut lock(&self.shared));
                wake_all(wakers);
            }
        }
    }

    /// Reserves the free places for the senders that wait, and returns their wakers.
    #[cold]
    fn serve(&self, shared: &mut Shared<T>) -> Wakers {
        let mut wakers = Vec::new();
        while self.has_place(shared) {
            let Some(waker) = shared.waiters.choose_first(Choice::Reserved) else {
                break;
            };
            shared.sent = shared.sent.wrapping_add(1);
            wakers.push(waker);
        }
        if shared.waiters.is_empty() {
            self.taken.0.fetch_and(!SENDERS_WAIT, Ordering::Relaxed);
        }
        wakers
    }

    /// Whether a place is free, by the newest count.
    fn has_place(&self, shared: &mut Shared<T>) -> bool {
        if !self.is_bounded() || shared.under_way() < self.capacity {
            return true;
        }
        shared.taken = self.taken.0.load(Ordering::Acquire) / ONE_TAKEN;
        shared.under_way() < self.capacity
    }

    /// Whether a value can be sent now without overtaking a sender that waits.
    #[inline]
    fn room(&self, shared: &mut Shared<T>) -> Room {
        if shared.is_closed {
            Room::Closed
        } else if shared.waiters.is_empty() && self.has_place(shared) {
            Room::Place
        } else {
            Room::Full
        }
    }

    /// Waits in line for a place. None when there is room all the same.
    fn wait(&self, shared: &mut Shared<T>, waker: &mut Option<Waker>) -> Option<Place> {
        let before = self.taken.0.fetch_or(SENDERS_WAIT, Ordering::AcqRel);
        shared.taken = before / ONE_TAKEN;
        if let Room::Full = self.room(shared) {
            let waker = waker.take()?;
            shared.patience.sleep();
            return Some(shared.waiters.push(waker, 1));
        }
        if shared.waiters.is_empty() {
            self.taken.0.fetch_and(!SENDERS_WAIT, Ordering::Relaxed);
        }
        None
    }

    /// Gives up a reserved place, and passes it on.
    fn unreserve(&self) {
        let wakers = {
            let mut shared = lock(&self.shared);
            shared.sent = shared.sent.wrapping_sub(1);
            self.serve(&mut shared)
        };
        wake_all(wakers);
    }

    /// Ends the wait of a sender that is dropped.
    fn leave(&self, place: Place) {
        // The waker is dropped when the lock is released.
        let left = lock(&self.shared).waiters.remove(place);
        if let Left::Chosen(Choice::Reserved) = left {
            self.unreserve();
        }
    }

    fn close(&self) {
        let wakers = {
            let mut shared = lock(&self.shared);
            shared.is_closed = true;
            let choose = || shared.waiters.choose_first(Choice::Closed);
            std::iter::from_fn(choose).collect()
        };
        wake_all(wakers);
    }
}

impl<T> Shared<T> {
    /// Adds a value in a place that is counted, and returns the waker of a receiver that sleeps.
    #[inline]
    #[must_use = "the receiver may sleep"]
    fn push(&mut self, value: T) -> Option<Waker> {
        self.patience.count();
        self.queue.push_back(value);
        self.receiver.take()
    }

    /// Whether a sender that finds no place is to look again: the receiver is awake.
    fn goes_on(&mut self, linger: &mut Linger) -> bool {
        self.receiver.is_none() && linger.goes_on(&mut self.patience)
    }

    /// Whether nothing can be sent any more.
    fn has_ended(&self) -> bool {
        self.is_closed || self.sender_count == 0
    }
}
