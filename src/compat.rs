//! Adapters between this crate and the libraries of other runtimes.
//!
//! Each part has a feature that brings the traits of the libraries in question and no runtime.
//! `tokio-context` is the exception: it brings tokio's runtime, for libraries that need one.
//!
//! # Streams
//!
//! [`Compat`] gives every stream of this crate the I/O traits that other libraries ask for, and
//! [`FromTokio`], [`FromFutures`] and [`FromHyper`] make streams of this crate from theirs.
//!
//! | Feature | Our stream in theirs | Theirs in ours | For |
//! |---|---|---|---|
//! | `tokio-io` | `Compat<S>` has tokio's `AsyncRead`, `AsyncBufRead`, `AsyncWrite` | [`FromTokio`] | tokio-postgres, redis, h2, tokio-tungstenite, tokio-util's codecs |
//! | `futures-io` | `Compat<S>` has those of `futures-io` | [`FromFutures`] | futures-rustls, async-tungstenite, libp2p |
//! | `hyper` | `Compat<S>` has hyper's `Read`, `Write` | [`FromHyper`] | hyper's servers and clients, with its [`Executor`](hyper::Executor), [`Timer`](hyper::Timer) and [`Connector`](hyper::Connector) |
//!
//! A library that takes a stream gets `Compat::new(stream)`. The future that drives it, if it has
//! one, runs by [`spawn`](crate::spawn):
//!
//! ```ignore
//! let stream = Compat::new(TcpStream::connect("localhost:5432").await?);
//! let (client, connection) = config.connect_raw(stream, NoTls).await?; // tokio-postgres
//! annulus::spawn(connection);
//! let row = client.query_one("SELECT 1 + $1", &[&1i32]).await?;
//! ```
//!
//! Programs with real libraries, which run as tests, are in `examples/ecosystem` of the repository.
//!
//! # `Send` here
//!
//! Tasks, sockets and futures of this crate stay on their thread and are not `Send`. Libraries that
//! are written for several threads ask for `Send` all the same. The types of this
//! module are `Send` by [`ThreadBound`](crate::task::ThreadBound): they may be handed around, and
//! panic with a sentence when they are used on another thread. Futures of yours get the same by
//! [`ThreadBound::pin`](crate::task::ThreadBound::pin).
//!
//! # Libraries that open their own sockets
//!
//! reqwest, sqlx, mongodb and the large SDKs make tokio's sockets and start tokio's tasks. With the
//! feature `tokio-context` they run unmodified: [`in_tokio`] polls a future of theirs here, inside
//! the context of a runtime of tokio's, and [`on_tokio`] runs it on that runtime's thread.
//! [`run_with_tokio`] has both runtimes on one thread. The other way round, [`InsideTokio`] is a
//! runtime of ours in the loop of a program of tokio's.
//!
//! # Libraries that spawn
//!
//! Some libraries start tasks of their own.
//!
//! - Those that take an executor, as hyper and tonic, get [`hyper::Executor`]: their tasks run on
//!   this thread.
//! - Those that return a future for you to spawn, as tokio-postgres and redis, get
//!   [`spawn`](crate::spawn).
//! - Those that call `tokio::spawn` panic without a runtime of tokio ("there is no reactor
//!   running"), and with one would poll your stream on tokio's thread, where it panics in turn.
//!   They need streams of tokio's, in a context of tokio: [`in_tokio`] is for them.
//! - Those that call `tokio::time` need such a context as well. Most have a setting without: redis
//!   takes `set_response_timeout(None)`. Timeouts around the whole call are
//!   [`time::timeout`](crate::time::timeout).

#[cfg(feature = "tokio-context")]
mod context;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
mod foreign;
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
mod stream;
#[cfg(feature = "tokio-io")]
mod tokio_io;
#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "tokio-context")]
pub use context::{
    InTokio, InsideTokio, OnTokio, RunInside, Tokio, in_tokio, on_tokio, run_with_tokio,
};
#[cfg(feature = "futures-io")]
pub use futures_io::FromFutures;
#[cfg(feature = "hyper")]
pub use hyper::FromHyper;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
pub use stream::Compat;
#[cfg(feature = "tokio-io")]
pub use tokio_io::FromTokio;
