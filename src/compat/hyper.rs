//! hyper's executor, timer and connector on this runtime.
//!
//! Feature: `hyper`. hyper's I/O traits are on [`Compat`](super::Compat).
//!
//! | hyper asks for | give it |
//! |---|---|
//! | a stream: `hyper::rt::{Read, Write}` | [`Compat::new(stream)`](super::Compat) |
//! | an executor, for HTTP/2 and for hyper-util's client | [`Executor`] |
//! | a timer, for its timeouts | [`Timer`] |
//! | a connector, for hyper-util's client and tonic's channel | [`Connector`] |
//!
//! A server with hyper, on our sockets:
//!
//! ```ignore
//! let listener = TcpListener::bind("[::]:8080").await?;
//! loop {
//!     let (stream, _peer) = listener.accept().await?;
//!     let connection = hyper::server::conn::http1::Builder::new()
//!         .timer(Timer)
//!         .serve_connection(Compat::new(stream), service_fn(answer));
//!     annulus::spawn(connection);
//! }
//! ```
//!
//! A client:
//!
//! ```ignore
//! let stream = Compat::new(TcpStream::connect("example.com:80").await?);
//! let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
//! annulus::spawn(connection);
//! let response = client.send_request(request).await?;
//! ```
//!
//! Both run as tests of the repository, in `examples/ecosystem`, since hyper's protocols are
//! features of hyper that this crate does not ask for.

mod connector;
mod executor;
mod stream;
mod timer;

pub use connector::{ClientStream, Connector};
pub use executor::Executor;
pub use stream::FromHyper;
pub use timer::Timer;
