//! Answers to those who ask how a server is: load balancers and supervisors.
//!
//! [`live`] answers as long as the worker turns. [`Readiness`] answers 503 from the moment on when
//! the server begins to stop, or when the program says so.
//!
//! # Examples
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use annulus::{http::{Router, Server, health}, signal};
//!
//! let readiness = health::Readiness::new();
//! let for_router = readiness.clone();
//! Server::new()
//!     .listen("127.0.0.1:8080")
//!     .shutdown_on(signal::terminate(), Duration::from_secs(10))
//!     .run_each(move || {
//!         Router::new()
//!             .get("/livez", health::live)
//!             .get("/readyz", for_router.handler())
//!     })?;
//! # let _ = readiness;
//! # Ok::<(), std::io::Error>(())
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    HeaderValue, StatusCode, header,
    server::{Handler, Request, Response},
};

/// Answers `200 OK`: the worker turns. A handler, for [`Router::get`](super::Router::get).
pub async fn live(_request: Request) -> Response {
    answer(StatusCode::OK, "ok\n")
}

/// Whether a server wants requests. Its clones tell the same, on all threads.
///
/// It is ready when it is made. [`set`](Self::set) takes the server out of a balancer's list: while
/// it loads, say, or some seconds before it is stopped, since a server that stops takes no new
/// connections, and only balancers that keep theirs open see the 503 of a stop.
#[derive(Clone, Debug)]
pub struct Readiness {
    is_ready: Arc<AtomicBool>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Makes a value that is ready.
    #[must_use]
    pub fn new() -> Self {
        Self {
            is_ready: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Says whether the server wants requests.
    pub fn set(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    /// Whether the server wants requests. It is not told of a stop.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// Returns a handler that answers 200 when the server wants requests, and 503 when it does not
    /// or has begun to stop.
    #[must_use]
    pub fn handler(&self) -> impl Handler + Clone + Send + use<> {
        let readiness = self.clone();
        async move |request: Request| -> Response {
            if request.is_stopping() {
                answer(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            } else if readiness.is_ready() {
                answer(StatusCode::OK, "ok\n")
            } else {
                answer(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
            }
        }
    }
}

fn answer(status: StatusCode, text: &'static str) -> Response {
    Response::text(text)
        .with_status(status)
        .with_field(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
