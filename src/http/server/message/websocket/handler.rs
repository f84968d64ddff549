//! The trait of an object that serves many connections.

use std::future::{Future, ready};

use crate::http::{
    error::Result,
    websocket::{CloseInfo, Error, Message, Peer},
};

/// Serves the WebSockets of a [`WebSocketEndpoint`](super::WebSocketEndpoint): a call for each
/// event, and no task or future for a connection at rest.
///
/// The functions of one connection are called in turn, and its next message comes when the future
/// of the one before has ended: a peer that sends faster has to wait. Those of different
/// connections run beside one another. A future that is ready at its first poll costs no
/// allocation, one that waits is kept until its end.
///
/// A function that fails has its connection closed with [`INTERNAL_ERROR`], and the access log has
/// the error: see [`Request::websocket`](crate::http::Request::websocket). One that panics has it
/// cut. [`close`](Self::close) is called in any case.
///
/// [`INTERNAL_ERROR`]: crate::http::websocket::CloseCode::INTERNAL_ERROR
///
/// # Cancel safety
///
/// A future that waits is dropped when its connection is cut, by the deadline of the server's stop
/// for example. It goes on when the peer is gone, and its sends fail then.
///
/// # Examples
///
/// A room in which each message goes to all. A handler of HTTP checks who comes in, and gives the
/// connection its data:
///
/// ```no_run
/// use std::{cell::RefCell, collections::HashSet};
///
/// use annulus::http::{
///     self, Request, Router, Server, WebSocketEndpoint, WebSocketHandler,
///     websocket::{CloseInfo, Error, Message, Peer},
/// };
///
/// #[derive(Default)]
/// struct Room {
///     guests: RefCell<HashSet<Peer<String>>>,
/// }
///
/// impl Room {
///     fn tell_all(&self, text: &str) {
///         for guest in &*self.guests.borrow() {
///             // A guest who reads too slowly misses it.
///             let _ = guest.try_send(text);
///         }
///     }
/// }
///
/// impl WebSocketHandler for Room {
///     type Data = String;
///
///     async fn open(&self, guest: &Peer<String>) -> http::Result<()> {
///         self.guests.borrow_mut().insert(guest.clone());
///         self.tell_all(&format!("{} is here", guest.data()));
///         Ok(())
///     }
///
///     async fn message(&self, guest: &Peer<String>, message: Message) -> http::Result<()> {
///         let text = message.as_text().unwrap_or("?");
///         self.tell_all(&format!("{}: {text}", guest.data()));
///         Ok(())
///     }
///
///     fn close(&self, guest: &Peer<String>, _end: Result<&CloseInfo, Error>) {
///         self.guests.borrow_mut().remove(guest);
///         self.tell_all(&format!("{} has left", guest.data()));
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let router = || {
///     let room = WebSocketEndpoint::new(Room::default());
///     Router::new().get("/room/{name}", async move |request: Request| {
///         let name: String = request.param("name")?;
///         Ok::<_, http::Error>(request.websocket_endpoint(&room, name))
///     })
/// };
/// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
/// # }
/// ```
pub trait WebSocketHandler: 'static {
    /// The data of a connection, in its own record. It lives as long as a [`Peer`] of it.
    type Data: 'static;

    /// Begins a connection, before its first message. It does nothing by default.
    ///
    /// # Errors
    ///
    /// An error closes the connection.
    fn open(&self, peer: &Peer<Self::Data>) -> impl Future<Output = Result<()>> {
        let _ = peer;
        ready(Ok(()))
    }

    /// Takes a message.
    ///
    /// # Errors
    ///
    /// An error closes the connection.
    fn message(
        &self,
        peer: &Peer<Self::Data>,
        message: Message,
    ) -> impl Future<Output = Result<()>>;

    /// Notes that the server stops. The peer is sent a close frame with
    /// [`stop_code`](crate::http::websocket::Options::stop_code) next, unless this sends another
    /// one. It does nothing by default.
    fn stopping(&self, peer: &Peer<Self::Data>) {
        let _ = peer;
    }

    /// Ends a connection, once for each for which [`open`](Self::open) was called. Nothing can be
    /// sent any more. It does nothing by default.
    ///
    /// `end` has the close frame of the peer. Without one it tells how the connection ended, with
    /// [`Error::Lost`] and the kind
    /// [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted) when this server has cut it.
    fn close(&self, peer: &Peer<Self::Data>, end: std::result::Result<&CloseInfo, Error>) {
        let _ = (peer, end);
    }
}
