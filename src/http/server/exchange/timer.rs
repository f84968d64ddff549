//! One timer of an exchange.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use crate::time::{self, Sleep};

/// A timer that costs nothing until a task waits. It is not armed anew for each wait: when it fires
/// too early, it looks at the deadline of the present wait and goes on.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Cell<Option<(Sleep, Instant)>>,
}

impl Timer {
    /// Whether `deadline` has passed; the context's task is woken when it does.
    pub(crate) fn poll(&self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let (mut sleep, mut armed) = self
            .sleep
            .take()
            .unwrap_or_else(|| (time::sleep_until(deadline), deadline));
        if armed > deadline {
            sleep.reset(deadline);
            armed = deadline;
        }
        while Pin::new(&mut sleep).poll(context).is_ready() {
            if armed == deadline {
                return Poll::Ready(());
            }
            sleep.reset(deadline);
            armed = deadline;
        }
        self.sleep.set(Some((sleep, armed)));
        Poll::Pending
    }

    /// Disarms it.
    pub(crate) fn clear(&self) {
        drop(self.sleep.take());
    }
}
