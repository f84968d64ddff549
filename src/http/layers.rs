//! Layers that are ready made, for [`Router::layer`](super::Router::layer).
//!
//! A layer of one's own is an async function: [`Layer`](super::Layer) has examples. The first layer
//! that is added is the outermost. This order suits most services:
//!
//! ```
//! use std::time::Duration;
//!
//! use annulus::http::{Router, layers};
//!
//! let router = Router::new()
//!     .get("/", async |_| "hello")
//!     .layer(layers::RequestIds::new()) // first, so that all below see the id
//!     .layer(layers::SecurityFields::new())
//!     .layer(layers::ErrorBodies::problem()) // outside of all that may answer an error
//!     .layer(layers::Cors::new().allow_origin("https://app.example"))
//!     .layer(layers::ConcurrencyLimit::new(512).queue(128))
//!     .layer(layers::Timeout::new(Duration::from_secs(10)))
//!     .layer(layers::BodyLimit::new(64 * 1024))
//!     .layer(layers::BearerAuth::new().token("secret"));
//! ```

mod basic_auth;
mod bearer_auth;
mod body_limit;
#[cfg(feature = "compress")]
mod compression;
mod concurrency_limit;
mod constant_time;
mod cors;
mod error_bodies;
mod request_ids;
mod security_fields;
mod timeout;

pub use super::server::RequestId;
pub use basic_auth::{BasicAuth, BasicUser};
pub use bearer_auth::BearerAuth;
pub use body_limit::BodyLimit;
pub use concurrency_limit::ConcurrencyLimit;
pub use cors::Cors;
pub use error_bodies::ErrorBodies;
pub use request_ids::RequestIds;
pub use security_fields::SecurityFields;
pub use timeout::Timeout;
