//! [`Connector`]: opens the connections of hyper's clients.

#[cfg(not(feature = "tls"))]
mod no_tls;
#[cfg(feature = "tls")]
mod tls;

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::Uri;
#[cfg(not(feature = "tls"))]
use no_tls as tls;
use tower_service::Service;

use crate::{
    buf::Room,
    compat::Compat,
    io::{ByteRead, ByteStream, ByteWrite},
    net::TcpStream,
    pool::ManagedBuf,
    task::ThreadBound,
    time,
};

/// Opens the connections of hyper's clients: TCP for `http`, and TLS over it for `https`.
///
/// It is the `tower` service of URLs that hyper-util's client and tonic's `Channel` take. It is
/// `Send` and `Sync`, as they ask, and works on any thread with a runtime of this crate. A
/// connection stays on the thread that opened it.
///
/// The port is that of the URL, or 80 or 443. Addresses of a name are tried in turn. `https` needs
/// the feature `tls` beside `hyper`: then the system's authorities are trusted and no protocol is
/// negotiated, so the client speaks HTTP/1.1. `with_tls` takes another configuration, such as one
/// whose ALPN offers `h2`. Proxies and connections by Unix sockets are left to services of your
/// own.
///
/// # hyper-util
///
/// Its client asks for a trait of its own on the stream. A wrapper in your program has it, of
/// which `examples/ecosystem/src/legacy_connector.rs` in the repository is one to copy:
///
/// ```ignore
/// let connector = Connector::new().map_response(HyperUtilStream); // tower's ServiceExt
/// let client = Client::builder(Executor).pool_timer(Timer).build(connector);
/// let response = client.get("https://example.com/".parse()?).await?;
/// ```
///
/// # tonic
///
/// ```ignore
/// let endpoint = Endpoint::from_static("http://127.0.0.1:50051").executor(Executor);
/// let channel = endpoint.connect_with_connector(Connector::new()).await?;
/// ```
///
/// Without time limits of its own a channel needs no runtime of tokio's. With them, `Tokio::enter`
/// of the feature `tokio-context` is around the program.
///
/// # Errors
///
/// Of its future: `InvalidInput` for a URL without a host and for one that is neither `http` nor
/// `https`. `Unsupported` for `https` without the feature `tls`. `TimedOut` after the limit of
/// [`with_timeout`](Self::with_timeout). The errors of [`TcpStream::connect`] and of the handshake.
///
/// # Cancel safety
///
/// A connection that is being opened is closed when the future is dropped.
///
/// # Examples
///
/// ```
/// use annulus::{compat::hyper::Connector, net::TcpListener, spawn};
/// use hyper::Uri;
/// use tower_service::Service as _;
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let addr = listener.local_addr()?;
///     let accepting = spawn(async move { listener.accept().await });
///     let url: Uri = format!("http://{addr}/path").parse().expect("a URL");
///     let stream = Connector::new().call(url).await?;
///     assert_eq!(stream.get_ref().peer_addr(), addr);
///     assert!(!stream.get_ref().is_http2());
///     accepting.await.unwrap().map(drop)
/// })
/// # .unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Connector {
    tls: tls::Tls,
    timeout: Option<Duration>,
}

impl Connector {
    /// A connector with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails with `TimedOut` when a connection is not open after so long: the look-up of the name,
    /// all addresses and the handshake of TLS together. There is no limit without it.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn open(self, url: Uri) -> io::Result<Compat<ClientStream>> {
        let opening = self.open_without_limit(&url);
        match self.timeout {
            Some(timeout) => time::timeout(timeout, opening).await?,
            None => opening.await,
        }
    }

    async fn open_without_limit(&self, url: &Uri) -> io::Result<Compat<ClientStream>> {
        let (is_https, default_port) = match url.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(invalid("expected a URL of http or https")),
        };
        let host = url.host().unwrap_or_default();
        // A URL has brackets around an IPv6 address, and a socket address has none.
        let inside = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = inside.unwrap_or(host);
        if host.is_empty() {
            return Err(invalid("expected a URL with a host"));
        }
        let addr = (host, url.port_u16().unwrap_or(default_port));
        let stream = TcpStream::connect(addr).await?;
        let peer_addr = stream.peer_addr()?;
        let (stream, is_http2): (Box<dyn ByteStream>, bool) = if is_https {
            self.tls.connect(stream, host).await?
        } else {
            (Box::new(stream), false)
        };
        Ok(Compat::new(ClientStream {
            stream,
            peer_addr,
            is_http2,
        }))
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The future of a connection.
type Opening = ThreadBound<Pin<Box<dyn Future<Output = io::Result<Compat<ClientStream>>>>>>;

impl Service<Uri> for Connector {
    type Response = Compat<ClientStream>;
    type Error = io::Error;
    type Future = Opening;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Opening {
        ThreadBound::new(Box::pin(self.clone().open(url)))
    }
}

/// A connection that a [`Connector`] has opened.
pub struct ClientStream {
    stream: Box<dyn ByteStream>,
    peer_addr: SocketAddr,
    is_http2: bool,
}

impl ClientStream {
    /// Returns the server's address.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    /// Whether server and client have agreed on HTTP/2, by ALPN.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.is_http2
    }
}

impl ByteRead for ClientStream {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.stream.poll_recv(context)
    }

    fn poll_recv_into(
        &mut self,
        context: &mut Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        self.stream.poll_recv_into(context, room)
    }
}

impl ByteWrite for ClientStream {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(context)
    }
}

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientStream")
            .field("peer_addr", &self.peer_addr)
            .field("is_http2", &self.is_http2)
            .finish_non_exhaustive()
    }
}
