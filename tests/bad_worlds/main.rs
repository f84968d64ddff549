//! Bad worlds: no ring, no memory, no descriptors, signals, forks, peers that vanish.
//!
//! A test that can run only once in a process, or would hurt the others, runs in a child: this
//! binary, run again with one test's name (`child.rs`).

#![expect(
    unsafe_code,
    reason = "limits, filters and signals are set by raw system calls"
)]

mod beneath;
mod child;
// The profile is read as JSON, and one of the programs is an HTTP server.
#[cfg(feature = "json")]
mod doctor;
mod environment;
mod exhausted;
mod forbidden;
mod forked;
mod forked_inspector;
mod forked_listener;
#[cfg(feature = "http")]
mod forked_topics;
mod forked_udp;
mod interrupted;
mod killed;
mod limits;
mod overflow;
mod peers;
mod process;
#[cfg(feature = "json")]
mod profile;
mod signals;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tracing")]
mod traced;
mod wakes;
