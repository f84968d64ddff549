//! Connections that leave HTTP.

use annulus::http::{BodyWriter, Connection, HeaderValue, Request, Response, StatusCode, Upgraded};

use crate::client::{Client, GET};

#[test]
fn an_upgraded_connection_has_what_came_behind_the_request() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |request: Request| {
            assert_eq!(request.upgrades().collect::<Vec<_>>(), ["chat"]);
            Response::upgrade(HeaderValue::from_static("chat"), async |peer: Upgraded| {
                loop {
                    let bytes = peer.recv().await.unwrap();
                    if bytes.is_empty() {
                        return;
                    }
                    peer.write_all(bytes.to_ascii_uppercase()).await.unwrap();
                }
            })
        });
        client
            .send("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nahead")
            .await;
        let answer = client.until("AHEAD").await;
        assert!(
            answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
            "{answer}"
        );
        assert!(answer.contains("upgrade: chat\r\n") || answer.contains("Upgrade: chat\r\n"));
        client.send("more").await;
        client.until("MORE").await;
        client.shut_down().await;
        assert_eq!(client.rest().await, "");
    });
}

#[test]
fn an_upgrade_that_was_not_offered_is_answered_with_426() {
    const NONE: &str = "GET / HTTP/1.1\r\nHost: t\r\n";
    annulus::run(async {
        for (request, protocol, is_taken) in [
            ("Upgrade: chat\r\nConnection: upgrade", "chat", true),
            ("Upgrade: a, Chat\r\nConnection: x, Upgrade", "chat", true),
            (
                "Upgrade: chat/2, tls\r\nConnection: upgrade",
                "tls, chat/2",
                true,
            ),
            ("X: y", "chat", false),
            ("Upgrade: chat", "chat", false),
            ("Connection: upgrade", "chat", false),
            ("Upgrade: \r\nConnection: upgrade", "chat", false),
            (
                "Upgrade: other, chatter\r\nConnection: upgrade",
                "chat",
                false,
            ),
            ("Upgrade: chat\r\nConnection: upgrade", "chat/2", false),
            ("Upgrade: chat\r\nConnection: upgrade", "chat, tls", false),
            ("Connection: upgrade\r\nContent-Length: 4", "chat", false),
        ] {
            let mut client = Client::of(Connection::new(), async move |request: Request| {
                if request.path() == "/next" {
                    return Response::text("next");
                }
                Response::upgrade(HeaderValue::from_static(protocol), async |_: Upgraded| ())
            });
            let body = if request.contains("Length") {
                "body"
            } else {
                ""
            };
            client.send(format!("{NONE}{request}\r\n\r\n{body}")).await;
            let answer = client.until("\r\n\r\n").await.to_ascii_lowercase();
            let (status, next) = if is_taken {
                ("http/1.1 101 ", "")
            } else {
                client.until("found none\n").await;
                ("http/1.1 426 ", "next")
            };
            assert!(answer.starts_with(status), "{request}: {answer}");
            assert!(
                answer.contains(&format!("\r\nupgrade: {protocol}\r\n")),
                "{answer}"
            );
            assert!(answer.contains("\r\nconnection: upgrade\r\n"), "{answer}");
            if !is_taken {
                client
                    .send("GET /next HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
                    .await;
            }
            assert!(client.rest().await.ends_with(next), "{request}");
        }
        // HTTP/1.0 cannot offer one, and a tunnel that is called an upgrade names none.
        for (request, status) in [
            (
                "GET /chat HTTP/1.0\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n",
                426,
            ),
            (GET, 500),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 500),
        ] {
            let mut client = Client::of(Connection::new(), async |request: Request| {
                if request.path() == "/chat" {
                    return Response::upgrade(HeaderValue::from_static("chat"), async |_| ());
                }
                Response::tunnel(async |_| ()).with_status(StatusCode::SWITCHING_PROTOCOLS)
            });
            client.send(request).await;
            let answer = client.rest().await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            assert!(answer.contains("close\r\n"), "{answer}");
        }
    });
}

#[test]
fn a_connect_becomes_a_tunnel_and_without_one_is_refused() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |request: Request| {
            if request.target() == "no:1" {
                return Response::text("not a tunnel");
            }
            Response::tunnel(async |peer: Upgraded| {
                let bytes = peer.recv().await.unwrap();
                peer.write_all(bytes.to_vec()).await.unwrap();
            })
        });
        client
            .send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nping")
            .await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nping"));
        assert!(!answer.contains("Content-Length") && !answer.contains("Transfer-Encoding"));

        let mut client = Client::of(Connection::new(), async |_: Request| "no tunnel");
        client
            .send("CONNECT no:1 HTTP/1.1\r\nHost: no:1\r\n\r\n")
            .await;
        assert!(client.rest().await.starts_with("HTTP/1.1 501 "));
    });
}

#[test]
fn a_refused_connect_has_the_handler_s_answer_and_its_early_bytes_are_no_request() {
    annulus::run(async {
        for is_written in [false, true] {
            let mut client = Client::of(Connection::new(), async move |request: Request| {
                assert_eq!(
                    request.target(),
                    "no:1",
                    "bytes for the tunnel were a request"
                );
                let response = Response::text("not there").with_status(StatusCode::FORBIDDEN);
                if !is_written {
                    return response;
                }
                Response::writer(async |mut out: BodyWriter| out.write("not there").await)
                    .with_status(StatusCode::FORBIDDEN)
            });
            client
                .send(format!("CONNECT no:1 HTTP/1.1\r\nHost: no:1\r\n\r\n{GET}"))
                .await;
            let answer = client.rest().await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(answer.contains("not there"), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        }
    });
}

#[test]
fn a_connect_with_content_is_refused_and_its_bytes_are_no_tunnel_s() {
    annulus::run(async {
        for content in [
            "Content-Length: 5\r\n\r\nhello",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            let mut client = Client::of(Connection::new(), async |_: Request| -> Response {
                panic!("the handler is not asked")
            });
            client
                .send(format!(
                    "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{content}{GET}"
                ))
                .await;
            let answer = client.rest().await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer:?}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
        }
    });
}

#[test]
fn a_panic_in_a_tunnel_ends_the_connection_and_is_no_other_code_s() {
    annulus::run(async {
        let mut client = Client::of(Connection::new(), async |_: Request| {
            Response::upgrade(HeaderValue::from_static("t"), async |peer: Upgraded| {
                peer.write_all("first").await.unwrap();
                std::panic::resume_unwind(Box::new("a tunnel's panic"));
            })
        });
        client
            .send("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: t\r\nConnection: upgrade\r\n\r\n")
            .await;
        client.until("first").await;
        assert_eq!(client.rest().await, "");
    });
}
