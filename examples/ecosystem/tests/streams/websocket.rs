//! WebSockets by tokio-tungstenite: over a socket, and over a connection that our server has handed
//! over.

use annulus::{
    compat::Compat,
    http::{Connection, HeaderValue, Request, Response, StatusCode, Upgraded, header},
    net::TcpStream,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use crate::{listen, pattern, run_each};

/// Sends every message back.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    while let Some(message) = socket.next().await {
        match message.unwrap() {
            Message::Close(_) => break,
            message => socket.send(message).await.unwrap(),
        }
    }
}

async fn talk(addr: &str) {
    let stream = Compat::new(TcpStream::connect(addr).await.unwrap());
    let (mut socket, _) = client_async(format!("ws://{addr}/"), stream).await.unwrap();
    for len in [0, 1, 125, 126, 65_536, 3_000_000] {
        let sent = Message::binary(pattern(len));
        socket.send(sent.clone()).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap() == sent, "{len} bytes");
    }
    socket.send(Message::text("hello")).await.unwrap();
    let text = socket.next().await.unwrap().unwrap();
    assert_eq!(text.to_text().unwrap(), "hello");
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}

#[test]
fn over_a_socket() {
    run_each(async || {
        let addr = listen(async |stream| {
            echo(accept_async(Compat::new(stream)).await.unwrap()).await;
        })
        .await;
        talk(&addr).await;
    });
}

#[test]
fn over_a_connection_that_our_server_has_upgraded() {
    async fn answer(request: Request) -> Response {
        let Some(key) = request.field("sec-websocket-key") else {
            return Response::new(StatusCode::BAD_REQUEST);
        };
        let accept = HeaderValue::try_from(derive_accept_key(key)).unwrap();
        let protocol = HeaderValue::from_static("websocket");
        Response::upgrade(protocol, async |peer: Upgraded| {
            let peer = Compat::new(peer);
            echo(WebSocketStream::from_raw_socket(peer, Role::Server, None).await).await;
        })
        .with_field(header::SEC_WEBSOCKET_ACCEPT, accept)
    }
    run_each(async || {
        let addr = listen(|stream| Connection::new().serve(stream, answer)).await;
        talk(&addr).await;
    });
}
