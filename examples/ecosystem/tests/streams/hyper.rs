//! hyper's servers and clients, HTTP/1.1 and HTTP/2, and a connection that hyper has upgraded.

use std::{convert::Infallible, rc::Rc, time::Duration};

use annulus::{
    compat::{
        Compat, FromHyper,
        hyper::{Executor, Timer},
    },
    io::{ByteWrite as _, Reader},
    net::TcpStream,
    spawn,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1 as client1, http2 as client2},
    server::conn::{http1, http2},
    service::service_fn,
};

use crate::{listen, pattern, run_each};

type Answer = Result<Response<Full<Bytes>>, Infallible>;

/// Echoes the body. It holds a value that is not `Send`, as everything on this thread may.
async fn echo(request: Request<Incoming>) -> Answer {
    let here = Rc::new(request.method().to_string());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let response = Response::builder().header("x-method", here.as_str());
    Ok(response.body(Full::new(body)).unwrap())
}

async fn serve_http1(stream: TcpStream) {
    let connection = http1::Builder::new()
        .timer(Timer)
        .header_read_timeout(Duration::from_secs(10))
        .serve_connection(Compat::new(stream), service_fn(echo));
    connection.await.unwrap();
}

async fn serve_http2(stream: TcpStream) {
    let connection = http2::Builder::new(Executor)
        .timer(Timer)
        .keep_alive_interval(Duration::from_secs(10))
        .serve_connection(Compat::new(stream), service_fn(echo));
    connection.await.unwrap();
}

fn request(body: &[u8]) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri("http://localhost/")
        .header(header::HOST, "localhost")
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap()
}

async fn check(response: Response<Incoming>, sent: &[u8]) {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-method"], "POST");
    let echoed = response.into_body().collect().await.unwrap().to_bytes();
    assert!(echoed == sent, "{} bytes", echoed.len());
}

#[test]
fn http_1() {
    run_each(async || {
        let addr = listen(serve_http1).await;
        let stream = Compat::new(TcpStream::connect(&*addr).await.unwrap());
        let (mut client, connection) = client1::handshake(stream).await.unwrap();
        spawn(connection);
        for len in [0, 10, 100_000, 5_000_000] {
            let sent = pattern(len);
            client.ready().await.unwrap();
            let response = client.send_request(request(&sent)).await.unwrap();
            check(response, &sent).await;
        }
    });
}

#[test]
fn http_2_with_many_streams() {
    run_each(async || {
        let addr = listen(serve_http2).await;
        let stream = Compat::new(TcpStream::connect(&*addr).await.unwrap());
        let builder = client2::Builder::new(Executor).timer(Timer).clone();
        let (client, connection) = builder.handshake(stream).await.unwrap();
        spawn(connection);
        let tasks: Vec<_> = (0..100)
            .map(|index| {
                let mut client = client.clone();
                spawn(async move {
                    let sent = pattern(index * 5_000);
                    let response = client.send_request(request(&sent)).await.unwrap();
                    check(response, &sent).await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_request_that_is_dropped_in_http_2_costs_the_others_nothing() {
    run_each(async || {
        let addr = listen(serve_http2).await;
        let stream = Compat::new(TcpStream::connect(&*addr).await.unwrap());
        let builder = client2::Builder::new(Executor);
        let (mut client, connection) = builder.handshake(stream).await.unwrap();
        spawn(connection);
        for _ in 0..50 {
            let dropped = client.send_request(request(&pattern(300_000)));
            let _ = annulus::time::timeout(Duration::from_micros(300), dropped).await;
            let sent = pattern(1000);
            let response = client.send_request(request(&sent)).await.unwrap();
            check(response, &sent).await;
        }
    });
}

#[test]
fn a_connection_that_hyper_has_upgraded_is_a_stream_of_ours() {
    async fn upgrade(mut request: Request<Incoming>) -> Answer {
        spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let mut reader = Reader::new(FromHyper::new(upgraded));
            while let Some(line) = reader.read_line(100).await.unwrap() {
                let answer = format!("you said {line}\n");
                reader.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "lines");
        Ok(response.body(Full::default()).unwrap())
    }
    run_each(async || {
        let addr = listen(async |stream| {
            let connection =
                http1::Builder::new().serve_connection(Compat::new(stream), service_fn(upgrade));
            connection.with_upgrades().await.unwrap();
        })
        .await;
        let stream = Compat::new(TcpStream::connect(&*addr).await.unwrap());
        let (mut client, connection) = client1::handshake(stream).await.unwrap();
        spawn(connection.with_upgrades());
        let request = Request::builder()
            .header(header::HOST, "localhost")
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "lines")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        // The stream itself, and what was received after the head.
        let parts = upgraded.downcast::<Compat<TcpStream>>().unwrap();
        let (stream, unread) = parts.io.into_parts();
        let received = [&parts.read_buf[..], &unread[..]].concat();
        let mut reader = Reader::from_parts(stream, received);
        reader.get_mut().write_all(b"hello\n").await.unwrap();
        let line = reader.read_line(100).await.unwrap();
        assert_eq!(line.as_deref(), Some("you said hello"));
    });
}
