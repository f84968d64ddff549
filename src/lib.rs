//! An asynchronous I/O runtime for Linux on io_uring: one thread and one ring per core, operations
//! submitted to the kernel, futures resolved from its completions.
//!
//! ```no_run
//! use annulus::{net::TcpListener, spawn};
//!
//! fn main() -> std::io::Result<()> {
//!     annulus::run(async {
//!         let listener = TcpListener::bind("127.0.0.1:7000").await?;
//!         loop {
//!             let (stream, _peer) = listener.accept().await?;
//!             spawn(async move {
//!                 loop {
//!                     let bytes = stream.recv().await?; // memory the kernel filled; none held while idle
//!                     if bytes.is_empty() {
//!                         return std::io::Result::Ok(());
//!                     }
//!                     stream.write_all(bytes).await?; // sent from that memory, then handed back
//!                 }
//!             });
//!         }
//!     })
//! }
//! ```
//!
//! The [`guide`](crate::docs::guide) leads from here to a service with an API, a client, a
//! background job and tests, and explains blocking and asynchronous calls by programs.
//!
//! # Lossless
//!
//! Dropping a future loses no received byte, no connection and no descriptor, and memory is freed
//! only when the kernel has finished with it. A write that has begun is sent whole; one that was
//! dropped before its turn has sent nothing. So `select!`, [`time::timeout`] and
//! [`JoinHandle::abort`](task::JoinHandle::abort) can be used around any one call.
//!
//! They keep no variable of an `async` block that they drop. A length that one call has returned is
//! lost there while the next call waits for the body. So a message that takes several reads is read
//! by one call, whose progress is in the reader:
//!
//! ```
//! use annulus::{io::Reader, net::UnixStream, time};
//! use std::{io, time::Duration};
//!
//! fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
//!     let head = bytes.first_chunk::<4>();
//!     Ok(head.map(|length| 4 + u32::from_be_bytes(*length) as usize))
//! }
//!
//! annulus::run(async {
//!     let (near, far) = UnixStream::pair()?;
//!     let mut reader = Reader::new(&near);
//!     far.write_all(&b"\0\0\0\x05hel"[..]).await?;
//!     let read = reader.read_frame(64 * 1024, frame_len); // and not two times `read_exact`
//!     assert!(time::timeout(Duration::from_millis(1), read).await.is_err());
//!     far.write_all(&b"lo"[..]).await?;
//!     let frame = reader.read_frame(64 * 1024, frame_len).await?;
//!     assert_eq!(frame.unwrap(), b"\0\0\0\x05hello");
//!     io::Result::Ok(())
//! })
//! # .unwrap();
//! ```
//!
//! The page [`cancellation`](crate::docs::cancellation) tells what dropping does to each future.
//!
//! # Fair
//!
//! A task that finds every receive ready does not keep its thread to itself: after 64 operations
//! the others have their turn ([`task`](task#fairness)).
//!
//! # Kernels
//!
//! Everything works from Linux 5.6 on. The runtime finds out by trying what the kernel can do, and
//! uses newer features by itself. Where io_uring is forbidden, as in the default profiles of Docker
//! and Kubernetes, the same program runs on epoll and says so once; `ANNULUS_DRIVER=poll` chooses
//! that by hand. [`diagnose`] tells which of the two it is here, and why.
//!
//! # Features
//!
//! | Feature | It brings |
//! |---|---|
//! | `http`, on by default | `http`: the HTTP/1.1 server and client |
//! | `http2` | HTTP/2 for the server, beside HTTP/1.1, with the same handlers; by ALPN over TLS |
//! | `json` | JSON in the bodies of requests and responses, on both sides; queries, forms and parameters as types of serde's |
//! | `signed-cookies` | `http::CookieSigner`: cookies that clients cannot change |
//! | `compress` | Compressed answers, responses and WebSocket messages: gzip, brotli; zstd for the client |
//! | `compress-zstd` | The server's answers in zstd too, by the C library |
//! | `tls` | `https` for server and client, and `tls` for streams of other protocols |
//! | `tls-bundled-roots` | Mozilla's root certificates, for machines without any |
//! | `futures-io` | The traits `AsyncRead` and `AsyncWrite` of `futures-io`, in `compat` |
//! | `hyper` | hyper's I/O traits, executor, timer and connector, in `compat` |
//! | `tokio-io` | tokio's I/O traits without its runtime, in `compat` |
//! | `tokio-context` | A runtime of tokio beside ours, for libraries that need one, in `compat` |
//! | `tower` | tower's services and layers, axum's router among them, in `compat` |
//! | `tracing` | Spans of tasks, connections and requests, and events, for the crate `tracing` |
//!
//! An item that needs one says so: "Feature: `json`."
//!
//! # Pages
//!
//! The module [`docs`] has pages about more than one item: [what dropping a future
//! does](crate::docs::cancellation), [every limit and timeout](crate::docs::limits), [what each
//! kernel brings](crate::docs::kernels), [several cores](crate::docs::cores), [WebSockets and
//! topics](crate::docs::real_time), [coming from tokio](crate::docs::from_tokio), [which libraries
//! run on it](crate::docs::ecosystem), and [how the crate is built](crate::docs::architecture).

