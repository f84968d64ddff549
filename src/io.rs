//! Traits for streams of any kind, and readers over them.
//!
//! [`ByteStream`] is what all connections have in common, so that a protocol that is written for it
//! runs over TCP, Unix sockets and TLS, and is tested in memory by [`duplex`]. [`Reader`] joins the
//! pieces that a stream gives to lines, frames and messages.
//!
//! [`AsyncFd`] waits for the readiness of any descriptor, such as that of a library in C.

mod async_fd;
mod byte_stream;
mod duplex;
mod interest;
mod lines;
mod reader;

pub use async_fd::AsyncFd;
pub use byte_stream::{ByteRead, ByteStream, ByteWrite};
pub(crate) use byte_stream::{reads_by_method, writes_by_method};
pub use duplex::{Duplex, duplex};
pub use interest::{Interest, Ready};
pub use lines::Lines;
pub use reader::Reader;
