//! When a future is dropped.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use annulus::time::sleep;

use super::census::soon;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// It was never polled.
    Unpolled,
    /// It was polled, and the kernel has not seen it.
    SameTurn,
    /// The kernel has it.
    InFlight,
    /// Its event has happened, and it was not polled since.
    Completed,
}

impl Moment {
    pub(super) const ALL: [Self; 4] = [
        Self::Unpolled,
        Self::SameTurn,
        Self::InFlight,
        Self::Completed,
    ];
}

/// Wakes the task that made it, and remembers that.
struct Flag {
    woken: AtomicBool,
    task: Waker,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}

/// Lets the kernel see what is queued, and the tasks what it answered, so many times. Yielding is
/// not enough: while something is ready, the runtime visits the kernel only now and then.
pub(super) async fn turns(count: usize) {
    for _ in 0..count {
        sleep(Duration::from_micros(50)).await;
    }
}

/// Polls `future` once.
pub(super) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Drops `future` at `moment`. `event` makes happen what it waits for, in every case: before it is
/// dropped at [`Moment::Completed`], else afterwards. An output that comes at the first poll is
/// returned.
pub(super) async fn drop_at<F: Future>(
    moment: Moment,
    future: F,
    event: impl AsyncFnOnce(),
) -> Option<F::Output> {
    if moment == Moment::Unpolled {
        drop(future);
        event().await;
        return None;
    }
    let output = {
        let mut future = pin!(future);
        let task = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        let flag = Arc::new(Flag {
            woken: AtomicBool::new(false),
            task,
        });
        let waker = Waker::from(Arc::clone(&flag));
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => {
                if moment == Moment::InFlight {
                    turns(3).await;
                } else if moment == Moment::Completed {
                    event().await;
                    let woken = poll_fn(|_| {
                        if flag.woken.load(Ordering::Relaxed) {
                            Poll::Ready(())
                        } else {
                            Poll::Pending
                        }
                    });
                    soon("its waker is not woken", woken).await;
                    return None;
                }
                None
            }
        }
    };
    event().await;
    output
}

/// Drops `future` when it was still pending at its `polls_max`-th poll.
pub(super) async fn impatient<F: Future>(future: F, polls_max: u32) -> Option<F::Output> {
    let mut polls_left = polls_max;
    let mut future = pin!(future);
    poll_fn(|context| {
        if polls_left == 0 {
            return Poll::Ready(None);
        }
        polls_left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls_left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
