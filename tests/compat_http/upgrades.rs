//! Services that take the connection over.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use annulus::{
    compat::tower::{TowerToHandler, Upgrade},
    http::{Connection, HeaderValue},
    io::{Reader, duplex},
    spawn,
};
use tower_service::Service;

use crate::{body, status, support::run_each, talk};

/// Changes to `echo`, or opens a tunnel that answers in capitals.
#[derive(Clone)]
struct Echo;

impl<B> Service<::http::Request<B>> for Echo {
    type Response = ::http::Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<B>) -> Self::Future {
        let Some(offer) = request.extensions().get::<Upgrade>() else {
            return ready(Ok(::http::Response::new("no offer".to_owned())));
        };
        if offer.is_connect() {
            return ready(Ok(offer.tunnel(async |upgraded| {
                let bytes = upgraded.recv().await.unwrap();
                upgraded
                    .write_all(bytes.to_ascii_uppercase())
                    .await
                    .unwrap();
            })));
        }
        let offered: Vec<_> = offer.protocols().collect();
        let offered = HeaderValue::try_from(offered.join(" ")).unwrap();
        let mut response = offer.respond(HeaderValue::from_static("echo"), async |upgraded| {
            while let Ok(bytes) = upgraded.recv().await {
                if bytes.is_empty() || upgraded.write_all(bytes).await.is_err() {
                    return;
                }
            }
        });
        response.headers_mut().insert("x-offered", offered);
        ready(Ok(response))
    }
}

#[test]
fn a_service_answers_over_the_connection_that_left_http() {
    run_each(async || {
        let (near, far) = duplex(1 << 16);
        let served = spawn(Connection::new().serve(far, TowerToHandler::new(Echo)));
        let head =
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other, echo\r\n\r\n";
        // The first bytes come with the request.
        near.write_all(format!("{head}one").as_bytes())
            .await
            .unwrap();
        let mut reader = Reader::new(&near);
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.extend(reader.read_until(b'\n', 1 << 10).await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status(&answer), 101, "{answer}");
        assert!(answer.contains("x-offered: other echo\r\n"), "{answer}");
        assert_eq!(reader.read_exact(3).await.unwrap(), b"one");
        near.write_all(&b"two"[..]).await.unwrap();
        assert_eq!(reader.read_exact(3).await.unwrap(), b"two");
        drop(reader);
        drop(near);
        served.await.unwrap();
    });
}

#[test]
fn a_protocol_that_was_not_offered_is_refused() {
    run_each(async || {
        let ask = async |fields: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            talk(TowerToHandler::new(Echo), &head).await
        };
        let answer = ask("Connection: close, upgrade\r\nUpgrade: other").await;
        assert_eq!(status(&answer), 426, "{answer}");
        let answer = ask("Connection: close\r\nUpgrade: echo").await;
        assert_eq!((status(&answer), body(&answer)), (200, "no offer"));
    });
}

#[test]
fn a_connect_is_a_tunnel() {
    run_each(async || {
        let request = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nbytes";
        let answer = talk(TowerToHandler::new(Echo), request).await;
        assert_eq!((status(&answer), body(&answer)), (200, "BYTES"));
    });
}
