//! tower's services and layers, and bodies of the crate `http-body`, with our server and client.
//!
//! Feature: `tower`. It brings the crates `http-body`, `tower-service` and `tower-layer`, which are
//! traits alone.
//!
//! # A service on our server
//!
//! [`TowerToHandler`] makes a handler of a service. axum's router is such a service, so that its
//! handlers, extractors and layers run on our server with its limits, timeouts and stop:
//!
//! ```ignore
//! use annulus::{compat::tower::TowerToHandler, http::Server};
//! use axum::{Router, routing::get};
//!
//! fn router() -> Router {
//!     Router::new().route("/", get(|| async { "Hello, World!" }))
//! }
//!
//! Server::new().listen("127.0.0.1:8080").run_each(|| TowerToHandler::new(router()))?;
//! ```
//!
//! The differences from `axum::serve` are these:
//!
//! - `ConnectInfo` needs one line, in [`TowerToHandler::with_extensions`].
//! - A WebSocket, or any other upgrade, goes by [`Upgrade`], since axum's own `WebSocketUpgrade`
//!   wants hyper below it.
//! - tokio's timers, files and tasks need a runtime of tokio on the worker's thread. Without one
//!   they panic: `Sse::keep_alive`, `tower_http::services::ServeDir`, `tower::timeout` and
//!   `tokio::spawn` among others. `compat::Tokio::enter`, of the feature `tokio-context`, gives it
//!   to the thread.
//! - A body larger than [`Limits::body_bytes_max`](crate::http::Limits::body_bytes_max) is refused
//!   by the server, also where axum's own limit is larger.
//!
//! # A handler below another server, and layers
//!
//! [`HandlerToTower`] makes a service of a handler, for axum's `Router::nest_service` or for hyper.
//! [`layered`] and [`Router::tower_layer`](crate::http::Router::tower_layer) put layers of tower's around a
//! handler or a router: those of `tower-http`, for example.
//!
//! # Messages of the `http` crate
//!
//! | from | to | by |
//! |---|---|---|
//! | a received request | `http::Request` | [`Request::into_http`](crate::http::Request::into_http) |
//! | `http::Response` with any body | an answer | [`Response::from_http_body`](crate::http::Response::from_http_body) |
//! | `http::Request` with any body | a request to send | [`Client::http_request`](crate::http::Client::http_request) |
//! | a received response | `http::Response` | `From`, with [`ClientBody`] |
//! | any body | a request's body | [`client::Body::from_http_body`](crate::http::client::Body::from_http_body) |
//!
//! A received [`Body`](crate::http::Body) is a body of `http-body` itself, with trailers and a
//! hint of its length. In a [`ThreadBound`](crate::task::ThreadBound) a body or a service is `Send`.
//!
//! # The client as a service
//!
//! [`Client`](crate::http::Client) is a service of requests of the `http` crate, so that tower's
//! retries, limits and balancers stand around it:
//!
//! ```no_run
//! use annulus::http::Client;
//! use tower_service::Service;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! annulus::run(async {
//!     let mut client = Client::new();
//!     let request = http::Request::get("http://127.0.0.1:8080/").body(String::new())?;
//!     let response = client.call(request).await?;
//!     println!("{}", response.status());
//!     Ok(())
//! })
//! # }
//! ```

mod answer_body;
mod bodies;
mod bound_service;
mod client_service;
mod handler_to_tower;
mod layers;
mod tower_to_handler;
mod upgrade;

pub use answer_body::AnswerBody;
pub use bodies::ClientBody;
pub use handler_to_tower::HandlerToTower;
pub use layers::layered;
pub use tower_to_handler::TowerToHandler;
pub use upgrade::Upgrade;
