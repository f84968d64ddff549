//! Streams of TLS without HTTP, in memory.

use std::{
    cell::RefCell,
    future::{Future as _, poll_fn},
    io::{self, Read as _, Write as _},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use annulus::{
    io::{Duplex, duplex},
    net::TcpStream,
    task,
    tls::{self, Config, TlsStream, Version, rustls::ServerConnection},
};

use crate::{
    server::TlsServer,
    support::{
        certificates::Certificates,
        http::ok,
        run_each,
        tls::{Kind, each_version, trusting},
    },
};

/// The server's side of a connection in memory. It sends back what it gets, by itself.
struct Echo {
    tls: ServerConnection,
    stream: Duplex,
    /// Whether the client has said that it has finished.
    has_finished: Rc<RefCell<bool>>,
}

impl Echo {
    fn start(certificates: &Certificates, kind: &Kind, stream: Duplex) -> Rc<RefCell<bool>> {
        let has_finished = Rc::default();
        let mut echo = Self {
            tls: ServerConnection::new(kind.config(certificates)).unwrap(),
            stream,
            has_finished: Rc::clone(&has_finished),
        };
        echo.tls.set_buffer_limit(None);
        drop(task::spawn(async move {
            echo.serve()
                .await
                .expect("a client in memory breaks no rule");
        }));
        has_finished
    }

    async fn serve(&mut self) -> io::Result<()> {
        let mut data = vec![0; 1 << 16];
        loop {
            while self.tls.wants_write() {
                let mut out = Vec::new();
                self.tls.write_tls(&mut out)?;
                self.stream.write_all(&out).await?;
            }
            match self.tls.reader().read(&mut data) {
                Ok(0) => {
                    *self.has_finished.borrow_mut() = true;
                    return Ok(());
                }
                Ok(count) => {
                    self.tls.writer().write_all(&data[..count])?;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let records = self.stream.recv().await?;
            if records.is_empty() {
                return Ok(());
            }
            let mut rest = &records[..];
            while !rest.is_empty() {
                self.tls.read_tls(&mut rest)?;
                self.tls.process_new_packets().map_err(io::Error::other)?;
            }
        }
    }
}

fn config(certificates: &Certificates) -> Config {
    trusting(certificates).alpn(["echo"]).build().unwrap()
}

fn kinds() -> [Kind; 2] {
    [Kind::tls12(), Kind::tls13()].map(|kind| Kind {
        alpn: &["echo"],
        ..kind
    })
}

async fn connect(
    certificates: &Certificates,
    kind: &Kind,
    config: &Config,
    bytes_max: usize,
) -> (TlsStream, Rc<RefCell<bool>>) {
    let (near, far) = duplex(bytes_max);
    let has_finished = Echo::start(certificates, kind, far);
    let stream = tls::connect(near, "other.test", config).await.unwrap();
    (stream, has_finished)
}

#[test]
fn a_stream_tells_what_was_agreed_on() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let versions = [Version::Tls12, Version::Tls13];
    for (kind, version) in kinds().into_iter().zip(versions) {
        run_each(async || {
            let config = config(certificates);
            for (index, is_resumed) in [false, true].into_iter().enumerate() {
                let (mut stream, has_finished) =
                    connect(certificates, &kind, &config, 1 << index << 10).await;
                assert_eq!(stream.version(), Some(version));
                assert_eq!(stream.alpn(), Some(&b"echo"[..]));
                assert_eq!(stream.peer_certificates().len(), 1);
                stream.write_all(b"hello").await.unwrap();
                assert_eq!(&*stream.recv().await.unwrap(), b"hello");
                // Each of these servers has keys of its own for tickets.
                assert!(!stream.is_resumed() || is_resumed);
                stream.shutdown().await.unwrap();
                stream.shutdown().await.unwrap();
                let error = stream.write_all(b"more").await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                while !*has_finished.borrow() {
                    task::yield_now().await;
                }
            }
        });
    }
}

/// Polls a future once, and drops it.
macro_rules! poll_once {
    ($future:expr) => {{
        let mut future = pin!($future);
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }};
}

#[test]
fn reads_and_writes_that_are_dropped_lose_nothing() {
    const LEN: usize = 300_000;
    let Some(certificates) = Certificates::get() else {
        return;
    };
    let data: Vec<u8> = (0..LEN)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect();
    for kind in kinds() {
        // Smaller than a record's header, than a record, and larger.
        for bytes_max in [3, 1000, 70_000] {
            run_each(async || {
                let config = config(certificates);
                let (mut stream, _) = connect(certificates, &kind, &config, bytes_max).await;
                let (mut sent, mut received) = (0, Vec::new());
                let mut dropped = 0;
                while received.len() < LEN {
                    // Each future is polled once and dropped, whatever it says.
                    if sent < LEN {
                        let end = LEN.min(sent + 1 + sent % 9973);
                        let write = poll_fn(|cx| stream.poll_write(cx, &data[sent..end]));
                        match poll_once!(write) {
                            Poll::Ready(count) => sent += count.unwrap(),
                            Poll::Pending => dropped += 1,
                        }
                    } else {
                        let flush = poll_fn(|cx| stream.poll_flush(cx));
                        dropped += usize::from(poll_once!(flush).is_pending());
                    }
                    match poll_once!(stream.recv()) {
                        Poll::Ready(bytes) => received.extend_from_slice(&bytes.unwrap()),
                        Poll::Pending => dropped += 1,
                    }
                    task::yield_now().await;
                }
                assert!(received == data);
                assert!(dropped > 0, "{dropped}");
            });
        }
    }
}

#[test]
fn a_stream_over_a_socket_ends_with_a_word_or_with_an_error() {
    each_version(|certificates, kind| {
        for cuts in [false, true] {
            let server = TlsServer::new(certificates, &kind, move |conn| {
                conn.send(ok("hello"))?;
                if cuts { conn.cut() } else { conn.finish() }
            });
            run_each(async || {
                let config = trusting(certificates).build().unwrap();
                let stream = TcpStream::connect(server.addr).await.unwrap();
                let mut stream = tls::connect(stream, "localhost", &config).await.unwrap();
                assert_eq!(&*stream.recv().await.unwrap(), ok("hello").as_bytes());
                match stream.recv().await {
                    Ok(data) => assert!(data.is_empty() && !cuts),
                    Err(error) => {
                        assert!(cuts, "{error}");
                        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                    }
                }
                if !cuts {
                    assert!(stream.recv().await.unwrap().is_empty());
                    // The other direction is still open.
                    stream.write_all(b"bye").await.unwrap();
                }
            });
        }
    });
}

#[test]
fn what_is_no_name_is_told() {
    let Some(certificates) = Certificates::get() else {
        return;
    };
    run_each(async || {
        for name in ["", "a b", "[::1", "-"] {
            let (near, _far) = duplex(1);
            let error = tls::connect(near, name, &config(certificates))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    });
}
