//! This crate's HTTP client, against scripted servers on real sockets and against our own server.
//! The suite `foreign_clients` has clients that others wrote.
#![cfg(feature = "http")]

mod basics;
mod bodies;
#[cfg(feature = "compress")]
mod compressed;
mod errors;
mod hostile;
#[cfg(feature = "json")]
mod json;
mod pool;
mod printed;
mod redirects;
mod reuse;
mod routes;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod timeouts;
mod unsolicited;
