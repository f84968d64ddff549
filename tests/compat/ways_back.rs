//! Streams of other libraries as ours.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use annulus::{
    compat::{Compat, FromFutures, FromHyper, FromTokio},
    http::{Connection, Request},
    io::{ByteRead, ByteStream, ByteWrite, Reader, duplex},
    spawn,
};

use crate::support::run_each;

/// A stream of tokio's kind that does what its script says.
#[derive(Default)]
struct Scripted {
    reads: VecDeque<io::Result<&'static [u8]>>,
    writes: VecDeque<io::Result<usize>>,
}

impl tokio::io::AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(match self.reads.pop_front() {
            Some(Ok(bytes)) => {
                buf.put_slice(bytes);
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        })
    }
}

impl tokio::io::AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        _bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.writes.pop_front().unwrap_or(Ok(0)))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }
}

#[test]
fn errors_and_the_end_are_those_of_the_stream() {
    annulus::run(async {
        let mut stream = FromTokio::new(Scripted {
            reads: [
                Ok(&b"ab"[..]),
                Err(io::ErrorKind::ConnectionReset.into()),
                Ok(b"c"),
            ]
            .into(),
            writes: [Ok(2), Err(io::ErrorKind::BrokenPipe.into())].into(),
        });
        assert_eq!(&*stream.recv().await.unwrap(), b"ab");
        let error = stream.recv().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(&*stream.recv().await.unwrap(), b"c");
        for _ in 0..2 {
            assert!(stream.recv().await.unwrap().is_empty());
        }
        let error = stream.write_all(b"abc").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        // One that takes nothing would be asked for ever.
        let error = stream.write_all(b"abc").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        assert_eq!(
            poll_fn(|context| stream.poll_write(context, b""))
                .await
                .unwrap(),
            0
        );
        let error = stream.shutdown().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        assert!(stream.get_ref().reads.is_empty());
        stream.get_mut().reads.push_back(Ok(b"d"));
        assert_eq!(stream.into_inner().reads.len(), 1);
    });
}

/// A request to our own server by our own lines, over streams of another kind.
async fn serve<S: ByteStream + 'static, T: ByteStream + 'static>(near: S, far: T) {
    let handler = async |request: Request| format!("you asked for {}\n", request.path());
    let server = spawn(Connection::new().serve(far, handler));
    let mut reader = Reader::new(near);
    let question = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(question).await.unwrap();
    let first = reader.read_line(100).await.unwrap();
    assert_eq!(first.as_deref(), Some("HTTP/1.1 200 OK"));
    let rest = reader.read_to_end(10_000).await.unwrap();
    assert!(rest.ends_with(b"\r\n\r\nyou asked for /hello\n"));
    // The server waits for this end.
    drop(reader);
    server.await.unwrap();
}

#[test]
fn http_and_a_reader_run_over_streams_of_other_libraries() {
    run_each(async || {
        let (near, far) = duplex(50);
        let (near, far) = (Compat::new(near), Compat::new(far));
        serve(FromTokio::new(near), FromHyper::new(far)).await;
        let (near, far) = duplex(50);
        let (near, far) = (Compat::new(near), Compat::new(far));
        serve(FromFutures::new(near), FromTokio::new(far)).await;
    });
}
