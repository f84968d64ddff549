//! The HTTP/1.1 client.
//!
//! [`fetch`] is one line for one page; a [`Client`] has settings of its own.
//!
//! ```no_run
//! use annulus::http;
//!
//! # fn main() -> std::io::Result<()> {
//! annulus::run(async {
//!     let page = http::fetch("http://127.0.0.1:8080/").await?.text().await?;
//!     println!("{page}");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! The response's head comes first, and its body is pulled: piece by piece ([`Response::next`]),
//! whole and within a limit ([`Response::bytes`], [`Response::text`]), or into a file
//! ([`Response::copy_to`]).
//!
//! # Connections
//!
//! Connections are kept and used again, each thread by itself. A receive stays armed on those that
//! are idle, so one that the server closes leaves the pool at once, before a request takes it. The
//! kernel is asked as well when the thread has worked for long: bytes that came before a request
//! was sent are never its response (RFC 9112, section 9.2). Where a request still meets a closing
//! connection it is sent once more on a fresh one, if it may be repeated or nothing of it has left.
//! A connection with bytes left over is never used again, and a request that is dropped, in any
//! phase, closes its own.
//!
//! A host has at most 64 connections a thread; further requests wait in order, and
//! [`Client::pool_state`] shows them.
//!
//! # Limits
//!
//! | What | By default | Changed by |
//! |---|---|---|
//! | The whole request, queue, redirects and body included | 30 s | [`ClientBuilder::timeout`] |
//! | Look-up, connect, TLS | 10 s | [`ClientBuilder::connect_timeout`] |
//! | For the server to take any of the request | 30 s | [`ClientBuilder::send_timeout`] |
//! | Until the first byte of the response | 30 s | [`ClientBuilder::first_byte_timeout`] |
//! | Between two pieces of the response | 30 s | [`ClientBuilder::read_timeout`] |
//! | A body in memory, decompressed | 10 MiB | [`ClientBuilder::body_bytes_max`] |
//! | Redirects | 10 | [`ClientBuilder::redirects_max`] |
//! | Head, fields, trailers, chunk extensions | as a server's | [`ClientBuilder::limits`] |
//! | Informational responses | 16 | |
//! | Idle time of a connection | 15 s, or the server's `Keep-Alive` | [`ClientBuilder::idle_timeout`] |
//!
//! An error names the phase that took too long. A large download needs
//! [`timeout(None)`](Request::timeout).
//!
//! # TLS
//!
//! `https` wants the feature `tls`, and then needs nothing more: servers are verified by the
//! authorities that the system trusts, and sessions are resumed. `ClientBuilder::tls` takes a
//! configuration for everything else; the module `tls` tells more, and what an idle connection
//! costs. A body may end with its connection, without a length before it. Such a body is an error
//! when the server did not say that it has finished, since any machine on the way may have cut it.
//!
//! # Redirects
//!
//! 301 and 302 make a `GET` of a `POST`, 303 of everything but `HEAD`, 307 and 308 keep method and
//! body; a body that was a stream cannot be sent again, and the caller sees the redirect.
//! `Authorization`, `Cookie` and `Proxy-Authorization` go to the origin that they were given for
//! and to no other, and from `https` no redirect leads to `http` unless that is allowed.

mod body;
mod builder;
mod connect;
mod error;
mod exchange;
mod flow;
mod informational;
#[cfg(feature = "json")]
mod json;
mod options;
mod phase;
mod pool;
mod redirect;
mod request;
mod response;
mod retry;
mod shared;
#[doc(alias = "blocking")]
pub mod synchronous;
mod timings;
mod trace;
mod url;
mod websocket;

use std::{fmt, rc::Rc};

pub use body::Body;
pub use builder::ClientBuilder;
pub use connect::{
    proxy::Proxy,
    resolve::{Resolve, Resolving},
};
pub use error::{Error, ErrorKind, Result};
pub(crate) use exchange::onward_head::OnwardHead;
pub use informational::Informational;
pub use phase::Phase;
pub use pool::state::{HostState, PoolState};
pub use request::Request;
pub use response::{BodyPieces, BodyStream, Response};
pub use retry::Retry;
pub use timings::Timings;
pub use url::{IntoUrl, Url};
pub use websocket::WebSocketRequest;

use super::Method;
use shared::Shared;

const USER_AGENT: &str = concat!("annulus/", env!("CARGO_PKG_VERSION"));

/// An HTTP/1.1 client of one thread, with a pool of connections. A clone shares everything with its
/// original.
///
/// Dropping the last one closes the idle connections; requests under way go on.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::Client;
///
/// # async fn example() -> std::io::Result<()> {
/// let client = Client::new();
/// let mut response = client.get("http://127.0.0.1:8080/").send().await?.error_for_status()?;
/// while let Some(piece) = response.next().await? {
///     println!("{} bytes", piece.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Rc<Handle>,
}

/// The parts that all clones of a client own together.
struct Handle {
    shared: Rc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.pool.close();
    }
}

thread_local! {
    /// The client of [`fetch`], which has the defaults.
    static DEFAULT: Client = Client::new();
}

impl Client {
    /// Makes a client with the default settings.
    #[must_use]
    pub fn new() -> Self {
        ClientBuilder::new().build()
    }

    /// Returns a builder for a client with other settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    fn from_shared(shared: Rc<Shared>) -> Self {
        Self {
            handle: Rc::new(Handle { shared }),
        }
    }

    fn shared(&self) -> &Rc<Shared> {
        &self.handle.shared
    }

    /// Begins a `GET` request.
    pub fn get(&self, url: impl IntoUrl) -> Request {
        self.request(Method::GET, url)
    }

    /// Begins a `HEAD` request.
    pub fn head(&self, url: impl IntoUrl) -> Request {
        self.request(Method::HEAD, url)
    }

    /// Begins a `POST` request.
    pub fn post(&self, url: impl IntoUrl) -> Request {
        self.request(Method::POST, url)
    }

    /// Begins a `PUT` request.
    pub fn put(&self, url: impl IntoUrl) -> Request {
        self.request(Method::PUT, url)
    }

    /// Begins a `PATCH` request.
    pub fn patch(&self, url: impl IntoUrl) -> Request {
        self.request(Method::PATCH, url)
    }

    /// Begins a `DELETE` request.
    pub fn delete(&self, url: impl IntoUrl) -> Request {
        self.request(Method::DELETE, url)
    }

    /// Begins an `OPTIONS` request.
    pub fn options(&self, url: impl IntoUrl) -> Request {
        self.request(Method::OPTIONS, url)
    }

    /// Begins a request with any method.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> Request {
        Request::new(self, method, url)
    }

    /// Returns the counts of the pool, as they are now.
    #[must_use]
    pub fn pool_state(&self) -> PoolState {
        self.shared().pool.state()
    }

    /// Closes the idle connections.
    pub fn close_idle(&self) {
        self.shared().pool.close_idle();
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pool", &self.pool_state())
            .finish_non_exhaustive()
    }
}

/// Gets a page, by a client that all calls of this thread share.
///
/// # Errors
///
/// As [`Request::send`]. A status such as 404 is no error.
///
/// # Cancel safety
///
/// As [`Request::send`].
///
/// # Examples
///
/// ```no_run
/// use annulus::http;
///
/// # fn main() -> std::io::Result<()> {
/// let page = annulus::run(async { http::fetch("http://127.0.0.1:8080/").await?.text().await })?;
/// println!("{page}");
/// # Ok(())
/// # }
/// ```
pub async fn fetch(url: impl IntoUrl) -> Result<Response> {
    let client = DEFAULT.with(Clone::clone);
    client.get(url).send().await
}
