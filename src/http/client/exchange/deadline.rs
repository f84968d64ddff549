//! The time limits of one exchange.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use crate::{
    http::client::{
        error::{Error, ErrorKind},
        phase::Phase,
    },
    time::{self, Sleep},
};

/// The limit on a whole request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Total {
    /// The moment when the limit passes, and its length.
    limit: Option<(Instant, Duration)>,
}

impl Total {
    pub(crate) fn new(start: Instant, timeout: Option<Duration>) -> Self {
        let limit = timeout.and_then(|after| Some((start.checked_add(after)?, after)));
        Self { limit }
    }

    /// The error, if the limit has passed.
    pub(crate) fn check(self, now: Instant) -> Option<Error> {
        let (_, after) = self.limit.filter(|(deadline, _)| *deadline <= now)?;
        let phase = Phase::Total;
        Some(Error::new(ErrorKind::Timeout { phase, after }))
    }

    /// Returns the time that is left; none when there is no limit.
    pub(crate) fn left(self, now: Instant) -> Option<Duration> {
        let (deadline, _) = self.limit?;
        Some(deadline.saturating_duration_since(now))
    }

    /// Runs `future` within `timeout` and this limit. The phase that it was in is looked up when it
    /// took too long.
    pub(crate) async fn bound<T>(
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

/// The phase that a wait belongs to, and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) phase: Phase,
    /// None where only the total limit acts.
    pub(crate) timeout: Option<Duration>,
}

impl Wait {
    /// Whether it goes on where the other has ended: the limits of an exchange do not change,
    /// unless something moves.
    fn is_like(self, other: Self) -> bool {
        self.phase == other.phase && self.timeout.is_some() == other.timeout.is_some()
    }
}

/// The limit that acts now: that of a phase, which begins again whenever something moves, or the
/// total one.
///
/// A write may be large, and says nothing until it is over. The time for sending therefore is over
/// only when the peer has taken nothing, as far as the kernel knows. It is asked twice in that
/// time, and not when the wait begins, since most waits are short.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    sleep: Option<Sleep>,
    wait: Option<Wait>,
    /// The number of bytes that the peer had taken at a look, and since when it has taken no more.
    stall: Option<(Option<u64>, Instant)>,
    has_waited: bool,
}

impl Watchdog {
    /// Pending until the time of `wait` has passed since that began or something moved. `began` is
    /// when the exchange did, and `taken` a figure that changes when the peer takes something.
    pub(crate) fn poll(
        &mut self,
        total: Total,
        wait: Wait,
        moved: bool,
        began: Instant,
        taken: impl Fn() -> Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<Error> {
        if moved || self.wait.is_none_or(|before| !before.is_like(wait)) {
            self.wait = Some(wait);
            self.stall = None;
            // The first wait follows at once on the beginning.
            let now = if self.has_waited { time::now() } else { began };
            self.has_waited = true;
            let first = match wait.phase {
                Phase::Send => wait.timeout.map(|timeout| timeout / 2),
                _ => wait.timeout,
            };
            self.set(total, first.and_then(|after| now.checked_add(after)));
        }
        loop {
            let Some(sleep) = &mut self.sleep else {
                return Poll::Pending;
            };
            ready!(Pin::new(sleep).poll(context));
            if let Some(error) = self.look(total, wait, &taken) {
                return Poll::Ready(error);
            }
        }
    }

    /// The time is over, or that until a look at what the peer takes. Waits on, or tells the error.
    #[cold]
    fn look(
        &mut self,
        total: Total,
        wait: Wait,
        taken: &impl Fn() -> Option<u64>,
    ) -> Option<Error> {
        let now = time::now();
        let next = match wait.timeout {
            Some(timeout) if wait.phase == Phase::Send && total.check(now).is_none() => {
                self.next_look(timeout, taken(), now)
            }
            _ => None,
        };
        let (Some(next), Some(sleep)) = (next, &mut self.sleep) else {
            self.wait = None;
            return Some(total.passed(wait.phase, wait.timeout));
        };
        let end = total.limit.map_or(next, |(deadline, _)| deadline.min(next));
        sleep.reset(end);
        None
    }

    /// When to look again whether the peer takes anything, or `None` when it has had its time.
    fn next_look(
        &mut self,
        timeout: Duration,
        taken: Option<u64>,
        now: Instant,
    ) -> Option<Instant> {
        let half = timeout / 2;
        let since = match self.stall {
            Some((before, since)) if before == taken => since,
            // Where the kernel does not tell, the first half counts.
            None if taken.is_none() => now.checked_sub(half)?,
            _ => now,
        };
        self.stall = Some((taken, since));
        let end = since.checked_add(timeout)?;
        (end > now).then(|| end.min(now + half))
    }

    /// Whether anything had to be waited for.
    pub(crate) fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// Sets the next look to `own`, or to the moment when the total limit passes.
    fn set(&mut self, total: Total, own: Option<Instant>) {
        let total = total.limit.map(|(deadline, _)| deadline);
        let deadline = own.into_iter().chain(total).min();
        match (&mut self.sleep, deadline) {
            (Some(sleep), Some(deadline)) => sleep.reset(deadline),
            (sleep, deadline) => *sleep = deadline.map(time::sleep_until),
        }
    }
}
