//! quinn on annulus, on both drivers.

use std::{net::SocketAddr, time::Duration};

use annulus::{DriverKind, Runtime, future::join, spawn, time};
use ecosystem::{
    http3,
    quic_echo::{Identity, accept, client, close, echo, exchange, server},
};
use quinn::{ConnectionError, Endpoint, VarInt};

const PROTOCOL: &[u8] = b"echo";

fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Runs a test on each driver.
fn run_each(test: impl AsyncFn()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        let guarded = async { time::timeout(Duration::from_secs(100), test()).await };
        let ended = runtime.block_on(guarded);
        ended.expect("the test does not hang");
    }
}

/// An echo server and a client that trusts it.
fn endpoints() -> (Endpoint, Endpoint, SocketAddr) {
    let identity = Identity::new().unwrap();
    let server = server(localhost(), &identity, PROTOCOL).unwrap();
    let addr = server.local_addr().unwrap();
    let client = client(identity.certificate, PROTOCOL).unwrap();
    (server, client, addr)
}

fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|index| (index * (seed + 3) / 7) as u8)
        .collect()
}

#[test]
fn a_mebibyte_on_each_of_eight_streams_comes_back() {
    run_each(async || {
        let (server, client, addr) = endpoints();
        let accepting = spawn({
            let server = server.clone();
            async move { accept(&server, echo).await }
        });
        let connection = client.connect(addr, "localhost").unwrap().await.unwrap();
        let exchanges = (0..8).map(|seed| {
            let connection = connection.clone();
            spawn(async move {
                let bytes = pattern(seed, 1 << 20);
                let answer = exchange(&connection, bytes.clone()).await.unwrap();
                assert!(answer == bytes, "stream {seed}");
            })
        });
        for exchange in exchanges.collect::<Vec<_>>() {
            exchange.await.unwrap();
        }
        drop(connection);
        // Both ends are closed, and nothing is left in the runtime.
        close(client).await;
        close(server).await;
        accepting.await.unwrap();
    });
}

#[test]
fn a_connection_that_a_server_closes_says_why() {
    run_each(async || {
        let (server, client, addr) = endpoints();
        let serving = async {
            let connection = server.accept().await.unwrap().await.unwrap();
            connection.close(VarInt::from_u32(7), b"no");
        };
        let connecting = async {
            let connection = client.connect(addr, "localhost").unwrap().await.unwrap();
            connection.closed().await
        };
        let (error, ()) = join(connecting, serving).await;
        match error {
            ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code, VarInt::from_u32(7));
                assert_eq!(&*close.reason, b"no");
            }
            error => panic!("{error}"),
        }
        join(close(client), close(server)).await;
    });
}

#[test]
fn a_server_that_shows_another_certificate_is_not_trusted() {
    run_each(async || {
        let (server, _, addr) = endpoints();
        let (_, client, _) = endpoints();
        let connecting = client.connect(addr, "localhost").unwrap();
        let accepting = async { server.accept().await.unwrap().await };
        let (connected, accepted) = join(connecting, accepting).await;
        let error = connected.err().unwrap();
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(accepted.is_err());
        join(close(client), close(server)).await;
    });
}

#[test]
fn a_runtime_that_ends_with_its_endpoints_under_way_ends_cleanly() {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        let (server, client, connection) = runtime.block_on(async {
            let (server, client, addr) = endpoints();
            let accepting = async { server.accept().await.unwrap().await.unwrap() };
            let connecting = client.connect(addr, "localhost").unwrap();
            let (connection, _) = join(connecting, accepting).await;
            (server, client, connection.unwrap())
        });
        drop(runtime);
        // Handles that are dropped later, and on another thread, are no harm.
        std::thread::spawn(move || drop((connection, client, server)))
            .join()
            .unwrap();
    }
}

#[test]
fn http3_answers() {
    run_each(async || {
        let identity = Identity::new().unwrap();
        let server = server(localhost(), &identity, http3::PROTOCOL).unwrap();
        let addr = server.local_addr().unwrap();
        let client = client(identity.certificate, http3::PROTOCOL).unwrap();
        let accepting = spawn({
            let server = server.clone();
            async move { accept(&server, http3::serve).await }
        });
        let connection = client.connect(addr, "localhost").unwrap().await.unwrap();
        let bodies = http3::get(connection, &["/", "/a/b?c"]).await.unwrap();
        assert_eq!(bodies, ["GET /\n", "GET /a/b\n"]);
        close(client).await;
        close(server).await;
        accepting.await.unwrap();
    });
}
