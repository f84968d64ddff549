//! The settings of a connection.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{CloseCode, Origins};
use crate::http::ws::Limits;

/// Bytes that may wait to be sent.
const BUFFERED_BYTES_MAX: usize = 64 * 1024;
/// Silence of a peer after which it is sent a ping.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// The time for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for the answer to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The least message that is compressed: smaller ones seldom become smaller.
const COMPRESSED_BYTES_MIN: usize = 256;

/// The settings of a WebSocket, for a server's
/// [`Request::websocket_with`](crate::http::Request::websocket_with) and a client's
/// [`WebSocketRequest::options`](crate::http::client::WebSocketRequest::options).
///
/// A clone is cheap: all clones share their memory until one of them is changed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use annulus::http::{Request, Response, websocket::{Options, Origins, WebSocket}};
///
/// fn options() -> Options {
///     Options::new()
///         .origins(Origins::List(vec!["https://chat.example".to_owned()]))
///         .subprotocols(["chat.v2", "chat.v1"])
///         .message_bytes_max(64 * 1024)
///         .ping_interval(Duration::from_secs(20))
/// }
///
/// async fn chat(request: Request, options: Options) -> Response {
///     request.websocket_with(&options, async |socket: WebSocket| {
///         let version = socket.protocol().unwrap_or("chat.v1");
///         socket.send(format!("you speak {version}")).await?;
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    settings: Arc<Settings>,
}

impl Default for Options {
    fn default() -> Self {
        // Connections that ask for no others share these.
        static DEFAULT: OnceLock<Arc<Settings>> = OnceLock::new();
        Self {
            settings: Arc::clone(DEFAULT.get_or_init(Arc::default)),
        }
    }
}

/// The settings as the connection has them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) origins: Origins,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) buffered_bytes_max: usize,
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) stop_code: CloseCode,
    /// Whether messages may be compressed. It stays false without the feature.
    pub(crate) compresses: bool,
    pub(crate) compressed_bytes_min: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            origins: Origins::default(),
            subprotocols: Vec::new(),
            limits: Limits::default(),
            buffered_bytes_max: BUFFERED_BYTES_MAX,
            ping_interval: PING_INTERVAL,
            ping_timeout: PING_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
            stop_code: CloseCode::GOING_AWAY,
            compresses: false,
            compressed_bytes_min: COMPRESSED_BYTES_MIN,
        }
    }
}

impl Options {
    /// The settings that [`Request::websocket`](crate::http::Request::websocket) uses.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The place of a subprotocol among those that are spoken.
    pub(crate) fn place_of(&self, protocol: &str) -> Option<u8> {
        let mut names = (0..=u8::MAX).zip(&self.settings.subprotocols);
        names.find_map(|(place, name)| (name == protocol).then_some(place))
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Sets the pages that may open a connection; those of the server itself by default. A client
    /// does not use it.
    #[must_use]
    pub fn origins(self, origins: Origins) -> Self {
        self.with(|settings| settings.origins = origins)
    }

    /// Sets the subprotocols that are spoken, those that are liked best first. The first one that
    /// the client speaks, too, is agreed on, and [`WebSocket::protocol`](super::WebSocket::protocol)
    /// tells it. When there is none, the connection begins without one. A client offers them, and
    /// the server chooses.
    ///
    /// # Panics
    ///
    /// When a name is no token, which no client can ask for, and when there are more than 256.
    #[must_use]
    pub fn subprotocols<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let count = names.len();
        assert!(
            count <= 256,
            "expected at most 256 subprotocols, found {count}"
        );
        for name in &names {
            assert!(
                crate::http::h1::is_token(name.as_bytes()),
                "expected a token as subprotocol, found {name:?}"
            );
        }
        self.with(|settings| settings.subprotocols = names)
    }

    /// Limits the bytes of a received message, all its fragments together; of a compressed one,
    /// when it is inflated. 1 MiB by default. A peer that exceeds it is sent a close frame with
    /// 1009 when the header of the frame is here, before the message itself.
    #[must_use]
    pub fn message_bytes_max(self, bytes_max: u64) -> Self {
        self.with(|settings| settings.limits.message_bytes_max = bytes_max)
    }

    /// Limits the fragments of a received message; 1,024 by default. A peer that exceeds it is sent
    /// a close frame with 1008.
    #[must_use]
    pub fn fragments_max(self, fragments_max: u32) -> Self {
        self.with(|settings| settings.limits.fragments_max = fragments_max)
    }

    /// Limits the bytes that wait to be sent, beside those that the kernel holds; 64 KiB by
    /// default. With more than that [`send`](super::WebSocket::send) waits, and
    /// [`try_send`](super::WebSocket::try_send) fails. One message may exceed it.
    #[must_use]
    pub fn buffered_bytes_max(self, bytes_max: usize) -> Self {
        self.with(|settings| settings.buffered_bytes_max = bytes_max)
    }

    /// Sets for how long a peer may be silent until it is sent a ping; 30 s by default. With
    /// [`Duration::MAX`] there are no pings.
    #[must_use]
    pub fn ping_interval(self, interval: Duration) -> Self {
        self.with(|settings| settings.ping_interval = interval)
    }

    /// Sets how long a peer has after a ping for its answer, or for any other byte; 10 s by
    /// default. The connection ends then, with [`Error::PingTimeout`](super::Error::PingTimeout).
    /// Bytes that wait to be received count as an answer, and the time begins when the ping is
    /// written: a slow peer takes the bytes before it first.
    #[must_use]
    pub fn ping_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.ping_timeout = timeout)
    }

    /// Sets how long a peer has for its answer to a close frame; 5 s by default. The connection
    /// ends then, with [`Error::CloseTimeout`](super::Error::CloseTimeout). As long as the peer
    /// takes messages that were sent before, the time begins anew.
    #[must_use]
    pub fn close_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.close_timeout = timeout)
    }

    /// Sets the code of the close frame that the peer is sent when the server stops;
    /// [`GOING_AWAY`](CloseCode::GOING_AWAY) by default. With
    /// [`SERVICE_RESTART`](CloseCode::SERVICE_RESTART) clients know that they may come back soon. A
    /// client's connection has no server.
    #[must_use]
    pub fn stop_code(self, code: CloseCode) -> Self {
        self.with(|settings| settings.stop_code = code)
    }
}
