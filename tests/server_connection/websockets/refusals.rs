//! Handshakes of the client that open no WebSocket.

use std::time::Duration;

use annulus::{
    future::{join, race},
    http::{
        Client, Connection, StatusCode,
        client::{Error, ErrorKind},
        websocket::{Options, WebSocket},
    },
    net::TcpStream,
    spawn,
    sync::oneshot,
};

use super::{
    clients::{accept, accept_key},
    echoes,
};
use crate::support::{listen, run_each};

/// The outcome of a handshake that is answered with `answer`, where `ACCEPT` stands for the answer
/// to the key.
async fn answered(options: Options, answer: &str) -> Result<WebSocket, Error> {
    let (listener, addr) = listen().await;
    let client = Client::new();
    let request = client.websocket(format!("ws://{addr}/"));
    let server = async {
        let (stream, head) = accept(&listener).await;
        assert!(head.contains("sec-websocket-version: 13\r\n"), "{head}");
        let answer = answer.replace("ACCEPT", &accept_key(&head).await);
        stream.write_all(answer.into_bytes()).await.unwrap();
        stream
    };
    let (connected, _stream): (_, TcpStream) =
        join(request.options(&options).connect(), server).await;
    connected
}

#[test]
fn a_change_of_the_protocol_against_the_rules_is_an_error() {
    const BEGIN: &str = "HTTP/1.1 101 Switching Protocols\r\n";
    const FINE: &str = "Upgrade: websocket\r\nConnection: keep-alive, UPGRADE\r\n\
                        Sec-WebSocket-Accept: ACCEPT\r\n";
    let offering = Options::new().subprotocols(["a", "b"]);
    let cases = [
        ("", FINE, None),
        ("Sec-WebSocket-Protocol: b\r\n", FINE, None),
        (
            "",
            "Upgrade: websocket\r\nConnection: upgrade\r\n",
            Some("sec-websocket-accept"),
        ),
        (
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "Upgrade: websocket\r\nConnection: upgrade\r\n",
            Some("sec-websocket-accept"),
        ),
        // Twice.
        (
            "Sec-WebSocket-Accept: ACCEPT\r\n",
            FINE,
            Some("sec-websocket-accept"),
        ),
        ("Upgrade: h2c\r\n", FINE, Some("upgrade")),
        (
            "",
            "Upgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: ACCEPT\r\n",
            Some("connection"),
        ),
        ("Sec-WebSocket-Protocol: c\r\n", FINE, Some("subprotocol")),
        ("Sec-WebSocket-Protocol: B\r\n", FINE, Some("subprotocol")),
        (
            "Sec-WebSocket-Protocol: a, b\r\n",
            FINE,
            Some("subprotocol"),
        ),
        (
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n",
            FINE,
            Some("subprotocol"),
        ),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
            FINE,
            Some("extension"),
        ),
        (
            "Sec-WebSocket-Extensions: x-mine\r\n",
            FINE,
            Some("extension"),
        ),
        ("Sec-WebSocket-Extensions: =\r\n", FINE, Some("extensions")),
    ];
    run_each(async || {
        for (more, fields, word) in &cases {
            let answer = format!("{BEGIN}{fields}{more}\r\n");
            match (answered(offering.clone(), &answer).await, word) {
                (Ok(_), None) => {}
                (Err(error), Some(word)) => {
                    assert!(matches!(error.kind(), ErrorKind::WebSocket(_)), "{error}");
                    assert!(error.to_string().contains(word), "{error}");
                    assert!(error.response().is_none());
                }
                (result, _) => panic!("{answer}: {result:?}"),
            }
        }
    });
}

