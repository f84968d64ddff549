//! TLS: the client against servers of rustls that do what they are told, against openssl and nginx,
//! and streams in memory.
//!
//! The certificates are made by the `openssl` tool. Where it is not installed all of this is skipped,
//! and said so; with `ANNULUS_REQUIRE_ALL=1` it is a failure.

#[path = "tls/basics.rs"]
mod basics;
#[path = "tls/certificates.rs"]
mod certificates;
#[path = "tls/hostile.rs"]
mod hostile;
#[path = "tls/interop.rs"]
mod interop;
#[path = "tls/pool.rs"]
mod pool;
#[expect(dead_code, reason = "the tests with other clients need more of it")]
#[path = "clients/program.rs"]
mod program;
#[path = "tls/routes.rs"]
mod routes;
#[path = "tls/server.rs"]
mod server;
#[path = "tls/streams.rs"]
mod streams;
#[path = "tls/support.rs"]
mod support;
#[path = "tls/trust.rs"]
mod trust;
