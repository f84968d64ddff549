//! WebSockets of the client through TLS and through proxies.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use annulus::{
    http::{
        Client, Connection, Request,
        client::Proxy,
        websocket::{CloseCode, WebSocket},
    },
    net::TcpListener,
    spawn,
};

use crate::{
    routes::open_tunnel,
    server::{TlsServer, pass_on, plain},
    support::{
        certificates::Certificates,
        run_each,
        tls::{Kind, trusting},
    },
};

/// Serves an echo in this runtime.
async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let echo = async |mut socket: WebSocket| {
                while let Some(message) = socket.recv().await? {
                    socket.send(message).await?;
                }
                Ok(())
            };
            let handler = async move |request: Request| request.websocket(echo);
            drop(spawn(Connection::new().serve(stream, handler)));
        }
    }));
    addr
}

/// Sends messages there and back: small ones, one of many records, and the close.
async fn play(client: &Client, url: &str) {
    let mut socket = client.websocket(url).connect().await.unwrap();
    let large: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    for message in [b"".to_vec(), b"hello".to_vec(), large] {
        socket.send(&*message).await.unwrap();
        let back = socket.recv().await.unwrap().unwrap();
        assert!(back.as_bytes() == message, "{url}: {}", message.len());
    }
    let info = socket.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(info.is_answer());
}

#[test]
fn they_go_through_tls_and_through_the_tunnels_of_proxies() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let echo = Arc::new(Mutex::new(None));
    let target = Arc::clone(&echo);
    let secure = TlsServer::new(certificates, &Kind::default(), move |conn| {
        let addr: SocketAddr = target.lock().unwrap().unwrap();
        conn.pass_on(TcpStream::connect(addr)?)
    });
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heads);
    let proxy = plain(move |mut near| {
        let far = open_tunnel(&mut near, &log, None)?;
        let (client, server) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || pass_on(client, server, 4096));
        pass_on(far, near, 4096);
        Ok(())
    });
    run_each(async || {
        let addr = serve().await;
        *echo.lock().unwrap() = Some(addr);
        let builder = || Client::builder().tls(trusting(certificates).build().unwrap());
        let through = Proxy::all(format!("http://us:er@{proxy}")).unwrap();
        let (direct, proxied) = (builder().build(), builder().proxy(through).build());
        let wss = format!("wss{}", secure.url("/").strip_prefix("https").unwrap());
        let ws = format!("ws://{addr}/");
        play(&direct, &wss).await;
        play(&proxied, &wss).await;
        play(&proxied, &ws).await;
        let heads = std::mem::take(&mut *heads.lock().unwrap());
        for (head, target) in heads.iter().zip([secure.addr, addr]) {
            assert!(
                head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")),
                "{head}"
            );
            assert!(
                head.to_ascii_lowercase()
                    .contains("\r\nproxy-authorization: basic ")
            );
        }
        assert_eq!(heads.len(), 2);
    });
}
