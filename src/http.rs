//! An HTTP/1.1 server and [`client`].
//!
//! Feature: `http`, which is on by default.
//!
//! [`Server`] answers requests by a [`Handler`], most simply an async closure, on every core:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use annulus::{http::{Response, Server}, signal};
//!
//! fn main() -> std::io::Result<()> {
//!     let report = Server::new()
//!         .listen("127.0.0.1:8080")
//!         .shutdown_on(signal::terminate(), Duration::from_secs(30))
//!         .run(async |_request| Response::text("Hello, World!"))?;
//!     println!("{report}");
//!     Ok(())
//! }
//! ```
//!
//! # Handlers
//!
//! A [`Router`] chooses among several by method and path, and is a handler itself. A handler
//! returns any value that turns [into a response](IntoResponse): a [`Response`], text, a status, or
//! a [`Result`] of these, so that `?` works. An [`Error`] becomes the answer that it asks for, and
//! its text goes to the log only. A file that is not there is 404: [`Error`] has the table of I/O
//! errors.
//!
//! ```no_run
//! use annulus::http::{self, Request, Response, Router, Server, StatusCode};
//!
//! async fn user(request: Request) -> http::Result<String> {
//!     let id: u64 = request.param("id")?; // 400 where it is no number
//!     if id > 9 {
//!         return Err(StatusCode::NOT_FOUND.into());
//!     }
//!     Ok(format!("user {id}"))
//! }
//!
//! async fn echo(mut request: Request) -> http::Result<Response> {
//!     let body = request.take_body().bytes().await?; // 413 where it is larger than the limit
//!     Ok(Response::bytes(body))
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let router = || Router::new().get("/users/{id}", user).post("/echo", echo);
//! Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
//! # }
//! ```
//!
//! # State
//!
//! A connection stays on the worker that has accepted it, and so does everything that serves it.
//! Nothing has to be `Send`, and what only one worker needs has no lock. [`Server::run_each`] calls
//! its function on each worker, so that its values may be `Rc` and `RefCell`; what all workers
//! share comes in by an `Arc`:
//!
//! ```no_run
//! use std::{
//!     cell::RefCell,
//!     collections::HashMap,
//!     rc::Rc,
//!     sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}},
//! };
//!
//! use annulus::http::{self, Request, Response, Router, Server};
//!
//! # fn main() -> std::io::Result<()> {
//! let total = Arc::new(AtomicU64::new(0)); // of all workers
//! Server::new()
//!     .listen("127.0.0.1:8080")
//!     .run_each(move || {
//!         let total = Arc::clone(&total);
//!         let seen: Rc<RefCell<HashMap<String, u64>>> = Rc::default(); // of this worker
//!         let count = Rc::clone(&seen);
//!         Router::new()
//!             .get("/count/{name}", async move |request: Request| -> http::Result<String> {
//!                 total.fetch_add(1, Relaxed);
//!                 let mut seen = count.borrow_mut();
//!                 let times = seen.entry(request.param("name")?).or_default();
//!                 *times += 1;
//!                 Ok(format!("{times} times on this core"))
//!             })
//!             .get("/names", async move |_| Response::text(format!("{:?}", seen.borrow().keys())))
//!     })
//!     .map(drop)
//! # }
//! ```
//!
//! Let go of a borrow or a guard before the next `await`: requests of one worker take turns there,
//! and the next one would find the `RefCell` borrowed, or block the thread that has to unlock the
//! mutex. [`sync::Semaphore`](crate::sync::Semaphore) may be held across one. Work that blocks
//! belongs on [helper threads](crate::blocking).
//!
//! # HTTP/2
//!
//! With the feature `http2` a [`Server`] and a [`Connection`] also speak HTTP/2: over TLS with
//! clients that choose it in their handshake (ALPN), as browsers do, and without TLS with clients
//! that begin with its preface (RFC 9113, section 3.3), such as gRPC's,
//! `curl --http2-prior-knowledge` and proxies that are set to it. Handlers, requests, bodies and
//! answers are the same: [`Request::version`] tells. `Http2` has the limits, and
//! `Server::http_versions` chooses what is spoken.
//!
//! A connection has many requests at once, each a stream. A client that resets a stream drops its
//! handler, an answer that fails in the middle resets its stream, and neither touches the others. A
//! stop tells the client to open no more streams, and lets those that have begun end. A handler
//! that takes the connection over ([`Response::upgrade`]) is answered 501.
//!
//! # Bodies
//!
//! The body of a request is pulled: what a handler does not read stays with the client. The body of
//! an answer is at hand, or is written piece by piece, only as fast as the client reads:
//! [`Response::writer`], [`stream`](Response::stream), [`channel`](Response::channel),
//! [`file`](Response::file) and [`sse`](Response::sse). Neither is held in memory as a whole unless
//! the handler asks for it.
//!
//! ```no_run
//! use annulus::http::{self, BodyWriter, Request, Response, Server};
//!
//! /// Sends back in capitals what comes, as it comes.
//! async fn upper(mut request: Request) -> Response {
//!     let mut body = request.take_body().limit(u64::MAX);
//!     Response::writer(async move |mut out: BodyWriter| {
//!         while let Some(mut piece) = body.next().await? {
//!             piece.make_ascii_uppercase();
//!             out.write(piece).await?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! Server::new().listen("127.0.0.1:8080").run(upper).map(drop)
//! # }
//! ```
//!
//! [`Request::form`] reads a small form, and [`Request::multipart`] one with files, part by part.
//!
//! A handler's future is dropped when its client has left, and may lose nothing by it; see
//! [`Request::keep_running`]. [`Request::websocket`] answers by a [`websocket`], and
//! [`Response::upgrade`] hands the connection over, for other protocols that begin as HTTP.
//!
//! # Limits, times and the stop
//!
//! Everything that a client can make grow has a limit ([`Limits`], [`Server::connections_max`]),
//! and every wait for a client has a time ([`Timeouts`]). The page [`limits`](crate::docs::limits)
//! tells all of them. A server stops when a future says so ([`Server::shutdown_on`]) or a
//! [`ServerHandle`] does: it finishes what has begun, and cuts what is left at a deadline.
//!
//! Work beside the requests, such as to write counts once a minute, is a job of
//! [`Server::background`]: it starts and stops with the server. Several servers and other services
//! live in one set of [`Workers`](crate::Workers), with one stop for all, by [`Server::share`].
//!
//! [`Server::access_log`] is called for each request, [`ServerHandle::connections`] lists the
//! connections, and [`Report`] counts the whole.
//!
//! Files of a folder are answered by [`Router::files`], one file by [`serve_file`]; the page
//! [`files`](crate::docs::files) is about both.
//!
//! Answers are compressed by [`Compression`], with the feature `compress`, and
//! [`Server::listen_tls`] serves `https`, with the feature `tls`; the page
//! [`tls`](crate::docs::tls) is about both that and HTTP/2.
//!
//! Not here: HTTP/2 in the client.
//!
//! # The two sides
//!
//! This module has the types of a server: its [`Request`] is received and its [`Response`] is sent.
//! Those of the client stand in [`client`], under the same names: [`client::Request`] is sent, and
//! [`client::Response`] is received. A file that uses both imports the module `client`.
//!
//! # Elsewhere than at a server
//!
//! [`Connection`] serves one connection, over any stream, in the task that calls it. So a handler
//! can be tested in memory, as [`test::TestClient`] does, or run over a transport of your
//! own.
//!
//! The types `Method`, `StatusCode`, `Version`, `HeaderName` and `HeaderValue` are those of the
//! `http` crate, which this module's name hides: inside a file that uses both, that one is
//! `::http`.

