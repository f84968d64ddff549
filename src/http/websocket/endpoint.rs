//! A handler object with what its connections share.

mod attended;
mod turn;

use std::{fmt, rc::Rc};

pub(crate) use attended::attend;

use super::{Handler, Options};
use crate::shrink::Spares;
use turn::Turn;

/// A [`Handler`] with the settings of its connections, for
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
///     self, Request, Router, Server,
///     websocket::{Endpoint, Handler, Message, Options, Peer},
/// };
///
/// struct Echo;
///
/// impl Handler for Echo {
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
///     let echo = Endpoint::new(Echo).options(options);
///     Router::new().get("/echo", async move |request: Request| {
///         request.websocket_endpoint(&echo, ())
///     })
/// };
/// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
/// # }
/// ```
pub struct Endpoint<H: Handler> {
    served: Rc<Served<H>>,
    options: Options,
}

/// The parts of an endpoint that its connections have.
struct Served<H: Handler> {
    handler: Rc<H>,
    /// Turns that wait for a call.
    spare: Spares<Box<Turn<H>>>,
}

impl<H: Handler> Endpoint<H> {
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

    pub(crate) fn settings(&self) -> &Options {
        &self.options
    }
}

impl<H: Handler> Served<H> {
    fn take_turn(&self) -> Box<Turn<H>> {
        let spare = self.spare.take();
        spare.unwrap_or_else(|| Box::new(Turn::new(Rc::clone(&self.handler))))
    }
}

impl<H: Handler> Clone for Endpoint<H> {
    fn clone(&self) -> Self {
        Self {
            served: Rc::clone(&self.served),
            options: self.options.clone(),
        }
    }
}

impl<H: Handler> fmt::Debug for Endpoint<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
