//! HTTP/2: the rules of RFC 9113 by raw frames, handlers on both versions, floods, and how
//! connections live and end. Most tests run in memory.

mod frames;
mod handlers;
mod life;
mod limits;
#[cfg(feature = "tls")]
mod over_tls;
mod refusals;
mod spec;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tools;
