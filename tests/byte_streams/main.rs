//! The promises of `ByteRead` and `ByteWrite`, kept by every stream of the crate on both drivers.
//!
//! A test is one function, which runs over each stream of the table in `kinds.rs`. Bodies of HTTP,
//! which are only read, have a table of their own. What only TCP has to show is in
//! `api/poll_doors.rs`.

#[cfg(feature = "http")]
mod bodies;
#[cfg(all(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
mod compat;
mod kinds;
mod reading;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "http")]
mod upgraded;
mod writing;

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    thread,
};

use annulus::{
    buf::Room,
    io::{ByteRead, ByteStream, ByteWrite as _},
};

use kinds::{Ends, Far, Kind};
use support::{at_least, run_each, to_end};

/// A stream under test.
type Near = Box<dyn ByteStream>;

/// Names the stream whose test fails.
struct Running(&'static str);

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the stream is {}", self.0);
        }
    }
}

/// Runs a test over each stream, on both drivers.
fn each(test: impl AsyncFn(&Kind, Near, Far)) {
    run_each(async || {
        for kind in kinds::all() {
            let Some(Ends { mut near, mut far }) = (kind.make)().await else {
                continue;
            };
            let _running = Running(kind.name);
            // What TLS says after its handshake comes with the first data.
            far.stream.write_all(b"begin").await.unwrap();
            assert_eq!(recv_exact(&mut near, 5).await, b"begin");
            near.write_all(b"begin").await.unwrap();
            assert_eq!(recv_exact(&mut far.stream, 5).await, b"begin");
            test(&kind, near, far).await;
        }
    });
}

/// Receives so many bytes, which is all that was sent.
async fn recv_exact(stream: &mut Box<dyn ByteStream>, len: usize) -> Vec<u8> {
    let bytes = at_least(len, async || stream.recv().await).await;
    assert_eq!(bytes.len(), len, "more came than was sent");
    bytes
}

/// Receives to the end.
async fn recv_to_end(stream: &mut Box<dyn ByteStream>) -> Vec<u8> {
    to_end(async || stream.recv().await).await
}

/// Receives in a future that is dropped after its first poll, by the waker of `context`.
fn recv_once(stream: &mut impl ByteRead, context: &mut Context<'_>) -> Poll<Vec<u8>> {
    let recv = std::pin::pin!(stream.recv());
    recv.poll(context).map(|piece| piece.unwrap().into_vec())
}

/// Receives into lent memory of `bytes_max` bytes, or what comes instead.
async fn recv_into(stream: &mut impl ByteRead, bytes_max: usize) -> io::Result<Vec<u8>> {
    poll_fn(|context| {
        let mut memory = vec![0; bytes_max];
        let (received, filled) =
            Room::lend(&mut memory, |room| stream.poll_recv_into(context, room));
        received.map_ok(|received| match received {
            Some(piece) => {
                assert_eq!(filled, 0, "the bytes come in one way");
                piece.into_vec()
            }
            None => {
                assert!(filled > 0, "there are bytes");
                memory.truncate(filled);
                memory
            }
        })
    })
    .await
}
