//! The bodies of requests and responses: sources of bytes that are not written to.

use std::{cell::Cell, future::pending};

use annulus::{
    future::join,
    http::{Client, Connection, Request, Response},
    io::{ByteRead, ByteStream, ByteWrite as _, duplex},
    spawn,
    sync::oneshot,
};

use crate::{
    Running, recv_once,
    support::{counted::Counted, listen, run_each, settle, until},
};

/// A body that is being received.
struct Receiving {
    name: &'static str,
    body: Box<dyn ByteRead>,
    peer: Box<dyn ByteStream>,
    /// Whether the peer frames its bytes as chunks. They end with the connection otherwise.
    is_chunked: bool,
}

impl Receiving {
    async fn send(&mut self, bytes: &[u8]) {
        let mut sent = bytes.to_vec();
        if self.is_chunked {
            sent.splice(..0, format!("{:x}\r\n", bytes.len()).into_bytes());
            sent.extend_from_slice(b"\r\n");
        }
        self.peer.write_all(&sent).await.unwrap();
    }

    async fn end(&mut self) {
        if self.is_chunked {
            self.peer.write_all(b"0\r\n\r\n").await.unwrap();
        } else {
            self.peer.shutdown().await.unwrap();
        }
    }
}

/// The body of a request, in a handler.
async fn request() -> Receiving {
    let (near, far) = duplex(10_000);
    let (tell, told) = oneshot::channel();
    let tell = Cell::new(Some(tell));
    let handler = async move |mut request: Request| {
        let tell = tell.take().expect("there is one request");
        drop(tell.send(request.take_body()));
        pending::<Response>().await
    };
    drop(spawn(Connection::new().serve(near, handler)));
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    far.write_all(head).await.unwrap();
    Receiving {
        name: "a request's body",
        body: Box::new(told.await.unwrap()),
        peer: Box::new(far),
        is_chunked: true,
    }
}

/// The body of a response, in the client.
async fn response(is_chunked: bool) -> Receiving {
    let (listener, addr) = listen().await;
    let client = Client::new();
    let asking = client.get(format!("http://{addr}/")).send();
    let answering = async {
        let (far, _) = listener.accept().await.unwrap();
        drop(far.recv().await.unwrap());
        let framing = if is_chunked {
            "Transfer-Encoding: chunked"
        } else {
            "Connection: close"
        };
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        far.write_all(head).await.unwrap();
        far
    };
    let (response, far) = join(asking, answering).await;
    Receiving {
        name: "a response's body",
        body: Box::new(response.unwrap().reader().into_parts().0),
        peer: Box::new(far),
        is_chunked,
    }
}

/// Runs a test over each body, on both drivers.
fn each(test: impl AsyncFn(Receiving)) {
    run_each(async || {
        for receiving in [request().await, response(true).await, response(false).await] {
            let _running = Running(receiving.name);
            test(receiving).await;
        }
    });
}

#[test]
fn a_dropped_poll_of_a_body_is_woken_and_the_bytes_wait_for_the_next() {
    each(async |mut receiving| {
        let (first, polled) = (Counted::new(), Counted::new());
        for _ in 0..3 {
            assert!(recv_once(&mut receiving.body, &mut first.context()).is_pending());
            assert!(recv_once(&mut receiving.body, &mut polled.context()).is_pending());
            let before = polled.count();
            settle().await;
            assert_eq!(polled.count(), before, "nothing has come");
            receiving.send(b"hello").await;
            until(|| polled.count() > before).await;
            assert_eq!(&*receiving.body.recv().await.unwrap(), b"hello");
        }
        assert_eq!(first.count(), 0, "the last waker took its place");
    });
}

#[test]
fn the_end_of_a_body_wakes_a_dropped_poll_and_is_told_again() {
    each(async |mut receiving| {
        let polled = Counted::new();
        receiving.send(b"last").await;
        assert_eq!(&*receiving.body.recv().await.unwrap(), b"last");
        assert!(recv_once(&mut receiving.body, &mut polled.context()).is_pending());
        let before = polled.count();
        receiving.end().await;
        until(|| polled.count() > before).await;
        for _ in 0..3 {
            assert!(receiving.body.recv().await.unwrap().is_empty());
        }
    });
}
