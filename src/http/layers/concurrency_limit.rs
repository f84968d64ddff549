//! Limits how many requests are handled at once.

use std::cell::Cell;

use crate::{
    http::{HeaderValue, Layer, Next, Request, Response, StatusCode, header},
    sync::Semaphore,
};

/// Limits how many requests are handled at once, and answers 503 with `Retry-After` to the others:
/// in front of a database, say, that takes so many queries.
///
/// With a [queue](Self::queue) some wait for their turn first, in order. The limit is that of one
/// router, and so of one worker with [`Server::run_each`](crate::http::Server::run_each). A request
/// counts until its handler has answered; a body that is then written in pieces does not. A client
/// that leaves, a panic and a timeout give the place back.
///
/// # Examples
///
/// ```
/// use annulus::http::{Router, layers::ConcurrencyLimit};
///
/// let reports = Router::new()
///     .get("/", async |_| "much work")
///     .layer(ConcurrencyLimit::new(4).queue(16));
/// let router = Router::new().nest("/reports", reports);
/// ```
#[derive(Debug)]
pub struct ConcurrencyLimit {
    places: Semaphore,
    waiting_max: usize,
    waiting: Cell<usize>,
    retry_after: u32,
}

impl ConcurrencyLimit {
    /// Makes a layer that lets `max` requests through at once, and keeps none waiting.
    ///
    /// # Panics
    ///
    /// When `max` is 0.
    #[must_use]
    pub fn new(max: usize) -> Self {
        assert!(max > 0, "expected a limit of a request at least, found 0");
        Self {
            places: Semaphore::new(max),
            waiting_max: 0,
            waiting: Cell::new(0),
            retry_after: 1,
        }
    }

    /// Lets `waiting_max` more requests wait for their turn.
    #[must_use]
    pub fn queue(mut self, waiting_max: usize) -> Self {
        self.waiting_max = waiting_max;
        self
    }

    /// Sets the seconds after which a client that is turned away may try again; 1 by default.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = seconds;
        self
    }
}

/// A place in the queue.
struct Place<'a>(&'a Cell<usize>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Layer for ConcurrencyLimit {
    async fn handle(&self, request: Request, next: Next<'_>) -> Response {
        if let Some(_permit) = self.places.try_acquire() {
            return next.run(request).await;
        }
        if self.waiting.get() >= self.waiting_max {
            let refusal = Response::new(StatusCode::SERVICE_UNAVAILABLE);
            let seconds = HeaderValue::from(self.retry_after);
            return refusal.with_field(header::RETRY_AFTER, seconds);
        }
        self.waiting.set(self.waiting.get() + 1);
        let place = Place(&self.waiting);
        let permit = self.places.acquire().await;
        drop(place);
        let _permit = permit.expect("it is never closed");
        next.run(request).await
    }
}
