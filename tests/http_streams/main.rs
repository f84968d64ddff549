//! HTTP on connections in memory: bodies in pieces, timeouts, tunnels. No test waits for a time.
#![cfg(feature = "http")]

mod access;
mod bodies;
mod client;
mod fairness;
mod floods;
mod gone;
mod kept;
mod overlaps;
mod timeouts;
mod tunnels;
