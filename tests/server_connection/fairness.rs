//! A connection that has something all the time leaves the others their turn.

use std::{
    cell::Cell,
    io,
    rc::Rc,
    task::{Context, Poll},
};

use annulus::{
    ManagedBuf,
    http::{self, Connection, Handler, HeaderValue, Request, Response},
    io::{ByteRead, ByteWrite},
    spawn,
    sync::Semaphore,
    task::yield_now,
};

use super::client::Client;

/// More than any poll does.
const MANY: usize = 10_000;

/// A client that sends `head` and then `rest` again and again, and takes every answer at once.
struct Endless {
    head: &'static str,
    rest: &'static str,
    /// The client leaves when this is set, or when it has sent its rest so often.
    is_over: Rc<Cell<bool>>,
    reads: Rc<Cell<usize>>,
}

impl ByteRead for Endless {
    fn poll_recv(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        if self.is_over.get() || self.reads.get() == MANY {
            return Poll::Ready(Ok(Vec::new().into()));
        }
        self.reads.set(self.reads.get() + 1);
        let head = std::mem::take(&mut self.head);
        let piece = if head.is_empty() { self.rest } else { head };
        Poll::Ready(Ok(piece.as_bytes().to_vec().into()))
    }
}

impl ByteWrite for Endless {
    fn poll_write(&mut self, _context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Serves an endless client until another task has had its turn.
async fn check(head: &'static str, rest: &'static str, handler: impl Handler) {
    let is_over = Rc::new(Cell::new(false));
    let reads = Rc::new(Cell::new(0));
    let endless = Endless {
        head,
        rest,
        is_over: Rc::clone(&is_over),
        reads: Rc::clone(&reads),
    };
    let served = spawn(Connection::new().serve(endless, handler));
    let other = spawn(async move { is_over.set(true) });
    served.await.unwrap();
    other.await.unwrap();
    assert!(reads.get() < MANY, "the other task has had no turn");
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_that_is_always_there_leaves_the_others_their_turn() {
    annulus::run(async {
        check(
            CHUNKED,
            "5\r\nhello\r\n",
            async |mut request: Request| -> http::Result<&str> {
                let mut body = request.take_body().limit(u64::MAX);
                while body.next().await?.is_some() {}
                Ok("")
            },
        )
        .await;
        check(
            CHUNKED,
            "5\r\nhello\r\n",
            async |mut request: Request| -> http::Result<&str> {
                let mut body = request.take_body().limit(u64::MAX);
                while !body.recv().await?.is_empty() {}
                Ok("")
            },
        )
        .await;
        check(
            CHUNKED,
            "5\r\nhello\r\n",
            async |mut request: Request| -> http::Result<&str> {
                let mut body = request.take_body().limit(u64::MAX);
                while let Some(piece) = futures_util::StreamExt::next(&mut body).await {
                    piece?;
                }
                Ok("")
            },
        )
        .await;
        // What the handler leaves is skipped.
        check(CHUNKED, "5\r\nhello\r\n", async |_: Request| "").await;
    });
}

#[test]
fn requests_without_an_end_leave_the_others_their_turn() {
    annulus::run(async {
        // Each piece ends within a head.
        check(
            "GET / HTTP/1.1\r\nHost",
            ": t\r\n\r\nGET / HTTP/1.1\r\nHost",
            async |_: Request| "",
        )
        .await;
        // Each piece is one of them.
        let request = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
        check(request, request, async |_: Request| "").await;
    });
}

#[test]
fn a_tunnel_that_is_always_ready_leaves_the_others_their_turn() {
    annulus::run(async {
        check(
            "GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: t\r\n\r\n",
            "hello",
            async |_: Request| -> http::Result<Response> {
                let protocol = HeaderValue::from_static("t");
                Ok(Response::upgrade(protocol, async |tunnel| {
                    while !tunnel.recv().await.unwrap().is_empty() {}
                }))
            },
        )
        .await;
    });
}

/// A handler that finds a semaphore free each time, and another connection of the same thread.
#[test]
fn a_handler_that_is_always_ready_leaves_other_connections_their_turn() {
    annulus::run(async {
        let is_over = Rc::new(Cell::new(false));
        let (over, other) = (Rc::clone(&is_over), Rc::clone(&is_over));
        let mut flood = Client::of(Connection::new(), async move |_: Request| {
            let semaphore = Semaphore::new(1);
            let mut count = 0;
            while !over.get() && count < MANY {
                drop(semaphore.acquire().await);
                count += 1;
            }
            format!("ends before many: {}", count < MANY)
        });
        let mut client = Client::of(Connection::new(), async move |_: Request| {
            other.set(true);
            "set"
        });
        flood.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        yield_now().await;
        client.until("set").await;
        flood.until("ends before many: true").await;
    });
}
