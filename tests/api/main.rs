//! The promises of the public interface, on the driver and the kernel that the environment chooses
//! (`ANNULUS_DRIVER`, `ANNULUS_KERNEL`). The suite `kernels` runs this binary on all of them.

mod async_fd;
mod back_pressure;
mod blocking;
mod bulk;
mod clock;
mod closed;
mod connect;
mod detach;
mod dirs;
mod dumps;
mod elsewhere;
mod fairness;
mod file_streams;
mod files;
mod foreign;
mod halves;
mod lent_room;
mod listener;
mod names;
#[expect(unsafe_code, reason = "FIFOs and leases are made by raw system calls")]
mod opening;
mod options;
#[expect(unsafe_code, reason = "a foreign loop is made by raw system calls")]
mod outside;
mod panics;
mod poll_doors;
mod reader;
mod receive;
mod reset;
mod runtime;
#[expect(
    unsafe_code,
    reason = "descriptors and urgent data are sent by raw system calls"
)]
mod short_reads;
mod stalls;
mod stats;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod temp_files;
mod udp;
mod udp_loss;
mod udp_messages;
mod udp_options;
mod udp_peers;
mod unix;
mod write;
