//! A waker that counts how often it is woken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker, and the number of its wakes.
pub(crate) struct Counted {
    wakes: Arc<Wakes>,
    waker: Waker,
}

impl Counted {
    pub(crate) fn new() -> Self {
        let wakes = Arc::new(Wakes::default());
        Self {
            waker: Waker::from(Arc::clone(&wakes)),
            wakes,
        }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    pub(crate) fn count(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}
