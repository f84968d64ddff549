//! Layers that are ready made, for [`Router::layer`](super::Router::layer).
//!
//! A layer of one's own is an async function: [`Layer`](super::Layer) has examples.

mod error_bodies;

pub use error_bodies::ErrorBodies;
