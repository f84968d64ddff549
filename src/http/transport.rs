//! The stream that HTTP is spoken over.

#[cfg(feature = "tls")]
mod carrier;
pub(crate) mod closing;
mod file;
pub(crate) mod input;
#[cfg(feature = "tls")]
#[path = "transport/tls.rs"]
pub(crate) mod layer;
#[cfg(not(feature = "tls"))]
#[path = "transport/no_tls.rs"]
mod layer;
mod other;
mod plain;
pub(crate) mod proxied;
#[cfg(feature = "http2")]
mod streamed;
pub(crate) mod tunnelled;
pub(crate) mod upgraded;

use std::{
    cell::Cell,
    fmt,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    net::{Shutdown, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use layer::Layer;
use other::Other;

use crate::{
    budget,
    buf::{Interleaved, IoBuf, IoVectored, Room, slices_of},
    driver,
    future::Either,
    http::trusted_proxies::Peer,
    io::{ByteStream, ByteWrite as _},
    net::{AnyStream, Flood, GoneWait, Outbox, SendAll, Socket},
    pool::ManagedBuf,
    sys::TcpBytes,
};

/// The stream that HTTP is spoken over: one of this crate's sockets, or any [`ByteStream`].
///
/// It is made by `From`, and functions that take a connection take what turns into one.
pub struct Transport(Kind);

/// The two arms of [`AnyStream`]. A socket lies in an idle connection itself, without an allocation
/// and a count of references; another stream is shared with the writes on it.
enum Kind {
    Socket {
        socket: Socket,
        empty_line_count: Cell<u32>,
    },
    Other(Rc<Other>),
}

/// The reason why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "tls"),
    expect(dead_code, reason = "TLS makes the other two")
)]
pub(crate) enum Broken {
    /// Its client does not speak TLS.
    Plain,
    /// The proxy has sent no header of the PROXY protocol.
    ProxyHeader,
    /// Its client has broken TLS, or refused something by it, and knows why.
    Told,
    /// Its client has agreed on HTTP/2 in its handshake, and begins with something else.
    Preface,
}

impl From<Socket> for Transport {
    fn from(socket: Socket) -> Self {
        Self(Kind::Socket {
            socket,
            empty_line_count: Cell::new(0),
        })
    }
}

impl<S: ByteStream + 'static> From<S> for Transport {
    fn from(stream: S) -> Self {
        let layer = match Layer::new(stream) {
            Ok(layer) => layer,
            Err(stream) => match AnyStream::from(stream) {
                AnyStream::Socket(socket) => return socket.into(),
                AnyStream::Other(stream) => Layer::any(stream),
            },
        };
        Self(Kind::Other(Rc::new(Other::new(layer, None))))
    }
}

