//! How a server lives and ends: stop, overload, failures, and what it tells of itself.
#![cfg(feature = "http")]

mod answers;
mod connections;
mod events;
mod handover;
mod inherited;
mod inside;
mod jobs;
mod listening;
mod metrics;
mod overload;
mod panics;
mod paused;
mod policies;
mod restart;
mod running;
mod runtime_options;
mod shared;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
#[cfg(feature = "tracing")]
mod traced;
mod tunnels;
mod unread;
mod websockets;
