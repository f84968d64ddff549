//! A handler object with what its connections share.

use std::{fmt, rc::Rc};

use super::{WebSocketHandler, turn::Turn};
use crate::{http::websocket::Options, shrink::Spares};

/// A [`WebSocketHandler`] with the settings of its connections, for
/// [`Request::websocket_endpoint`](crate::http::Request::websocket_endpoint).
///
/// A clone is the same endpoint. It belongs to one thread, so each worker of a server has its own.
///
/// # Examples
///
/// A server that sends each message back:
///
/// ```no_run
/// use annulus::http::{
///     self, Request, Router, Server, WebSocketEndpoint, WebSocketHandler,
///     websocket::{Message, Options, Peer},
/// };
///
/// struct Echo;
///
/// impl WebSocketHandler for Echo {
///     type Data = ();
///
///     async fn message(&self, peer: &Peer, message: Message) -> http::Result<()> {
///         // It waits while the peer does not read, and no further message comes meanwhile.
///         peer.send(message).await?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let router = || {
///     let options = Options::new().message_bytes_max(64 << 10);
///     let echo = WebSocketEndpoint::new(Echo).options(options);
///     Router::new().get("/echo", async move |request: Request| {
///         request.websocket_endpoint(&echo, ())
///     })
/// };
/// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
/// # }
/// ```
pub struct WebSocketEndpoint<H: WebSocketHandler> {
    pub(super) served: Rc<Served<H>>,
    pub(super) options: Options,
}

/// The parts of an endpoint that its connections have.
pub(super) struct Served<H: WebSocketHandler> {
    pub(super) handler: Rc<H>,
    /// Turns that wait for a call.
    spare: Spares<Box<Turn<H>>>,
}

impl<H: WebSocketHandler> WebSocketEndpoint<H> {
    /// Makes an endpoint with the default [`Options`].
    #[must_use]
    pub fn new(handler: H) -> Self {
        Self {
            served: Rc::new(Served {
                handler: Rc::new(handler),
                spare: Spares::default(),
            }),
            options: Options::new(),
        }
    }

    /// Sets the settings of the connections that begin from now on.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Returns the handler.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.served.handler
    }
}

impl<H: WebSocketHandler> Served<H> {
    pub(super) fn take_turn(&self) -> Box<Turn<H>> {
        let spare = self.spare.take();
        spare.unwrap_or_else(|| Box::new(Turn::new(Rc::clone(&self.handler))))
    }

    /// Keeps a turn whose call has returned, unless there are many.
    pub(super) fn put_turn(&self, turn: Box<Turn<H>>) {
        drop(self.spare.put(turn));
    }
}

impl<H: WebSocketHandler> Clone for WebSocketEndpoint<H> {
    fn clone(&self) -> Self {
        Self {
            served: Rc::clone(&self.served),
            options: self.options.clone(),
        }
    }
}

impl<H: WebSocketHandler> fmt::Debug for WebSocketEndpoint<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketEndpoint")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
