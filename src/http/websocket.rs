//! WebSocket: messages in both directions over one connection, at a server and at a client.
//!
//! A handler answers a request with [`Request::websocket`](super::Request::websocket), and gives it
//! an async function that has the connection as long as it lives:
//!
//! ```no_run
//! use annulus::http::{Request, Router, Server, websocket::WebSocket};
//!
//! # fn main() -> std::io::Result<()> {
//! let router = || {
//!     Router::new().get("/echo", async |request: Request| {
//!         request.websocket(async |mut socket: WebSocket| {
//!             while let Some(message) = socket.recv().await? {
//!                 socket.send(message).await?;
//!             }
//!             Ok(())
//!         })
//!     })
//! };
//! Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
//! # }
//! ```
//!
//! A request that does not open a WebSocket is answered by the rule that it breaks: a plain GET by
//! 426, a page of another origin by 403. [`Options`] has the settings.
//!
//! Or an object serves all connections of a worker, by a function for each event: see
//! [`WebSocketHandler`](super::WebSocketHandler).
//! That suits servers with very many connections, most of which are at rest:
//!
//! | | An async function each | A handler object |
//! |---|---|---|
//! | A handler answers by | [`Request::websocket`] | [`Request::websocket_endpoint`] |
//! | The state of a connection | the function's variables | `WebSocketHandler::Data` |
//! | Sending from elsewhere | [`Sender`] | [`Peer`] |
//! | A connection at rest has | its function's future | no future and no task |
//! | and costs, beside an idle one of HTTP | some 200 bytes and the future | as much and the data |
//!
//! [`Request::websocket`]: super::Request::websocket
//! [`Request::websocket_endpoint`]: super::Request::websocket_endpoint
//!
//! # What goes on by itself
//!
//! The connection does its work whenever the function waits, whatever it waits for:
//!
//! - messages that were sent leave, those of one turn by one call: the answers to all messages that
//!   came in one piece leave in one piece;
//! - a ping is answered. After [`Options::ping_interval`] without a byte from the peer a ping is
//!   sent, and after [`Options::ping_timeout`] without an answer the connection ends;
//! - a close frame of the peer is answered. When the server stops, the peer is sent a close frame
//!   with [`CloseCode::GOING_AWAY`], or another [`Options::stop_code`]. Those of many connections
//!   are spread over half of the time until the deadline, so that their clients do not come back
//!   all at once: 1,000 a second, or as many more as that time asks for;
//! - a frame that breaks a rule is answered by a close frame with the code of that rule.
//!
//! At most one message is received before the function asks for it. So a peer that sends faster
//! than its messages are taken has to wait, and one that does not read makes
//! [`send`](WebSocket::send) wait.
//!
//! # The end
//!
//! | Ended by | `recv` returns | The peer is sent |
//! |---|---|---|
//! | a close frame of the peer | `Ok(None)` | the same code |
//! | [`close`](WebSocket::close) | `Ok(None)`, once the peer has answered | that code |
//! | the function, which returns `Ok(())` | | 1000 |
//! | the function, which returns an error | | 1011 |
//! | the server's stop | `Ok(None)`, once the peer has answered | 1001 |
//! | a frame that breaks a rule | [`Error::Protocol`] | 1002, 1007, 1008 or 1009 |
//! | the connection, which breaks or ends without a close frame | [`Error::Lost`] | |
//! | a ping without an answer | [`Error::PingTimeout`] | |
//! | a close frame without an answer | [`Error::CloseTimeout`] | |
//!
//! Handles that another task keeps find the end by [`closed`](Sender::closed). After a panic of the
//! function, the deadline of a stop or the end of a client's runtime they find
//! [`Error::Lost`] with [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted).
//!
//! The connection is closed when the function returns. It waits for the peer's close frame as long
//! as [`Options::close_timeout`] says, and drops messages that come meanwhile.
//!
//! It follows RFC 6455, and RFC 7692 (feature `compress`).
//!
//! # Limits
//!
//! Everything that a peer can make grow is limited: a message by
//! [`message_bytes_max`](Options::message_bytes_max), its fragments by
//! [`fragments_max`](Options::fragments_max), and the bytes that wait to be sent by
//! [`buffered_bytes_max`](Options::buffered_bytes_max). A connection at rest holds no buffer.
//!
//! A message has no time of its own: a peer that sends a byte now and then keeps its connection,
//! and the part of its message that has come.

// # How it works
//
// `connection.rs` has the state that all handles of a connection share. `connection/driving.rs` has
// its *driver*: the only code that receives, writes and looks at the clock, with the waker of the
// one task that polls it. At a server that is the tunnel, which the worker polls. It also polls the
// handler's function (`serving.rs`) or the calls of a handler object, which the server has: it
// receives until a message is complete, polls these, and then writes everything that was sent. So
// every operation of a handle is a change of memory, and dropping its future loses nothing. At a
// client it is a task of its own (`calling.rs`).
//
// Most connections are at rest: nothing of a frame is here, and nothing waits to be sent. Then
// there is no `Busy` (`busy.rs`), which has `incoming.rs`, where messages are put together, and
// `outgoing.rs`, which keeps frames until they are written. `pulse.rs` has the times; the worker
// polls a tunnel when they are due.

mod busy;
pub(super) mod calling;
mod close_info;
#[cfg(feature = "compress")]
mod compression;
mod connection;
mod error;
mod halves;
mod handle;
mod incoming;
pub(super) mod keys;
mod message;
mod options;
mod outgoing;
mod peer;
mod pulse;
pub(super) mod serving;
mod subscribing;
#[cfg(not(feature = "compress"))]
mod uncompressed;
mod web_socket;

pub use super::ws::{CloseCode, FrameError, Origins};
pub use close_info::CloseInfo;
pub use error::{Error, TrySendError};
pub use halves::{Receiver, Sender};
pub use message::Message;
pub use options::Options;
pub use peer::Peer;
pub use web_socket::WebSocket;

#[cfg(feature = "compress")]
use compression::Compression;
#[cfg(not(feature = "compress"))]
use uncompressed::Compression;