#[cfg(feature = "compress")]
#[test]
fn an_answer_to_the_offer_of_compression_follows_it() {
    const BEGIN: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                         Connection: upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n\
                         Sec-WebSocket-Extensions: permessage-deflate";
    let cases = [
        ("; server_no_context_takeover", true),
        (
            "; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9",
            true,
        ),
        // A server may tell the size of its window unasked.
        (
            "; server_no_context_takeover; server_max_window_bits=10",
            true,
        ),
        // It would refer to messages before.
        ("", false),
        (
            "; server_no_context_takeover; client_max_window_bits",
            false,
        ),
        (
            "; server_no_context_takeover; client_max_window_bits=7",
            false,
        ),
        ("; server_no_context_takeover; x", false),
        ("; server_no_context_takeover, permessage-deflate", false),
    ];
    run_each(async || {
        for (params, is_fine) in cases {
            let answer = format!("{BEGIN}{params}\r\n\r\n");
            let result = answered(Options::new().compression(true), &answer).await;
            assert_eq!(result.is_ok(), is_fine, "{params}");
        }
    });
}

#[test]
fn the_error_of_a_refused_handshake_has_the_response() {
    run_each(async || {
        let body = "x".repeat(100_000);
        for (answer, status, len) in [
            (
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 5\r\n\r\nlogin",
                StatusCode::UNAUTHORIZED,
                5,
            ),
            ("HTTP/1.1 204 No\r\n\r\n", StatusCode::NO_CONTENT, 0),
            // It is not followed.
            (
                "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                StatusCode::FOUND,
                0,
            ),
            (
                &format!("HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\n{body}"),
                StatusCode::SERVICE_UNAVAILABLE,
                64 * 1024,
            ),
        ] {
            let error = answered(Options::new(), answer).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoUpgrade(status));
            assert_eq!(error.status(), Some(status));
            let response = error.response().unwrap();
            assert_eq!((response.status(), response.body().len()), (status, len));
            let place = response.headers().get("location").is_some();
            assert_eq!(place, status == StatusCode::FOUND);
        }
        let refused = Client::new().websocket("ftp://a.test/").connect().await;
        assert!(matches!(refused.unwrap_err().kind(), ErrorKind::Url(_)));
        let twice = Options::new().subprotocols(["a", "a"]);
        let refused = Client::new().websocket("ws://a.test/").options(&twice);
        let refused = refused.connect().await;
        assert!(matches!(refused.unwrap_err().kind(), ErrorKind::Request(_)));
    });
}

/// Neither an answer that does not come nor a body that does not end.
#[test]
fn a_handshake_has_the_time_of_its_request() {
    run_each(async || {
        let (listener, addr) = listen().await;
        for answer in ["", "HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nbegin"] {
            let client = Client::new();
            let request = client.websocket(format!("ws://{addr}/"));
            let server = async {
                let (stream, _) = accept(&listener).await;
                stream.write_all(answer).await.unwrap();
                stream
            };
            let connect = request.timeout(Duration::from_millis(100)).connect();
            let (result, _stream) = join(connect, server).await;
            let error = result.unwrap_err();
            if answer.is_empty() {
                assert!(error.is_timeout(), "{error}");
            } else {
                assert_eq!(&error.response().unwrap().body()[..], b"begin");
            }
        }
    });
}

#[test]
fn a_handshake_that_is_dropped_closes_its_connection() {
    run_each(async || {
        let (listener, addr) = listen().await;
        let (tell, told) = oneshot::channel();
        let client = Client::new();
        let request = client.websocket(format!("ws://{addr}/"));
        let connect = async {
            drop(race(request.connect(), told).await);
        };
        let server = async {
            let (stream, _) = accept(&listener).await;
            tell.send(()).unwrap();
            while stream.recv().await.is_ok_and(|piece| !piece.is_empty()) {}
        };
        join(connect, server).await;
    });
}

#[test]
fn websockets_leave_the_pool_their_places() {
    run_each(async || {
        let (listener, addr) = listen().await;
        drop(spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(spawn(Connection::new().serve(stream, echoes)));
            }
        }));
        let client = Client::builder().connections_per_host_max(1).build();
        let url = format!("ws://{addr}/");
        let first = client.websocket(&url).connect().await.unwrap();
        let mut second = client.websocket(&url).connect().await.unwrap();
        assert_eq!(client.pool_state().opened, 2);
        second.send("here").await.unwrap();
        assert_eq!(second.recv().await, Ok(Some("here".into())));
        drop(first);
    });
}
