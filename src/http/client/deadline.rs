//! The time limits of one exchange.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{Error, ErrorKind, Phase};
use crate::time::{self, Sleep};

/// The limit on a whole request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    /// When it passes, and how long it was.
    limit: Option<(Instant, Duration)>,
}

impl Total {
    pub(super) fn new(start: Instant, timeout: Option<Duration>) -> Self {
        let limit = timeout.and_then(|after| Some((start.checked_add(after)?, after)));
        Self { limit }
    }

    /// The error, if the limit has passed.
    pub(super) fn check(self, now: Instant) -> Option<Error> {
        let (_, after) = self.limit.filter(|(deadline, _)| *deadline <= now)?;
        let phase = Phase::Total;
        Some(Error::new(ErrorKind::Timeout { phase, after }))
    }

    /// How much of it is left.
    pub(super) fn left(self, now: Instant) -> Option<Duration> {
        let (deadline, _) = self.limit?;
        Some(deadline.saturating_duration_since(now))
    }

    /// Runs `future` within `timeout` and this limit. Which phase it was in is asked when it took
    /// too long.
    pub(super) async fn bound<T>(
        self,
        timeout: Option<Duration>,
        phase: impl FnOnce() -> Phase,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let now = time::now();
        let own = timeout.and_then(|after| now.checked_add(after));
        let total = self.limit.map(|(deadline, _)| deadline);
        let Some(deadline) = own.into_iter().chain(total).min() else {
            return future.await;
        };
        match time::timeout_at(deadline, future).await {
            Ok(result) => result,
            Err(_) => Err(self.passed(phase(), timeout)),
        }
    }

    /// The error of a limit that has passed: the total one, or that of `phase`.
    fn passed(self, phase: Phase, timeout: Option<Duration>) -> Error {
        let own = Error::new(ErrorKind::Timeout {
            phase,
            after: timeout.unwrap_or_default(),
        });
        self.check(time::now()).unwrap_or(own).during(phase)
    }
}

/// The limit that acts now: that of a phase, which begins again whenever something moves, or the
/// total one.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    sleep: Option<Sleep>,
    phase: Option<Phase>,
    has_waited: bool,
}

impl Watchdog {
    /// Pending until `timeout` has passed since the phase began or something moved. `began`
    /// is when the exchange did.
    pub(super) fn poll(
        &mut self,
        total: Total,
        phase: Phase,
        timeout: Option<Duration>,
        moved: bool,
        began: Instant,
        context: &mut Context<'_>,
    ) -> Poll<Error> {
        if moved || self.phase != Some(phase) {
            self.phase = Some(phase);
            // The first wait follows at once on the beginning.
            let now = if self.has_waited { time::now() } else { began };
            self.has_waited = true;
            self.set(total, timeout, now);
        }
        let Some(sleep) = &mut self.sleep else {
            return Poll::Pending;
        };
        Pin::new(sleep).poll(context).map(|()| {
            self.phase = None;
            total.passed(phase, timeout)
        })
    }

    /// Whether anything had to be waited for.
    pub(super) fn has_waited(&self) -> bool {
        self.has_waited
    }

    fn set(&mut self, total: Total, timeout: Option<Duration>, now: Instant) {
        let own = timeout.and_then(|after| now.checked_add(after));
        let total = total.limit.map(|(deadline, _)| deadline);
        let deadline = own.into_iter().chain(total).min();
        match (&mut self.sleep, deadline) {
            (Some(sleep), Some(deadline)) => sleep.reset(deadline),
            (sleep, deadline) => *sleep = deadline.map(time::sleep_until),
        }
    }
}
