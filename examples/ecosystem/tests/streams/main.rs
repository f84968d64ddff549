//! Libraries that take a stream, on streams of annulus.

mod codec;
mod futures_rustls;
mod h2;
mod hyper;
mod legacy_client;
mod websocket;

use std::{future::Future, time::Duration};

use annulus::{
    DriverKind, Runtime,
    net::{TcpListener, TcpStream},
    time,
};

/// Runs a test on both drivers. One that hangs fails.
fn run_each(mut test: impl AsyncFnMut()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(async {
            let ended = time::timeout(Duration::from_secs(100), test()).await;
            ended.expect("the test does not hang");
        });
    }
}

/// Accepts connections and gives each to `serve`, in a task of its own. Returns the address.
async fn listen<F: Future + 'static>(serve: impl Fn(TcpStream) -> F + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    annulus::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            annulus::spawn(serve(stream));
        }
    });
    addr
}

/// Bytes that tell where they come from.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}
