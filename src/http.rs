//! HTTP/1.1.
//!
//! [`Server`] answers requests by a [`Handler`], most simply an async closure:
//!
//! ```no_run
//! use annulus::http::{Response, Server};
//!
//! fn main() -> std::io::Result<()> {
//!     Server::bind("127.0.0.1:8080")
//!         .run(async |_request| Response::text("Hello, World!"))
//!         .map(drop)
//! }
//! ```
//!
//! A [`Router`] chooses among several by method and path. A handler that uses `?` names its result:
//!
//! ```no_run
//! # use annulus::http::{self, Request, Response, Server};
//! # fn main() -> std::io::Result<()> {
//! Server::bind("127.0.0.1:8080")
//!     .run(async |mut request: Request| -> http::Result<Response> {
//!         let body = request.take_body().bytes().await?;
//!         Ok(Response::bytes(body))
//!     })
//!     .map(drop)
//! # }
//! ```
//!
//! The types `Method`, `StatusCode`, `Version`, `HeaderName` and `HeaderValue` are those of the
//! `http` crate, which this module's name hides: inside a file that uses both, that one is
//! `::http`.
//!
//! # How a connection lives
//!
//! An idle connection is not a task: it is its socket and a small record. When bytes arrive, an
//! *exchange* (`exchange.rs`: storage for the head, the handler's future, the output) is taken from
//! a list of used ones and serves the connection until nothing is left to answer; then it goes back
//! to the list, and the connection is idle again. So the memory of an idle connection does not
//! depend on the handler.

mod access;
mod activity;
mod admission;
pub mod blocking;
mod body;
mod body_writer;
mod census;
pub mod client;
mod connection;
mod connection_info;
mod connections;
mod content;
mod control;
mod convert;
mod error;
mod error_kind;
mod exchange;
mod file_response;
mod form;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "streamed answers and the client come next"
    )
)]
mod h1;
mod handler;
mod input;
mod into_response;
#[cfg(feature = "json")]
mod json;
mod listening;
mod outgoing;
mod pairs;
mod params;
mod percent;
mod pull;
mod redirect;
mod refusal;
mod report;
mod request;
mod response;
mod response_body;
mod router;
mod serve;
mod server;
mod server_handle;
mod settings;
mod shared;
mod sse;
mod stop_order;
mod stopping;
mod timeouts;
mod timer;
mod transport;
mod until_stalled;
mod upgrade;
mod worker;
mod workers;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

pub use access::Access;
pub use activity::Phase;
pub use body::Body;
pub use body_writer::BodyWriter;
pub use client::{Client, fetch};
pub use connection::Connection;
pub use connection_info::ConnectionInfo;
pub use error::{Cause, Error, Result};
pub use error_kind::ErrorKind;
pub use form::Form;
pub use h1::{BodyError, HeadError, Leniency, Limits, RejectReason, ResponseError};
pub use handler::Handler;
pub use into_response::IntoResponse;
#[cfg(feature = "json")]
pub use json::Json;
pub use pairs::Pairs;
pub use report::Report;
pub use request::Request;
pub use response::Response;
pub use router::Router;
pub use server::Server;
pub use server_handle::ServerHandle;
pub use sse::{Event, EventSender};
pub use timeouts::Timeouts;
pub use transport::Transport;
pub use upgrade::Upgraded;
