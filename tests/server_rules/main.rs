//! The rules of HTTP/1.1 by raw sockets, against the example `conformance` in a process of its own.
#![cfg(feature = "http")]

mod answers;
mod bodies;
mod client;
mod fields;
mod framing;
mod process;
mod request_line;
mod slow;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod table;
