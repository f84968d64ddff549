//! `Compat` and the way back: every stream with every trait, on both drivers.
//!
//! That both keep the promises of `ByteRead` and `ByteWrite` is shown in `byte_streams`, which has
//! streams that go through each of the traits and back.

mod allocations;
mod connector;
mod storm;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod threads;
mod vectored;
mod ways_back;

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use support::counting::Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// A family of traits, so that a test is written once.
trait Family<S> {
    const NAME: &'static str;

    fn poll_read(
        stream: &mut S,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>>;

    fn poll_write(
        stream: &mut S,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>>;

    fn poll_write_vectored(
        stream: &mut S,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    fn poll_flush(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    fn poll_end(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    async fn read_exact(stream: &mut S, buf: &mut [u8]) {
        let mut filled = 0;
        while filled < buf.len() {
            let rest = &mut buf[filled..];
            let count = poll_fn(|context| Self::poll_read(stream, context, rest)).await;
            let count = count.unwrap();
            assert!(count > 0, "it ended after {filled} bytes");
            filled += count;
        }
    }

    async fn write_all(stream: &mut S, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = poll_fn(|context| Self::poll_write(stream, context, bytes)).await;
            bytes = &bytes[count.unwrap()..];
        }
        poll_fn(|context| Self::poll_flush(stream, context))
            .await
            .unwrap();
    }

    async fn read_to_end(stream: &mut S) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buf = [0; 1000];
        loop {
            let count = poll_fn(|context| Self::poll_read(stream, context, &mut buf)).await;
            match count.unwrap() {
                0 => return bytes,
                count => bytes.extend_from_slice(&buf[..count]),
            }
        }
    }
}

/// The methods that write, which have the same names and arguments in each family but for the end.
macro_rules! writes_by {
    ($poll_end:ident) => {
        fn poll_write(
            stream: &mut S,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(stream).poll_write(context, bytes)
        }

        fn poll_write_vectored(
            stream: &mut S,
            context: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(stream).poll_write_vectored(context, slices)
        }

        fn poll_flush(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(stream).poll_flush(context)
        }

        fn poll_end(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(stream).$poll_end(context)
        }
    };
}

/// tokio's traits.
struct Tokio;
/// Those of `futures-io`.
struct Futures;
/// hyper's.
struct Hyper;

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Sync + Unpin> Family<S> for Tokio {
    const NAME: &'static str = "tokio";

    fn poll_read(
        stream: &mut S,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = tokio::io::ReadBuf::new(buf);
        Pin::new(stream)
            .poll_read(context, &mut buf)
            .map_ok(|()| buf.filled().len())
    }

    writes_by!(poll_shutdown);
}

impl<S: futures_io::AsyncRead + futures_io::AsyncWrite + Send + Sync + Unpin> Family<S>
    for Futures
{
    const NAME: &'static str = "futures-io";

    fn poll_read(
        stream: &mut S,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_read(context, buf)
    }

    writes_by!(poll_close);
}

impl<S: hyper::rt::Read + hyper::rt::Write + Send + Sync + Unpin> Family<S> for Hyper {
    const NAME: &'static str = "hyper";

    fn poll_read(
        stream: &mut S,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = hyper::rt::ReadBuf::new(buf);
        Pin::new(stream)
            .poll_read(context, buf.unfilled())
            .map_ok(|()| buf.filled().len())
    }

    writes_by!(poll_shutdown);
}
