//! Limits the time of a handler.

use std::time::Duration;

use crate::{
    http::{Layer, Next, Request, Response, StatusCode},
    time,
};

/// Answers 503 when there is no answer in time. The handler's future is dropped then, as it is when
/// a client leaves.
///
/// The time runs from this layer to the handler's answer. A body that is then written in pieces has
/// the time that its client takes, within [`Timeouts`](crate::http::Timeouts).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use annulus::http::{Router, StatusCode, layers::Timeout};
///
/// let router = Router::new()
///     .get("/", async |_| "hello")
///     .layer(Timeout::new(Duration::from_secs(5)).status(StatusCode::GATEWAY_TIMEOUT));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    timeout: Duration,
    status: StatusCode,
}

impl Timeout {
    /// Makes a layer that answers `503 Service Unavailable` after `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Answers by another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl Layer for Timeout {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        let answer = time::timeout(self.timeout, next.run(request)).await;
        answer.unwrap_or_else(|_| Response::new(self.status))
    }
}
