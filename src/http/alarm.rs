//! [`Alarm`]: a timer of a state machine, made when it is needed.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use crate::time::{Sleep, sleep_until};

/// A timer that costs nothing until it is set, and is unset again once it has rung.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Sleep>);

impl Alarm {
    /// Lets it ring at `deadline`, and no more at the one before.
    pub(crate) fn set(&mut self, deadline: Instant) {
        match &mut self.0 {
            Some(sleep) => sleep.reset(deadline),
            None => self.0 = Some(sleep_until(deadline)),
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Ready when it rings, and when it is not set.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.0 {
            ready!(Pin::new(sleep).poll(context));
            self.clear();
        }
        Poll::Ready(())
    }

    /// Ready when it rings. It is set to `deadline` first if it is not set.
    pub(crate) fn poll_at(
        &mut self,
        deadline: impl FnOnce() -> Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.0.get_or_insert_with(|| sleep_until(deadline()));
        self.poll(context)
    }
}
