//! Helpers that the tests of receiving share.

use std::{future::Future, time::Duration};

use crate::{
    DriverKind, Runtime,
    net::{TcpListener, TcpStream, socket::Socket},
    time,
};

/// Runs a test on both drivers, where there is a ring.
pub(super) fn run<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(async {
            let done = time::timeout(Duration::from_secs(60), test()).await;
            done.expect("the test does not hang");
        });
    }
}

/// A socket, and the stream at its other end.
pub(super) async fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (near, _) = listener.accept().await.unwrap();
    (near.into_socket(), far.unwrap())
}
