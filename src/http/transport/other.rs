//! A stream that is no socket: its turns to write, and what is counted of it.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{self, IoSlice},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker, ready},
};

use super::{Kind, Transport, layer::Layer, peer_of, proxied::Proxied};
use crate::{
    http::{proxy_header::ProxyHeader, trusted_proxies::Peer},
    io::ByteStream,
    net::Socket,
    pool::ManagedBuf,
    sync::{Semaphore, SemaphorePermit},
};

/// A stream that is no socket. It is shared with the writes on it.
pub(super) struct Other {
    pub(super) stream: RefCell<Layer>,
    /// Held by the write that is under way. The stream remembers one waker, and writes of several
    /// tasks go whole, as on a socket.
    write_turn: Semaphore,
    /// The waker of the last poll that waits to write, woken when that write has ended.
    watcher: Cell<Option<Waker>>,
    /// How many bytes the stream has taken.
    pub(super) taken: Cell<u64>,
    /// Its sending direction has ended.
    pub(super) is_shut: Cell<bool>,
    pub(super) empty_line_count: Cell<u32>,
    /// The other end of the connection that it is a part of.
    peer: Option<Peer>,
    /// The header of the PROXY protocol that that connection began with.
    header: Option<Rc<ProxyHeader>>,
    /// The stream below the one that it is a part of, if there is one. Its connection ends whether
    /// this goes on or not.
    below: Weak<Self>,
}

impl Other {
    pub(super) fn new(layer: Layer, peer: Option<Peer>) -> Self {
        Self {
            stream: RefCell::new(layer),
            write_turn: Semaphore::new(1),
            watcher: Cell::new(None),
            taken: Cell::new(0),
            is_shut: Cell::new(false),
            empty_line_count: Cell::new(0),
            peer,
            header: None,
            below: Weak::new(),
        }
    }

    /// A part of the connection `below`.
    #[cfg_attr(
        not(feature = "http2"),
        expect(dead_code, reason = "HTTP/2 makes such parts")
    )]
    pub(super) fn above(layer: Layer, below: &Transport) -> Self {
        let stream = match &below.0 {
            Kind::Socket { .. } => Weak::new(),
            Kind::Other(other) => Rc::downgrade(other),
        };
        Self {
            header: below.proxy_header(),
            below: stream,
            ..Self::new(layer, Some(below.peer()))
        }
    }

    /// The stream below, where this is a part of a connection.
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "TLS below is asked for")
    )]
    pub(super) fn below(&self) -> Option<Rc<Self>> {
        self.below.upgrade()
    }

    /// The header of the PROXY protocol that the connection began with.
    pub(super) fn proxy_header(&self) -> Option<Rc<ProxyHeader>> {
        let own = self.look(|layer| layer.proxied()?.header().cloned());
        own.or_else(|| self.header.clone())
    }

    /// The other end of the connection below.
    pub(super) fn peer(&self) -> Peer {
        let peer_of_layer = |layer: &Layer| {
            let header = layer.proxied().and_then(Proxied::header);
            match (header.and_then(|header| header.source), layer.socket()) {
                (Some(source), _) => Peer::Addr(source),
                (None, Some(socket)) => peer_of(socket),
                (None, None) => Peer::Local,
            }
        };
        self.peer.unwrap_or_else(|| self.look(peer_of_layer))
    }

    /// Looks at the stream from outside of its calls.
    pub(super) fn look<R: Default>(&self, look: impl FnOnce(&Layer) -> R) -> R {
        let layer = self.stream.try_borrow();
        layer.map_or_else(|_| R::default(), |layer| look(&layer))
    }

    /// Asks the socket below, where TLS is spoken over one.
    pub(super) fn ask_socket<R>(&self, ask: impl FnOnce(&Socket) -> R) -> Option<R> {
        self.look(|layer| layer.socket().map(ask))
    }

    /// Runs the user's code. It cannot come back here from inside.
    pub(super) fn with<R>(
        &self,
        call: impl FnOnce(&mut dyn ByteStream) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        match self.stream.try_borrow_mut() {
            Ok(mut stream) => call(&mut *stream),
            Err(_) => Poll::Ready(Err(io::Error::other(
                "a stream was used from inside a call of its own",
            ))),
        }
    }

    pub(super) fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.with(|stream| stream.poll_recv(context))
    }

    pub(super) async fn write_turn(&self) -> WriteTurn<'_> {
        let mut turn = WriteTurn {
            permit: None,
            watcher: &self.watcher,
        };
        turn.permit = self.write_turn.acquire().await.ok();
        turn
    }

    /// Polls the sending direction when no write is under way.
    pub(super) fn poll_write_turn<R>(
        &self,
        context: &mut Context<'_>,
        call: impl FnOnce(&mut dyn ByteStream, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        // Registered before the look, since a waker may do anything while it is cloned. Also when
        // the stream has the waker then: a write may put its own in that place.
        let before = self.watcher.replace(Some(context.waker().clone()));
        let polled = if self.write_turn.available_permits() > 0 {
            self.with(|stream| call(stream, context))
        } else {
            Poll::Pending
        };
        if polled.is_ready() {
            drop(self.watcher.take());
        }
        drop(before);
        polled
    }

    pub(super) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_by(context, |stream, context| stream.poll_write(context, bytes))
    }

    /// Writes by `call` when no write is under way, and counts what was taken.
    pub(super) fn poll_write_by(
        &self,
        context: &mut Context<'_>,
        call: impl FnOnce(&mut dyn ByteStream, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_write_turn(context, call)?);
        self.taken.set(self.taken.get() + count as u64);
        Poll::Ready(Ok(count))
    }

    pub(super) fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut.get() {
            ready!(self.poll_write_turn(context, |stream, context| stream.poll_shutdown(context))?);
            self.is_shut.set(true);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) async fn write_in_turn(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count =
                poll_fn(|context| self.with(|stream| stream.poll_write(context, bytes))).await?;
            if count == 0 || count > bytes.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.taken.set(self.taken.get() + count as u64);
            bytes = &bytes[count..];
        }
        poll_fn(|context| self.with(|stream| stream.poll_flush(context))).await
    }

    /// As `write_in_turn`, of several parts, as many at once as the stream takes.
    pub(super) async fn write_parts_in_turn<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        let mut slices: Vec<_> = parts.into_iter().map(IoSlice::new).collect();
        let mut left: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut slices = &mut slices[..];
        while left > 0 {
            let write = |stream: &mut dyn ByteStream, context: &mut Context<'_>| {
                stream.poll_write_vectored(context, slices)
            };
            let count = poll_fn(|context| self.with(|stream| write(stream, context))).await?;
            if count == 0 || count > left {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.taken.set(self.taken.get() + count as u64);
            left -= count;
            IoSlice::advance_slices(&mut slices, count);
        }
        poll_fn(|context| self.with(|stream| stream.poll_flush(context))).await
    }
}

/// The turn of a write, or a wait for it.
pub(super) struct WriteTurn<'a> {
    permit: Option<SemaphorePermit<'a>>,
    watcher: &'a Cell<Option<Waker>>,
}

impl Drop for WriteTurn<'_> {
    fn drop(&mut self) {
        drop(self.permit.take());
        if let Some(waker) = self.watcher.take() {
            waker.wake();
        }
    }
}