// # How a connection lives
//
// An idle connection is not a task: it is its socket and a small record. When bytes arrive, an
// *exchange* (`exchange.rs`: storage for the head, the handler's future, the output) is taken from
// a list of used ones and serves the connection until nothing is left to answer; then it goes back
// to the list, and the connection is idle again. So the memory of an idle connection does not
// depend on the handler. `docs/life_of_a_request.md` follows one.

mod alarm;
mod base64;
pub mod client;
#[cfg(feature = "compress")]
mod compression;
mod cookies;
mod error;
mod error_answer;
mod error_kind;
pub mod forward;
mod h1;
pub mod health;
pub mod layers;
mod multipart;
mod percent;
mod proxy_header;
mod representation;
mod server;
mod stop_notice;
pub mod test;
mod tick;
mod to_https;
pub mod topics;
mod transport;
mod trusted_proxies;
pub mod websocket;
mod ws;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

pub use client::{Client, fetch};
#[cfg(feature = "signed-cookies")]
pub use cookies::CookieSigner;
pub use cookies::{Cookie, CookieError, Cookies, SameSite};
pub use error::{Cause, Error, Result};
pub use error_kind::ErrorKind;
pub use h1::{BodyError, HeadError, Leniency, Limits, RequestError, ResponseError};
pub use multipart::MultipartError;
pub use proxy_header::ProxyHeader;
pub use representation::{CachePolicy, Coding, ETag};
#[cfg(feature = "compress")]
pub use server::Compression;
#[cfg(feature = "json")]
pub use server::Json;
#[cfg(feature = "tower")]
pub(crate) use server::detached;
pub use server::files::{Files, serve_file};
pub use server::{
    Access, Body, BodyWriter, Connection, ConnectionInfo, EndReason, Event, EventSender,
    Extensions, Form, Handler, IntoResponse, Job, Layer, MakeHandler, Multipart, Next, Pairs, Part,
    Phase, Refusal, Report, Request, Response, Router, Server, ServerHandle, SharedServer,
    Timeouts, WebSocketEndpoint, WebSocketHandler, WorkerClone, metrics,
};
#[cfg(feature = "http2")]
pub use server::{Http2, HttpVersions};
pub use to_https::redirect_to_https;
pub use transport::{Transport, upgraded::Upgraded};
pub use trusted_proxies::TrustedProxies;
pub use websocket::WebSocket;

/// The readme's examples are kept compiling. They are about HTTP.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the page on TLS and HTTP/2, where both are built.
#[cfg(all(doctest, feature = "http2", feature = "tls"))]
#[doc = include_str!("../docs/tls.md")]
mod tls_page {}
