//! The streams of the crate, each with its peer.

use std::{
    future::Future,
    io::{self, ErrorKind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use annulus::{
    ManagedBuf,
    io::{ByteRead, ByteStream, ByteWrite, duplex},
    net::{TcpStream, UnixStream},
};

use crate::{Near, support::pair};

/// A stream, how it is made, and how it tells that its peer has broken off.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) make: Make,
    /// The error of receiving then; none where there is only an end.
    pub(crate) broken: Option<ErrorKind>,
}

/// None where something is missing on this machine.
pub(crate) type Make = fn() -> Pin<Box<dyn Future<Output = Option<Ends>>>>;

/// A stream under test and its peer.
pub(crate) struct Ends {
    pub(crate) near: Near,
    pub(crate) far: Far,
}

/// The peer of a stream under test.
pub(crate) struct Far {
    pub(crate) stream: Box<dyn ByteStream>,
    tcp: Option<Rc<TcpStream>>,
}

impl Far {
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        let stream = Rc::new(stream);
        Self {
            stream: Box::new(Rc::clone(&stream)),
            tcp: Some(stream),
        }
    }

    pub(crate) fn other(stream: impl ByteStream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            tcp: None,
        }
    }

    /// The same connection with something on it.
    #[cfg(feature = "tls")]
    pub(crate) fn map<S: ByteStream + 'static>(
        self,
        wrap: impl FnOnce(Box<dyn ByteStream>) -> S,
    ) -> Self {
        Self {
            stream: Box::new(wrap(self.stream)),
            tcp: self.tcp,
        }
    }

    /// Ends the connection at once. A Unix socket does so when bytes were not received.
    pub(crate) fn break_off(self) {
        if let Some(tcp) = &self.tcp {
            tcp.set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

/// Names a kind, and how it is made, in which `await` may stand.
macro_rules! kind {
    ($name:literal, $make:expr, $broken:expr) => {
        crate::kinds::Kind {
            name: $name,
            make: || Box::pin(async { $make }),
            broken: $broken,
        }
    };
}
// Used by the streams of features.
#[cfg(any(
    feature = "http",
    feature = "tls",
    all(feature = "futures-io", feature = "hyper", feature = "tokio-io")
))]
pub(crate) use kind;

pub(crate) fn all() -> Vec<Kind> {
    const RESET: Option<ErrorKind> = Some(ErrorKind::ConnectionReset);
    #[cfg_attr(
        not(any(
            feature = "http",
            feature = "tls",
            all(feature = "futures-io", feature = "hyper", feature = "tokio-io")
        )),
        expect(unused_mut, reason = "the features add theirs")
    )]
    let mut kinds = vec![
        kind!("TcpStream", Some(plain(tcp().await)), RESET),
        kind!("UnixStream", Some(plain(unix())), RESET),
        kind!("Duplex", Some(plain(memory())), None),
        kind!("Rc<UnixStream>", Some(shared()), RESET),
        kind!("halves of TCP", Some(tcp_halves().await), RESET),
        kind!("halves of Unix", Some(unix_halves()), RESET),
    ];
    #[cfg(feature = "tls")]
    kinds.extend(crate::tls::kinds());
    #[cfg(feature = "http")]
    kinds.extend(crate::upgraded::kinds());
    #[cfg(all(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
    kinds.extend(crate::compat::kinds());
    kinds
}

pub(crate) async fn tcp() -> (TcpStream, Far) {
    let (near, far) = pair().await;
    (near, Far::tcp(far))
}

pub(crate) fn unix() -> (UnixStream, Far) {
    let (near, far) = UnixStream::pair().unwrap();
    (near, Far::other(far))
}

pub(crate) fn memory() -> (annulus::io::Duplex, Far) {
    let (near, far) = duplex(100_000);
    (near, Far::other(far))
}

pub(crate) fn plain<S: ByteStream + 'static>((near, far): (S, Far)) -> Ends {
    Ends {
        near: Box::new(near),
        far,
    }
}

fn shared() -> Ends {
    let (near, far) = unix();
    plain((Rc::new(near), far))
}

async fn tcp_halves() -> Ends {
    let (near, far) = tcp().await;
    let (read, write) = near.into_split();
    plain((Halves(read, write), far))
}

fn unix_halves() -> Ends {
    let (near, far) = unix();
    let (read, write) = near.into_split();
    plain((Halves(read, write), far))
}

/// The halves of a stream, joined again.
struct Halves<R, W>(R, W);

impl<R: ByteRead, W> ByteRead for Halves<R, W> {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.0.poll_recv(context)
    }
}

impl<R, W: ByteWrite> ByteWrite for Halves<R, W> {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.1.poll_write(context, bytes)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1.poll_shutdown(context)
    }
}
