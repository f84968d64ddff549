//! A WebSocket in a handler of axum's on annulus's server, by tokio-tungstenite on both sides.

use std::{sync::mpsc, thread, time::Duration};

use annulus::{
    Cores,
    compat::{Compat, tower::TowerToHandler},
    http::{Server, fetch},
    net::TcpStream,
    time::timeout,
};
use axum::{Router, response::Response, routing::get};
use ecosystem::websocket::WebSocketHandshake;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(60);

/// Sends each message back.
async fn echo(handshake: WebSocketHandshake) -> Response {
    handshake.on_upgrade(async |mut socket| {
        // A ping is answered by the library.
        while let Some(Ok(message)) = socket.next().await {
            let is_data = message.is_text() || message.is_binary();
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Starts the server on a thread that ends with the process, and runs `test` with its address.
fn with_server(test: impl AsyncFnOnce(std::net::SocketAddr)) {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        Server::new()
            .listen("127.0.0.1:0")
            .cores(Cores::Count(1))
            .on_listening(move |addr| tell.send(addr).unwrap())
            .run_each(|| TowerToHandler::new(Router::new().route("/echo", get(echo))))
            .unwrap()
    });
    let addr = told.recv_timeout(BOUND).unwrap();
    annulus::run(async {
        let test = timeout(BOUND, test(addr));
        test.await.expect("the test does not hang");
    });
}

#[test]
fn messages_come_back() {
    with_server(async |addr| {
        let stream = Compat::new(TcpStream::connect(addr).await.unwrap());
        let url = format!("ws://{addr}/echo");
        let (mut socket, response) = client_async(url, stream).await.unwrap();
        assert_eq!(response.status(), 101);
        let large = "x".repeat(1 << 20);
        for text in ["", "hello", "\u{e9}", &large] {
            socket.send(Message::text(text)).await.unwrap();
            let answer = socket.next().await.unwrap().unwrap();
            assert_eq!(answer.into_text().unwrap().as_str(), text);
        }
        socket.send(Message::Ping(vec![1, 2].into())).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(answer, Message::Pong(vec![1, 2].into()));
        socket.close(None).await.unwrap();
        while let Some(message) = socket.next().await {
            assert!(message.unwrap().is_close());
        }
    });
}

#[test]
fn what_is_no_handshake_is_refused() {
    with_server(async |addr| {
        let response = fetch(format!("http://{addr}/echo")).await.unwrap();
        assert_eq!(response.status(), 426);
        assert_eq!(response.field("upgrade"), Some(&b"websocket"[..]));
        let stream = Compat::new(TcpStream::connect(addr).await.unwrap());
        let mut request = format!("ws://{addr}/echo").into_client_request().unwrap();
        let version = "7".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-version", version);
        let Err(Error::Http(refused)) = client_async(request, stream).await else {
            panic!("it was accepted");
        };
        assert_eq!(refused.status(), 400);
        assert_eq!(refused.headers()["sec-websocket-version"], "13");
    });
}
