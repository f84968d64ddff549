//! A channel for a single value between threads, for instance the answer to a request.

mod receiver;
mod sender;

use std::task::Waker;

use crate::{
    primitives::{Arc, Mutex, lock},
    unwind,
};

pub use receiver::Receiver;
pub use sender::Sender;

/// Returns the two sides of a channel for one value.
///
/// # Examples
///
/// ```
/// use annulus::sync::remote::oneshot;
/// use std::thread;
///
/// let (sender, receiver) = oneshot::channel();
/// let computing = thread::spawn(move || sender.send(6 * 7));
/// assert_eq!(annulus::run(receiver), Ok(42));
/// assert_eq!(computing.join().unwrap(), Ok(()));
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel(Mutex::new(Shared {
        value: None,
        has_sender: true,
        is_closed: false,
        receiver: None,
        sender: None,
    })));
    (Sender::new(Arc::clone(&channel)), Receiver::new(channel))
}

struct Channel<T>(Mutex<Shared<T>>);

/// No user code runs while it is locked.
struct Shared<T> {
    value: Option<T>,
    has_sender: bool,
    is_closed: bool,
    /// The task that waits for the value.
    receiver: Option<Waker>,
    /// The task that waits for the receiver to close.
    sender: Option<Waker>,
}

impl<T> Channel<T> {
    /// Changes what is shared, and drops afterwards what `change` returns.
    fn change<R>(&self, change: impl FnOnce(&mut Shared<T>) -> R) -> R {
        change(&mut lock(&self.0))
    }
}

/// Wakes a task of the other side. A panic of its waker does not concern the caller.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        unwind::swallow(|| waker.wake());
    }
}
