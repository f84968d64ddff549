//! The rule by which requests are sent again.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::error::Error;
use crate::http::{
    StatusCode,
    h1::{ResponseHead, parse_date},
};

/// The longest wait before another attempt, whatever the server asks for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Retries that are allowed before any request has succeeded.
const BUDGET_START: f64 = 10.0;
const BUDGET_MAX: f64 = 100.0;

/// The rule by which failed requests are sent again. None is by default, but for those that met a
/// dead idle connection.
///
/// Only requests that may be repeated are: those whose method is idempotent and whose body is not a
/// stream. Connections that fail and the statuses 429, 502, 503 and 504 count as failures. The wait
/// grows from 100 ms, doubling, unless the server says how long to wait by `Retry-After`; longer
/// than 30 seconds or the request's own time limit is no wait, and the answer stands. All requests
/// of a client share a budget, so that a server in trouble gets at most a fifth more requests than
/// without.
///
/// # Examples
///
/// ```
/// use annulus::http::{StatusCode, client::{Client, Retry}};
///
/// let client = Client::builder()
///     .retry(Retry::new(3).on(StatusCode::REQUEST_TIMEOUT))
///     .build();
/// # drop(client);
/// ```
#[derive(Debug, Clone)]
pub struct Retry {
    retries_max: u32,
    statuses: Vec<StatusCode>,
    wait: Duration,
    /// Retries that may be made.
    budget: Cell<f64>,
}

impl Retry {
    /// Allows at most `retries_max` further attempts.
    #[must_use]
    pub fn new(retries_max: u32) -> Self {
        Self {
            retries_max,
            statuses: vec![
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            wait: Duration::from_millis(100),
            budget: Cell::new(BUDGET_START),
        }
    }

    /// Counts another status as a failure.
    #[must_use]
    pub fn on(mut self, status: StatusCode) -> Self {
        self.statuses.push(status);
        self
    }

    /// Sets the wait before the first further attempt; 100 ms by default.
    #[must_use]
    pub fn wait_first(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long to wait before the next attempt; none when this result stands.
    pub(super) fn wait(
        &self,
        attempt: u32,
        can_repeat: bool,
        result: Result<&ResponseHead, &Error>,
        left: Option<Duration>,
    ) -> Option<Duration> {
        let asked = match result {
            Ok(head) if self.statuses.contains(&head.status()) => retry_after(head),
            Ok(_) => {
                self.budget.set((self.budget.get() + 0.2).min(BUDGET_MAX));
                return None;
            }
            Err(error) if error.is_timeout() && !error.is_connect() => return None,
            Err(error) if error.is_connect() || error.is_broken() => None,
            Err(_) => return None,
        };
        if !can_repeat || attempt > self.retries_max || self.budget.get() < 1.0 {
            return None;
        }
        let doubled = self.wait.saturating_mul(1 << (attempt - 1).min(16));
        let wait = asked.unwrap_or(doubled);
        if wait > WAIT_MAX || left.is_some_and(|left| left <= wait) {
            return None;
        }
        self.budget.set(self.budget.get() - 1.0);
        Some(wait)
    }
}

/// `Retry-After`, in seconds or as a date. A date is by the server's clock, which `Date` tells; a
/// server that does not say is taken to have ours.
fn retry_after(head: &ResponseHead) -> Option<Duration> {
    let value = head.field("retry-after")?;
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        let seconds = std::str::from_utf8(value).ok()?.parse();
        return Some(Duration::from_secs(seconds.unwrap_or(u64::MAX)));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let date = head.field("date");
    let servers_now = date.and_then(|date| parse_date(date, now)).unwrap_or(now);
    let until = parse_date(value, now)?;
    Some(Duration::from_secs(until.saturating_sub(servers_now)))
}
