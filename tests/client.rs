//! The HTTP client, against scripted servers on real sockets and against our own server.
#![cfg(feature = "http")]

#[path = "client/basics.rs"]
mod basics;
#[path = "client/bodies.rs"]
mod bodies;
#[cfg(feature = "compress")]
#[path = "client/compressed.rs"]
mod compressed;
#[path = "client/errors.rs"]
mod errors;
#[path = "client/hostile.rs"]
mod hostile;
#[cfg(feature = "json")]
#[path = "client/json.rs"]
mod json;
#[path = "client/pool.rs"]
mod pool;
#[path = "client/redirects.rs"]
mod redirects;
#[path = "client/reuse.rs"]
mod reuse;
#[path = "client/routes.rs"]
mod routes;
#[path = "client/support.rs"]
mod support;
#[path = "client/timeouts.rs"]
mod timeouts;
#[path = "client/unsolicited.rs"]
mod unsolicited;