// The lower layers, `tls` among them, do not name the feature: much of what they have is for HTTP
// alone.
#![cfg_attr(
    not(feature = "http"),
    expect(dead_code, unused_imports, reason = "HTTP uses the rest")
)]

#[cfg(not(target_os = "linux"))]
compile_error!("annulus is built on Linux's io_uring and epoll and runs on Linux only");

pub mod blocking;
mod budget;
#[expect(unsafe_code, reason = "a buffer's memory is used by address")]
pub mod buf;
#[cfg(any(
    feature = "futures-io",
    feature = "hyper",
    feature = "tokio-context",
    feature = "tokio-io",
    feature = "tower"
))]
pub mod compat;
pub mod diagnosis;
// Not where the examples are collected: those of a page are run elsewhere or not meant to be.
#[cfg(all(doc, not(doctest)))]
pub mod docs;
#[expect(unsafe_code, reason = "operations in flight are kept for the kernel")]
mod driver;
pub mod fs;
pub mod future;
#[cfg(feature = "http")]
pub mod http;
pub mod inspect;
pub mod io;
mod mailbox;
pub mod net;
#[cfg(test)]
#[expect(
    unsafe_code,
    reason = "a waker that runs code as it is cloned is a raw one"
)]
#[path = "../tests/support/nosy.rs"]
mod nosy;
#[expect(
    unsafe_code,
    reason = "entries point to memory that the operation keeps"
)]
mod op;
mod park;
#[expect(unsafe_code, reason = "the kernel writes to the pool's buffers")]
mod pool;
mod primitives;
mod runtime;
mod shrink;
pub mod signal;
#[cfg(test)]
#[expect(dead_code, reason = "the closing line is another program's")]
#[path = "../tests/support/skip.rs"]
mod skip;
pub mod sync;
#[expect(unsafe_code, reason = "the kernel's interface")]
mod sys;
pub mod systemd;
#[expect(
    unsafe_code,
    reason = "a task's future is erased and its references are counted by hand"
)]
pub mod task;
pub mod time;
#[cfg(feature = "tls")]
pub mod tls;
mod trace;
mod unwind;
mod wait_note;
pub mod workers;

pub use diagnosis::{Diagnosis, diagnose};
pub use driver::{DriverKind, DriverStats, EntryKinds};
pub use pool::ManagedBuf;
pub use runtime::{
    Cores, Dump, Runtime, RuntimeBuilder, Stall, Stats, TaskDump, TokioStats, WaitsFor, dump,
    pin_to_core, run, stats,
};
pub use task::spawn;
pub use workers::{Worker, Workers};

/// The examples of this page run with the others.
#[cfg(doctest)]
#[doc = include_str!("../docs/cancellation.md")]
struct CancellationPage;
