//! WebSockets of the client, with the server of this crate and with one by hand.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use annulus::{
    future::join,
    http::{
        Client, Connection, Handler, Request,
        websocket::{CloseCode, Error, FrameError, Message, Options, WebSocket},
    },
    io::duplex,
    net::{TcpListener, TcpStream},
    spawn, time,
};

use super::{echo, echoes, telling};
use crate::support::{listen, run_each};

/// Serves one connection, and returns the address to connect to.
async fn serve(handler: impl Handler) -> SocketAddr {
    let (listener, addr) = listen().await;
    drop(spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        Connection::new().serve(stream, handler).await;
    }));
    addr
}

/// Accepts a connection, receives the request and returns it.
pub(super) async fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(&stream.recv().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn messages_go_there_and_back() {
    run_each(async || {
        let addr = serve(echoes).await;
        let socket = Client::new()
            .websocket(format!("ws://{addr}/a?b"))
            .connect()
            .await;
        let mut socket = socket.unwrap();
        assert_eq!(socket.peer_addr(), Some(addr));
        assert_eq!(socket.protocol(), None);
        let large: Vec<u8> = (0..300_000_u32).map(|at| at as u8).collect();
        for message in ["text".into(), Message::from(""), Message::from(large)] {
            socket.send(message.clone()).await.unwrap();
            assert!(socket.recv().await.unwrap() == Some(message));
        }
        let info = socket.close(CloseCode::NORMAL, "done").await.unwrap();
        assert_eq!(info.code(), Some(CloseCode::NORMAL));
        assert!(info.is_answer());
        assert_eq!(socket.recv().await, Ok(None));
        assert_eq!(socket.send("late").await, Err(Error::Closed));
    });
}

#[test]
fn a_client_that_drops_its_socket_closes_it() {
    run_each(async || {
        let (tell, told) = telling();
        let handler = async move |request: Request| {
            let tell = tell();
            request.websocket(async move |mut socket: WebSocket| {
                let mut messages = Vec::new();
                while let Some(message) = socket.recv().await? {
                    messages.push(message);
                }
                drop(tell.send((messages, socket.close_info().cloned())));
                Ok(())
            })
        };
        let addr = serve(handler).await;
        let socket = Client::new()
            .websocket(format!("ws://{addr}/"))
            .connect()
            .await;
        let (sender, receiver) = socket.unwrap().split();
        drop(receiver);
        sender.send("last").await.unwrap();
        drop(sender);
        let (messages, info) = told.await.unwrap();
        assert_eq!(messages, ["last".into()]);
        assert_eq!(info.unwrap().code(), Some(CloseCode::NORMAL));
    });
}

#[test]
fn subprotocols_and_fields_reach_the_server() {
    run_each(async || {
        let handler = async |request: Request| {
            let options = Options::new().subprotocols(["b"]);
            let token = request.field("authorization").map(<[u8]>::to_vec);
            request.websocket_with(&options, async move |socket: WebSocket| {
                socket.send(token.unwrap_or_default()).await?;
                Ok(())
            })
        };
        let addr = serve(handler).await;
        let options = Options::new().subprotocols(["a", "b"]);
        let socket = Client::new()
            .websocket(format!("http://{addr}/"))
            .options(&options)
            .with_field("Authorization", "Bearer x")
            .timeout(Duration::from_secs(20))
            .connect()
            .await;
        let mut socket = socket.unwrap();
        assert_eq!(socket.protocol(), Some("b"));
        assert_eq!(socket.recv().await, Ok(Some(b"Bearer x".to_vec().into())));
        assert_eq!(socket.recv().await, Ok(None));
    });
}

#[test]
fn a_server_that_breaks_a_rule_or_leaves_is_found_out() {
    run_each(async || {
        for (bytes, error) in [
            (&b"\x81\x82keys.."[..], Error::Protocol(FrameError::Masked)),
            (b"\x81\x05hel", Error::Lost(io::ErrorKind::UnexpectedEof)),
        ] {
            let (listener, addr) = listen().await;
            let client = Client::new();
            let connect = client.websocket(format!("ws://{addr}/")).connect();
            let (socket, stream) = join(connect, async {
                let (stream, head) = accept(&listener).await;
                let accept = accept_key(&head).await;
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                // The first bytes may come with the answer.
                let bytes = [answer.as_bytes(), b"\x82\x01x", bytes].concat();
                stream.write_all(bytes).await.unwrap();
                stream.shutdown(Shutdown::Write).await.unwrap();
                stream
            })
            .await;
            let mut socket = socket.unwrap();
            assert_eq!(socket.recv().await, Ok(Some(b"x".to_vec().into())));
            assert_eq!(socket.recv().await, Err(error));
            drop(socket);
            let mut received = Vec::new();
            while let Ok(piece) = stream.recv().await {
                if piece.is_empty() {
                    break;
                }
                received.extend_from_slice(&piece);
            }
            match error {
                // A close frame, whose payload is masked.
                Error::Protocol(_) => {
                    assert_eq!(received[0], 0x88);
                    let code = [received[6] ^ received[2], received[7] ^ received[3]];
                    assert_eq!(u16::from_be_bytes(code), 1002);
                }
                _ => assert_eq!(received, b""),
            }
        }
    });
}

/// The answer to the key in a request, as this crate's server gives it.
pub(super) async fn accept_key(head: &str) -> String {
    let (near, far) = duplex(1 << 16);
    drop(spawn(Connection::new().serve(far, echoes)));
    near.write_all(head.as_bytes()).await.unwrap();
    let answer = String::from_utf8(near.recv().await.unwrap().to_vec()).unwrap();
    let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
    let field = lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"));
    field.unwrap().1.to_owned()
}

/// The times are those of a server's connections.
#[test]
fn a_silent_server_is_sent_a_ping() {
    annulus::run(async {
        let addr = serve(async |request: Request| request.websocket(echo)).await;
        let options = Options::new().ping_interval(Duration::from_millis(1));
        let client = Client::new();
        let socket = client
            .websocket(format!("ws://{addr}/"))
            .options(&options)
            .connect()
            .await;
        let mut socket = socket.unwrap();
        // Some pings later it is there.
        time::sleep(Duration::from_millis(10)).await;
        socket.send("here").await.unwrap();
        assert_eq!(socket.recv().await, Ok(Some("here".into())));
    });
}
