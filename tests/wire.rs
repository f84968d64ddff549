//! The rules of HTTP/1.1 by raw sockets, against the example `conformance` in a process of its own.
#![cfg(feature = "http")]

#[path = "wire/answers.rs"]
mod answers;
#[path = "wire/bodies.rs"]
mod bodies;
#[path = "wire/child.rs"]
mod child;
#[path = "wire/client.rs"]
mod client;
#[path = "wire/fields.rs"]
mod fields;
#[path = "wire/framing.rs"]
mod framing;
#[path = "wire/process.rs"]
mod process;
#[path = "wire/request_line.rs"]
mod request_line;
#[path = "wire/slow.rs"]
mod slow;
#[path = "wire/stop.rs"]
mod stop;
#[path = "wire/table.rs"]
mod table;
