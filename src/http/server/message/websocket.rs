//! Answers a request by a WebSocket.

mod attended;
mod endpoint;
mod handler;
mod turn;

use std::{any::Any, error};

pub use endpoint::WebSocketEndpoint;
pub use handler::WebSocketHandler;

use super::{request::Request, response::Response};
use crate::http::{
    HeaderValue, StatusCode,
    error::{Error, Result},
    transport::tunnelled::{Departed, Tunnelled},
    websocket::{
        self, Options, WebSocket,
        serving::{self, Agreed, UserError},
    },
    ws::{Handshake, HandshakeError},
};
use attended::attend;

impl Request {
    /// Answers by a WebSocket, and hands it to `use_it`, with the default [`Options`]. It is closed
    /// when that returns.
    ///
    /// A request that does not open a WebSocket is answered by an error instead, and `use_it` is
    /// dropped: 426 when it asks for none or for another version, 403 when it comes from a page of
    /// another server, and 400 when it breaks another rule of RFC 6455.
    ///
    /// When `use_it` fails, the client is sent the code 1011. The
    /// [access log](crate::http::Server::access_log) and the request's span have the error, beside
    /// the status 101, when the connection has ended. The failure of the connection itself, such as
    /// a client that has vanished, is there with the status 400: the client's fault.
    ///
    /// A function that keeps the request keeps its head and the memory of the exchange that has
    /// answered it, some KiB, as long as the connection lives. One that takes what it needs before
    /// leaves both to other requests.
    ///
    /// The module [`websocket`](crate::http::websocket) tells the rest.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::{Request, Router, Server, websocket::WebSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let router = || {
    ///     Router::new().get("/greet", async |request: Request| {
    ///         request.websocket(async |mut socket: WebSocket| {
    ///             while let Some(message) = socket.recv().await? {
    ///                 let name = message.as_text().unwrap_or("you");
    ///                 socket.send(format!("hello, {name}")).await?;
    ///             }
    ///             Ok(())
    ///         })
    ///     })
    /// };
    /// Server::new().listen("127.0.0.1:8080").run_each(router).map(drop)
    /// # }
    /// ```
    #[must_use]
    pub fn websocket<F>(&self, use_it: F) -> Response
    where
        F: AsyncFnOnce(WebSocket) -> Result<()> + 'static,
    {
        self.websocket_with(&Options::new(), use_it)
    }

    /// Answers by a WebSocket with these settings: see [`websocket`](Self::websocket).
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Request, Response, websocket::{Options, WebSocket}};
    ///
    /// async fn upload(request: Request, options: Options) -> Response {
    ///     request.websocket_with(&options, async |mut socket: WebSocket| {
    ///         let mut bytes = 0;
    ///         while let Some(message) = socket.recv().await? {
    ///             bytes += message.as_bytes().len();
    ///         }
    ///         println!("{bytes} bytes");
    ///         Ok(())
    ///     })
    /// }
    ///
    /// let options = Options::new().message_bytes_max(64 << 20);
    /// # let _ = (upload, options);
    /// ```
    #[must_use]
    pub fn websocket_with<F>(&self, options: &Options, use_it: F) -> Response
    where
        F: AsyncFnOnce(WebSocket) -> Result<()> + 'static,
    {
        self.open_websocket(options, |departed, agreed, options| {
            serving::serve(departed, agreed, options, use_it)
        })
    }

    /// Answers by a WebSocket that the object of `endpoint` serves: see [`WebSocketHandler`]. The
    /// connection has `data`.
    ///
    /// A request that does not open a WebSocket is answered as by [`websocket`](Self::websocket),
    /// and `data` is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{
    ///     self, Request, Response, WebSocketEndpoint, WebSocketHandler,
    ///     websocket::{Message, Peer},
    /// };
    ///
    /// struct Greeter;
    ///
    /// impl WebSocketHandler for Greeter {
    ///     type Data = String;
    ///
    ///     async fn message(&self, peer: &Peer<String>, _: Message) -> http::Result<()> {
    ///         peer.send(format!("hello, {}", peer.data())).await?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// async fn greet(request: Request, greeter: &WebSocketEndpoint<Greeter>) -> Response {
    ///     let name = request.field("user").unwrap_or(b"you");
    ///     let name = String::from_utf8_lossy(name).into_owned();
    ///     request.websocket_endpoint(greeter, name)
    /// }
    /// ```
    #[must_use]
    pub fn websocket_endpoint<H: WebSocketHandler>(
        &self,
        endpoint: &WebSocketEndpoint<H>,
        data: H::Data,
    ) -> Response {
        self.open_websocket(&endpoint.options, attend(endpoint, data))
    }

    /// Answers by a WebSocket that `serve` serves.
    fn open_websocket<F>(&self, options: &Options, serve: F) -> Response
    where
        F: FnOnce(Departed, Agreed, Options) -> Box<dyn Tunnelled> + 'static,
    {
        let settings = options.settings();
        let handshake = match Handshake::check(self.head(), &settings.origins) {
            Ok(handshake) => handshake,
            Err(error) => return refuse(error),
        };
        let names: Vec<&str> = settings.subprotocols.iter().map(|name| &**name).collect();
        let protocol = handshake.choose_subprotocol(&names);
        let acceptance = handshake.accept(protocol, settings.compresses);
        let agreed = Agreed {
            protocol: protocol.and_then(|protocol| options.place_of(protocol)),
            deflate: acceptance.deflate,
        };
        let options = options.clone();
        let make = Box::new(move |departed| serve(departed, agreed, options));
        let response = Response::upgrade_by(HeaderValue::from_static("websocket"), make);
        let fields = acceptance.fields().into_iter();
        fields.fold(response, |response, (name, value)| {
            response.with_field(name, value)
        })
    }
}

impl UserError for Error {
    /// Code that returns the failure of its connection has done nothing wrong: its client has, or
    /// is gone.
    fn told(self, failure: Option<websocket::Error>) -> Box<dyn Any> {
        let cause = error::Error::source(&self).and_then(|cause| cause.downcast_ref());
        Box::new(match (failure, cause) {
            (Some(failure), Some(cause)) if failure == *cause => {
                Self::new(StatusCode::BAD_REQUEST, "a WebSocket has failed").with_source(failure)
            }
            _ => self,
        })
    }
}

/// The answer to a request that opens no WebSocket.
fn refuse(error: HandshakeError) -> Response {
    let answer = Response::text(format!("{error}\n")).with_status(error.status());
    let fields = error.fields().into_iter();
    fields.fold(answer, |answer, (name, value)| {
        answer.with_field(name, value)
    })
}
