//! One connection of the HTTP server: bodies in pieces and floods, clients that leave, timeouts,
//! tunnels. Most tests run in memory with a stopped clock, and none waits for a time.
#![cfg(feature = "http")]

mod access;
mod bodies;
mod client;
mod events;
mod fairness;
mod floods;
mod gone;
mod kept;
mod multipart;
mod overlaps;
#[path = "../support/mod.rs"]
mod support;
mod timeouts;
mod tunnels;
mod websockets;