impl Transport {
    /// The next bytes; none at the end.
    pub(super) fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_recv(context),
            Kind::Other(other) => other.poll_recv(context),
        }
    }

    /// The next bytes, for one who may not be the only one to receive; none at the end.
    pub(super) fn poll_recv_in_turn(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ManagedBuf>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_recv_in_turn(context),
            Kind::Other(other) => other.poll_recv(context),
        }
    }

    /// As `poll_recv_in_turn`, and whether the next poll would find nothing: the context's waker is
    /// registered then.
    pub(super) fn poll_recv_and_watch(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(ManagedBuf, bool)>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_recv_and_watch(context),
            Kind::Other(other) => other.poll_recv(context).map_ok(|bytes| (bytes, false)),
        }
    }

    /// As `poll_recv_in_turn`, into `room` where that saves a copy.
    pub(super) fn poll_recv_into(
        &self,
        context: &mut Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_recv_into_in_turn(context, room),
            Kind::Other(other) => other.poll_recv(context).map_ok(Some),
        }
    }

    /// Takes the first bytes of `bytes`, when no write is under way.
    pub(super) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_write(context, bytes),
            Kind::Other(other) => other.poll_write(context, bytes),
        }
    }

    /// As `poll_write`, out of several slices.
    pub(super) fn poll_write_vectored(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_write_vectored(context, slices),
            Kind::Other(other) => other.poll_write_by(context, |stream, context| {
                stream.poll_write_vectored(context, slices)
            }),
        }
    }

    /// Whether `poll_write_vectored` takes bytes of several slices.
    pub(super) fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kind::Socket { .. } => true,
            Kind::Other(other) => other
                .stream
                .try_borrow()
                .is_ok_and(|stream| stream.is_write_vectored()),
        }
    }

    /// Waits until what was taken is on its way.
    pub(super) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_flush(context),
            Kind::Other(other) => {
                other.poll_write_turn(context, |stream, context| stream.poll_flush(context))
            }
        }
    }

    /// Ends the sending direction after the bytes that were sent. It can be ended again.
    pub(super) fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_shutdown(context),
            Kind::Other(other) => other.poll_shutdown(context),
        }
    }

    /// Whether nothing has come, neither bytes nor an end, and a receive waits for it. It may
    /// forget whom to wake.
    pub(super) fn is_silent(&self) -> bool {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.is_silent(),
            Kind::Other(other) => {
                let mut nobody = Context::from_waker(Waker::noop());
                other.poll_recv(&mut nobody).is_pending()
            }
        }
    }

    /// Whether the kernel has something that was not received, of a connection that goes on.
    pub(super) fn has_unreceived(&self) -> bool {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.has_unreceived(),
            Kind::Other(other) => other.look(|layer| {
                layer.has_early() || layer.socket().is_some_and(Socket::has_unreceived)
            }),
        }
    }

    /// Sees to it that what came up to `now` is known, but for the last moments.
    #[inline]
    pub(super) fn catch_up(&self, now: Instant) {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.catch_up(now),
            // The stream below it is most likely a socket of this thread.
            Kind::Other(_) => {
                if let Ok(driver) = driver::current() {
                    driver.catch_up(now);
                }
            }
        }
    }

    /// Sees to it that what has come by now is known.
    #[cold]
    pub(super) fn collect_now(&self) {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.collect_now(),
            // As above.
            Kind::Other(_) => {
                if let Ok(driver) = driver::current() {
                    driver.collect_now();
                }
            }
        }
    }

    /// The next bytes, as many as a flood allows at once when they are there.
    pub(super) fn poll_recv_up_to(
        &self,
        flood: Flood,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ManagedBuf>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_recv_up_to(flood, context),
            Kind::Other(other) => other.poll_recv(context),
        }
    }

    /// Whether a receive waits for more than there may be.
    pub(super) fn is_gathering(&self) -> bool {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.is_gathering(),
            Kind::Other(_) => false,
        }
    }

    /// Sends as much as goes at once. `WouldBlock` when nothing does.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.try_write(bytes),
            Kind::Other(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Sends what goes at once, where that is the cheapest way; the rest is for a write.
    pub(super) fn send_at_once(&self, bytes: &Vec<u8>) -> io::Result<usize> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.send_at_once(bytes),
            Kind::Other(_) => Ok(0),
        }
    }

    /// Takes `bytes` to be sent whole while no task waits, where that is the cheapest way; an empty
    /// buffer stands in their place then.
    #[inline]
    pub(super) fn post(&self, bytes: &mut Vec<u8>, outbox: &Rc<Outbox>) -> bool {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.post(bytes, outbox),
            Kind::Other(_) => false,
        }
    }

    /// Whether a write is under way.
    #[inline]
    pub(super) fn is_sending(&self) -> bool {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.is_sending(),
            Kind::Other(_) => false,
        }
    }

    /// Sends all of `buf` and gives it back.
    pub(super) fn write_all<B: IoBuf + AsRef<[u8]>>(&self, buf: B) -> Writing<B> {
        match &self.0 {
            Kind::Socket { socket, .. } => Writing::Socket(socket.write_whole(buf)),
            Kind::Other(other) => {
                let other = Rc::clone(other);
                Writing::Other(Box::pin(async move {
                    let _turn = other.write_turn().await;
                    other.write_in_turn(buf.as_ref()).await?;
                    Ok(buf)
                }))
            }
        }
    }

    /// As `write_all`, by a call of its own where that is the cheapest way.
    async fn send_all<B: IoBuf + AsRef<[u8]>>(&self, buf: B) -> io::Result<B> {
        match &self.0 {
            Kind::Socket { socket, .. } => Ok(socket.write_all(buf).await?),
            Kind::Other(_) => {
                let sent = self.write_all(buf).await;
                budget::turn().await;
                sent
            }
        }
    }

    /// As `send_all`, of several buffers.
    async fn send_all_vectored<B: IoVectored>(&self, bufs: B) -> io::Result<B> {
        let sent = match &self.0 {
            Kind::Socket { socket, .. } => match socket.write_whole_vectored(bufs).await {
                Ok((_, bufs)) => Ok(bufs),
                Err(error) => Err(error.into()),
            },
            Kind::Other(other) => {
                let _turn = other.write_turn().await;
                other.write_parts_in_turn(slices_of(&bufs)).await?;
                Ok(bufs)
            }
        };
        budget::turn().await;
        sent
    }

    /// Takes `bytes` to be sent in one piece, where that is the cheapest way and nothing stands
    /// before them: when they were sent as a matter of course, the answer is what wakes. The write
    /// may end short, and an error says that nothing was sent.
    pub(super) fn write_quietly(&self, bytes: &mut Vec<u8>) -> Option<SendAll<Vec<u8>>> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.write_quietly(bytes),
            Kind::Other(_) => None,
        }
    }

    /// Sends all of `parts` and gives them back.
    pub(super) fn write_parts(
        &self,
        parts: Interleaved,
    ) -> impl Future<Output = io::Result<Interleaved>> + use<> {
        let write = match &self.0 {
            Kind::Socket { socket, .. } => Either::Left(socket.write_whole_vectored(parts)),
            Kind::Other(other) => Either::Right((Rc::clone(other), parts)),
        };
        async move {
            match write {
                Either::Left(write) => Ok(write.await?.1),
                Either::Right((other, parts)) => {
                    let _turn = other.write_turn().await;
                    other.write_parts_in_turn(parts.parts()).await?;
                    Ok(parts)
                }
            }
        }
    }

    /// How many empty lines came since the last request.
    pub(super) fn empty_line_count(&self) -> &Cell<u32> {
        match &self.0 {
            Kind::Socket {
                empty_line_count, ..
            } => empty_line_count,
            Kind::Other(other) => &other.empty_line_count,
        }
    }

    /// Ends the sending direction after the bytes that were sent. It can be ended again.
    pub(super) async fn shutdown(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.shutdown(Shutdown::Write).await,
            Kind::Other(other) if other.is_shut.get() => Ok(()),
            Kind::Other(other) => {
                poll_fn(|context| other.with(|stream| stream.poll_shutdown(context))).await?;
                other.is_shut.set(true);
                Ok(())
            }
        }
    }

    /// Ends it at once: what is still to be sent is thrown away, and the peer sees a reset.
    pub(super) fn cut(&self) {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.cut(),
            Kind::Other(other) => {
                other.ask_socket(Socket::cut);
            }
        }
    }

    /// A figure that changes whenever the peer takes bytes of a write of at most
    /// [`piece_bytes_max`](Self::piece_bytes_max); none when that is unknown.
    pub(super) fn bytes_taken(&self) -> Option<u64> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.bytes_taken(),
            Kind::Other(other) => {
                // That of a Unix socket tells of short writes only.
                let is_exact = |socket: &Socket| socket.piece_bytes_max() == usize::MAX;
                let exact = |socket: &Socket| socket.bytes_taken().filter(|_| is_exact(socket));
                let below = other.ask_socket(exact).flatten();
                below.or_else(|| Some(other.taken.get()))
            }
        }
    }

    /// Whether the peer's system has all that was sent; no when that is unknown.
    pub(super) fn is_acknowledged(&self) -> bool {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.is_acknowledged(),
            Kind::Other(other) => other.ask_socket(Socket::is_acknowledged) == Some(true),
        }
    }

    pub(super) fn piece_bytes_max(&self) -> usize {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.piece_bytes_max(),
            Kind::Other(_) => usize::MAX,
        }
    }

    /// Waits until the peer has reset the connection, or has closed its side when `half_close`
    /// counts too. The bytes that it sends stay where they are.
    pub(super) fn poll_gone(
        &self,
        context: &mut Context<'_>,
        wait: &mut GoneWait,
        half_close: bool,
    ) -> Poll<()> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.poll_gone(context, wait, half_close).map(drop),
            Kind::Other(other) => other
                .ask_socket(|socket| socket.poll_gone(context, wait, half_close).map(drop))
                .unwrap_or(Poll::Pending),
        }
    }

    /// How many bytes went each way, where the kernel tells.
    pub(super) fn bytes(&self) -> Option<TcpBytes> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.bytes(),
            Kind::Other(other) => other.ask_socket(Socket::bytes).flatten(),
        }
    }

    pub(super) fn peer(&self) -> Peer {
        match &self.0 {
            Kind::Socket { socket, .. } => peer_of(socket),
            Kind::Other(other) => other.peer(),
        }
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer().addr()
    }

    /// Whether a handshake is under way, before which nothing else comes.
    pub(super) fn is_handshaking(&self) -> bool {
        match &self.0 {
            Kind::Socket { .. } => false,
            Kind::Other(other) => other.look(Layer::is_handshaking),
        }
    }

    /// Whether it speaks TLS.
    pub(super) fn is_tls(&self) -> bool {
        match &self.0 {
            Kind::Socket { .. } => false,
            Kind::Other(other) => other.look(Layer::is_tls),
        }
    }

    /// Whether its client has agreed on HTTP/2 in its handshake.
    pub(super) fn has_agreed_on_http2(&self) -> bool {
        match &self.0 {
            Kind::Socket { .. } => false,
            Kind::Other(other) => other.look(Layer::has_agreed_on_http2),
        }
    }

    /// Why it cannot go on, if it cannot. Where TLS is broken, bytes go without it then.
    pub(super) fn broken(&self) -> Option<Broken> {
        match &self.0 {
            Kind::Socket { .. } => None,
            Kind::Other(other) => other.look(Layer::broken),
        }
    }
}

/// The other end of a socket.
pub(super) fn peer_of(socket: &Socket) -> Peer {
    match socket.peer_addr() {
        Some(addr) => Peer::Addr(addr),
        None if socket.is_unix() => Peer::Local,
        None => Peer::Gone,
    }
}

/// A write on its way. It does not borrow the transport.
pub(super) enum Writing<B: IoBuf> {
    Socket(SendAll<B>),
    Other(Pin<Box<dyn Future<Output = io::Result<B>>>>),
}

impl<B: IoBuf> Unpin for Writing<B> {}

impl<B: IoBuf> Future for Writing<B> {
    type Output = io::Result<B>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Socket(write) => match Pin::new(write).poll(context) {
                Poll::Ready(Ok((_, buf))) => Poll::Ready(Ok(buf)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                Poll::Pending => Poll::Pending,
            },
            Self::Other(write) => write.as_mut().poll(context),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.fmt(f),
            Kind::Other(_) => f.debug_struct("Transport").finish_non_exhaustive(),
        }
    }
}
