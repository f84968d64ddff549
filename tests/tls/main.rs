//! TLS: the client against servers of rustls that do what they are told, against openssl and nginx,
//! and streams in memory.
//!
//! The certificates are made by the `openssl` tool. Where it is not installed all of this is
//! skipped, and said so; with `ANNULUS_REQUIRE_ALL=1` it is a failure.

mod basics;
mod certificates;
mod hostile;
mod interop;
mod pool;
mod routes;
mod server;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod trust;
mod trusting;
