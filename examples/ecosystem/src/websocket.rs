//! WebSockets in a handler of axum that runs on annulus's server.
//!
//! axum's own `WebSocketUpgrade` hands the connection to a task of tokio's, which hyper feeds. Here
//! the connection stays on the worker, and the socket is one of tokio-tungstenite.

use annulus::{
    compat::{Compat, tower::Upgrade},
    http::Upgraded,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

/// A connection that speaks WebSocket now.
pub type WebSocket = WebSocketStream<Compat<Upgraded>>;

/// The extractor of a handshake (RFC 6455, section 4.2). The handler answers by
/// [`on_upgrade`](Self::on_upgrade).
#[derive(Debug)]
pub struct WebSocketHandshake {
    offer: Upgrade,
    accept: String,
}

impl WebSocketHandshake {
    /// Accepts, and runs `use_it` with the socket, on this worker.
    pub fn on_upgrade<F>(self, use_it: F) -> Response
    where
        F: AsyncFnOnce(WebSocket) + 'static,
    {
        let protocol = HeaderValue::from_static("websocket");
        let mut response: Response = self.offer.respond(protocol, async move |upgraded| {
            let stream = Compat::new(upgraded);
            use_it(WebSocketStream::from_raw_socket(stream, Role::Server, None).await).await;
        });
        let accept = HeaderValue::try_from(self.accept).expect("base64 is a field's value");
        let fields = response.headers_mut();
        fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        response
    }
}

impl<S: Sync> FromRequestParts<S> for WebSocketHandshake {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let offer = parts.extensions.get::<Upgrade>().cloned();
        let is_websocket = |offer: &Upgrade| {
            let mut protocols = offer.protocols();
            protocols.any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
        };
        let Some(offer) = offer.filter(is_websocket) else {
            let upgrade = [(header::UPGRADE, "websocket")];
            return Err((StatusCode::UPGRADE_REQUIRED, upgrade).into_response());
        };
        let version = parts.headers.get(header::SEC_WEBSOCKET_VERSION);
        if version.is_none_or(|version| version != "13") {
            let version = [(header::SEC_WEBSOCKET_VERSION, "13")];
            return Err((StatusCode::BAD_REQUEST, version).into_response());
        }
        let Some(key) = parts.headers.get(header::SEC_WEBSOCKET_KEY) else {
            let text = "expected a Sec-WebSocket-Key, found none\n";
            return Err((StatusCode::BAD_REQUEST, text).into_response());
        };
        Ok(Self {
            offer,
            accept: derive_accept_key(key.as_bytes()),
        })
    }
}
