//! A request that opens a WebSocket.

use std::{fmt, time::Duration};

use bytes::Bytes;

use super::{
    Client,
    error::{Error, ErrorKind, Result},
    request::Request,
    response::Response,
};
use crate::http::{
    HeaderName, HeaderValue,
    websocket::{Options, WebSocket, calling, keys::Keys, serving::Agreed},
    ws::{AnswerError, ClientHandshake},
};

impl Client {
    /// Begins to open a WebSocket. The URL begins with `ws` or `wss`, and `http` or `https` mean
    /// the same.
    ///
    /// TLS, DNS and times are those of the client's other requests. A proxy is asked for a tunnel
    /// (`CONNECT`), also for `ws`.
    ///
    /// Redirects are not followed, since the fields that authorize the request, and the messages,
    /// are for one server: the error has the response, with its `Location`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::Client;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut socket = Client::new().websocket("ws://127.0.0.1:8080/echo").connect().await?;
    /// socket.send("hello").await?;
    /// if let Some(message) = socket.recv().await? {
    ///     println!("{message:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn websocket(&self, url: impl AsRef<str>) -> WebSocketRequest {
        WebSocketRequest {
            request: self.get(http_url(url.as_ref())),
            options: Options::new(),
        }
    }
}

/// Bytes of a response's body that the error of a refused WebSocket keeps.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// The response that refused a WebSocket, with what comes of its body in time.
async fn refusal(mut response: Response) -> ::http::Response<Bytes> {
    let mut body = Vec::new();
    while body.len() < REFUSAL_BYTES_MAX {
        let Ok(Some(piece)) = response.next().await else {
            break;
        };
        let len = piece.len().min(REFUSAL_BYTES_MAX - body.len());
        body.extend_from_slice(&piece[..len]);
    }
    let mut refusal = ::http::Response::new(body.into());
    *refusal.status_mut() = response.status();
    *refusal.version_mut() = response.version();
    *refusal.headers_mut() = response.field_map();
    refusal
}

/// `url` with the scheme of HTTP in place of that of WebSocket.
fn http_url(url: &str) -> String {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let scheme = if scheme.eq_ignore_ascii_case("ws") {
        "http"
    } else if scheme.eq_ignore_ascii_case("wss") {
        "https"
    } else {
        return url.to_owned();
    };
    format!("{scheme}:{rest}")
}

/// A request that opens a WebSocket, and is not sent yet. Made by [`Client::websocket`], and sent
/// by [`connect`](Self::connect).
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{client::Client, websocket::Options};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = Client::new()
///     .websocket("wss://chat.test/rooms/7")
///     .options(&Options::new().subprotocols(["chat.v2"]))
///     .with_field("Authorization", "Bearer secret")
///     .connect()
///     .await?;
/// println!("{:?}", socket.protocol());
/// # Ok(())
/// # }
/// ```
#[must_use = "a request does nothing unless it is sent"]
pub struct WebSocketRequest {
    request: Request,
    options: Options,
}

impl WebSocketRequest {
    /// Sets the settings of the connection: subprotocols, limits, times, compression.
    pub fn options(mut self, options: &Options) -> Self {
        self.options = options.clone();
        self
    }

    /// Adds a field to the request, such as `Authorization` or `Origin`.
    pub fn with_field<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        self.request = self.request.with_field(name, value);
        self
    }

    /// Limits the time until the connection is open; `None` for no limit. 30 seconds by default.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.request = self.request.timeout(timeout);
        self
    }

    /// Opens the connection. A task of this runtime does its work until it is closed. It is closed
    /// with 1000 when the [`WebSocket`] and its halves are dropped.
    ///
    /// # Errors
    ///
    /// As [`Request::send`], [`ErrorKind::NoUpgrade`] when the server gives another answer, which
    /// [`Error::response`] has, and [`ErrorKind::WebSocket`] when it changes the protocol against
    /// the rules: the key is not answered, or a subprotocol or an extension was not offered.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed. The server may have accepted the WebSocket, and finds it lost.
    pub async fn connect(self) -> Result<WebSocket> {
        let settings = self.options.settings();
        let names: Vec<&str> = settings.subprotocols.iter().map(|name| &**name).collect();
        let keys = Keys::default();
        let handshake = ClientHandshake::new(keys.handshake_key(), &names, settings.compresses);
        let Ok(handshake) = handshake else {
            let text = "expected each subprotocol once, found one twice";
            return Err(Error::new(ErrorKind::Request(text)));
        };
        let fields = handshake.fields().into_iter();
        let request = fields.fold(self.request, |request, (name, value)| {
            request.with_field(name, value)
        });
        let request = request.redirects_max(0).upgrade("websocket");
        let response = request.send().await?;
        let agreement = match handshake.check(response.status(), response.head().fields()) {
            Ok(agreement) => agreement,
            Err(AnswerError::NotSwitched(status)) => {
                let error = Error::new(ErrorKind::NoUpgrade(status)).asking(response.url());
                return Err(error.answered_by(refusal(response).await));
            }
            Err(error) => {
                let kind = ErrorKind::WebSocket(error.message());
                return Err(Error::new(kind).asking(response.url()));
            }
        };
        let protocol = agreement.subprotocol;
        let agreed = Agreed {
            protocol: protocol.and_then(|protocol| self.options.place_of(&protocol)),
            deflate: agreement.deflate,
        };
        let stream = response.upgrade()?;
        Ok(calling::open(stream, agreed, self.options, keys))
    }
}

impl fmt::Debug for WebSocketRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketRequest")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
