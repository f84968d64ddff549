//! Waits for a future on a thread without a runtime.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use crate::runtime;

struct Unparker {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Polls `future` to its end, and parks the thread meanwhile.
///
/// # Panics
///
/// Inside a runtime, whose tasks would all stand still.
#[track_caller]
pub(super) fn wait_for<F: Future>(future: F) -> F::Output {
    assert!(
        !runtime::is_inside(),
        "this would block the thread of a runtime, and with it all of its tasks: `.await` it there"
    );
    let mut future = pin!(future);
    let unparker = Arc::new(Unparker {
        thread: thread::current(),
        is_woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&unparker));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // Other code may unpark this thread, too.
        while !unparker.is_woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}
