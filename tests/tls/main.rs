//! TLS: the client against servers of rustls that do what they are told, against openssl and nginx,
//! and streams in memory. Without the feature `http` the streams alone.
//!
//! The certificates are made by the `openssl` tool. Where it is not installed all of this is
//! skipped, and said so; with `ANNULUS_REQUIRE_ALL=1` it is a failure.

mod accepting;
#[cfg(feature = "http")]
mod basics;
#[cfg(feature = "http")]
mod hostile;
#[cfg(feature = "http")]
mod interop;
#[cfg(feature = "http")]
mod pool;
#[cfg(feature = "http")]
mod routes;
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "the client's tests use the rest")
)]
mod server;
#[cfg(feature = "http")]
mod serving;
mod streams;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "http")]
mod trust;
#[cfg(feature = "http")]
mod trusting;
mod watching;
#[cfg(feature = "http")]
mod websockets;
