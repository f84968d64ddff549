//! Dropping a future loses nothing: no received byte, no connection, no descriptor, no memory.
//!
//! The driver and the emulated kernel are the environment's choice (`ANNULUS_DRIVER`,
//! `ANNULUS_KERNEL`), and every test holds for each of them. They count the descriptors and the
//! memory of the whole process, so each test has a process of its own.
#![expect(
    unsafe_code,
    reason = "the sizes of socket buffers are set by raw system calls"
)]

mod buffers;
mod census;
#[cfg(feature = "http")]
mod client;
mod datagrams;
mod files;
mod frames;
mod given_back;
mod live_memory;
mod moment;
mod reader;
mod runtimes;
mod sockets;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod unwinding;
mod waiters;
mod wakers;

use support::counting::Counting;

#[global_allocator]
static COUNTING: Counting = Counting;
