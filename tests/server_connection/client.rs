//! A client at the other end of a connection in memory.

use std::{future::poll_fn, task::Poll};

use annulus::{
    http::{self, BodyWriter, Connection, Handler, Request, Response},
    io::{Duplex, duplex},
    spawn, task,
};

/// The client's end of a connection whose other end `handler` serves.
pub(super) struct Client {
    pub(super) stream: Duplex,
    pub(super) received: Vec<u8>,
    pub(super) served: task::JoinHandle<()>,
}

impl Client {
    pub(super) fn of(connection: Connection, handler: impl Handler) -> Self {
        Self::with_room(64 * 1024, connection, handler)
    }

    pub(super) fn with_room(
        bytes_max: usize,
        connection: Connection,
        handler: impl Handler,
    ) -> Self {
        let (stream, far) = duplex(bytes_max);
        Self {
            stream,
            received: Vec::new(),
            served: spawn(connection.serve(far, handler)),
        }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Receives until `what` is there, and returns everything up to its end.
    pub(super) async fn until(&mut self, what: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            if let Some(at) = text.find(what) {
                let rest = self.received.split_off(at + what.len());
                let found = std::mem::replace(&mut self.received, rest);
                return String::from_utf8(found).unwrap();
            }
            assert!(
                self.receive().await > 0,
                "the end came before {what:?}: {text:?}"
            );
        }
    }

    pub(super) async fn receive(&mut self) -> usize {
        let piece = self.stream.recv().await.unwrap();
        self.received.extend_from_slice(&piece);
        piece.len()
    }

    /// Receives until the end.
    pub(super) async fn rest(&mut self) -> String {
        while self.receive().await > 0 {}
        String::from_utf8(std::mem::take(&mut self.received)).unwrap()
    }

    pub(super) async fn shut_down(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

impl Client {
    /// Whether something has come, without waiting for it.
    pub(super) async fn served_output(&mut self) -> bool {
        poll_fn(|context| {
            let Poll::Ready(piece) = self.stream.poll_recv(context) else {
                return Poll::Ready(false);
            };
            let piece = piece.unwrap();
            self.received.extend_from_slice(&piece);
            Poll::Ready(!piece.is_empty())
        })
        .await
    }
}

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

pub(super) fn writer(
    write: impl AsyncFn(BodyWriter) -> http::Result<()> + Clone + 'static,
) -> impl Handler {
    async move |_: Request| {
        let write = write.clone();
        Response::writer(async move |out| write(out).await)
    }
}
