//! Requests that open a WebSocket, and those that do not.

use annulus::http::{
    Connection, Request,
    websocket::{Options, Origins, WebSocket},
};

use super::{
    echoes,
    peer::{HANDSHAKE, Peer, TEXT},
};
use crate::{client::Client, support::run_each};

#[test]
fn a_request_that_opens_no_websocket_is_answered_by_the_rule_that_it_breaks() {
    annulus::run(async {
        let without = |field: &str| {
            let lines = HANDSHAKE.split_inclusive("\r\n");
            lines
                .filter(|line| !line.starts_with(field))
                .collect::<String>()
        };
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: test\r\n".to_owned(), 426),
            (without("Upgrade:"), 426),
            (HANDSHAKE.replace("13", "8"), 426),
            (without("Connection:"), 400),
            (without("Sec-WebSocket-Key:"), 400),
            (without("Sec-WebSocket-Version:"), 400),
            (HANDSHAKE.replace("dGhl", "dG"), 400),
            (HANDSHAKE.replace("GET", "OPTIONS"), 400),
            (format!("{HANDSHAKE}Content-Length: 1\r\n"), 400),
            (format!("{HANDSHAKE}Origin: https://evil.test\r\n"), 403),
            (format!("{HANDSHAKE}Sec-WebSocket-Protocol: a, a\r\n"), 400),
        ] {
            let mut client = Client::of(Connection::new(), echoes);
            client.send(format!("{request}\r\n")).await;
            if request.contains("Length") {
                client.send("x").await;
            }
            let head = client.until("\r\n\r\n").await.to_ascii_lowercase();
            assert!(
                head.starts_with(&format!("http/1.1 {status} ")),
                "{request}\n{head}"
            );
            client.until("found").await;
            let upgrade = head.contains("\r\nupgrade: websocket\r\n")
                && head.contains("\r\nsec-websocket-version: 13\r\n");
            assert_eq!(upgrade, status == 426, "{head}");
            client.until("\n").await;
            // It is an answer like any other.
            client.send(format!("{HANDSHAKE}\r\n")).await;
            let head = client.until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        }
    });
}

#[test]
fn the_first_subprotocol_that_both_speak_is_agreed_on() {
    run_each(async || {
        for (offer, agreed) in [
            ("Sec-WebSocket-Protocol: v1, v2, other\r\n", "v2"),
            (
                "Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: x\r\n",
                "v1",
            ),
            ("Sec-WebSocket-Protocol: other\r\n", "none"),
            ("", "none"),
        ] {
            let handler = async |request: Request| {
                let options = Options::new().subprotocols(["v2", "v1"]);
                request.websocket_with(&options, async |socket: WebSocket| {
                    assert!(socket.peer_addr().is_some());
                    socket.send(socket.protocol().unwrap_or("none")).await?;
                    Ok(())
                })
            };
            let mut peer = Peer::open_with(offer, handler).await;
            let head = peer.head.to_ascii_lowercase();
            let field = format!("sec-websocket-protocol: {agreed}\r\n");
            assert_eq!(head.contains(&field), agreed != "none", "{head}");
            assert_eq!(head.contains("sec-websocket-protocol"), agreed != "none");
            peer.expect(TEXT, agreed).await;
        }
    });
}

#[test]
fn the_pages_that_may_connect_can_be_named() {
    annulus::run(async {
        for (origins, is_taken) in [
            (Origins::Same, false),
            (Origins::List(vec!["https://app.test".to_owned()]), true),
            (Origins::Any, true),
        ] {
            let options = Options::new().origins(origins);
            let handler = async move |request: Request| {
                request.websocket_with(&options, async |_: WebSocket| Ok(()))
            };
            let mut client = Client::of(Connection::new(), handler);
            client
                .send(format!("{HANDSHAKE}Origin: https://app.test\r\n\r\n"))
                .await;
            let head = client.until("\r\n\r\n").await;
            assert_eq!(head.starts_with("HTTP/1.1 101 "), is_taken, "{head}");
        }
    });
}

#[test]
#[should_panic = "expected a token as subprotocol"]
fn a_subprotocol_that_no_client_can_ask_for_is_a_mistake() {
    drop(Options::new().subprotocols(["a b"]));
}
