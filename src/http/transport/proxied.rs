//! A connection that begins with a header of the PROXY protocol, which is read on its way in.

use std::{
    io::{self, IoSlice},
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{Kind, Transport, layer::Layer, other::Other, plain::Plain};
use crate::{
    http::proxy_header::{self, ProxyHeader},
    io::{ByteRead, ByteWrite},
    net::Socket,
    pool::ManagedBuf,
};

/// The function that makes the stream after the header, of which the first bytes may have come. The
/// stream is made even when these are not what it expects, so that its peer can be told.
pub(crate) type Begin = Rc<dyn Fn(Socket, ManagedBuf) -> (Begun, io::Result<()>)>;

/// The stream after the header.
pub(crate) struct Begun(pub(super) Layer);

/// A connection that begins with a header.
pub(super) struct Proxied {
    state: State,
    header: Option<Rc<ProxyHeader>>,
}

enum State {
    /// The header, or the rest of it, is to come.
    Waiting {
        socket: Socket,
        bytes: Vec<u8>,
        begin: Begin,
    },
    Begun(Layer),
    /// The bytes were no header.
    Malformed(Socket),
    Gone,
}

impl Proxied {
    fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&mut Layer>> {
        while let State::Waiting { socket, bytes, .. } = &mut self.state {
            let received = ready!(socket.poll_recv(context))?;
            if received.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.extend_from_slice(&received);
            match proxy_header::read(bytes) {
                Ok(None) => {}
                Ok(Some((header, len))) => self.begin(header, len)?,
                Err(error) => {
                    if let State::Waiting { socket, .. } = self.take() {
                        self.state = State::Malformed(socket);
                    }
                    let error = io::Error::new(io::ErrorKind::InvalidData, error);
                    return Poll::Ready(Err(error));
                }
            }
        }
        match &mut self.state {
            State::Begun(layer) => Poll::Ready(Ok(layer)),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Begins the stream after the header, which had `len` bytes.
    fn begin(&mut self, mut header: ProxyHeader, len: usize) -> io::Result<()> {
        let State::Waiting {
            socket,
            mut bytes,
            begin,
        } = self.take()
        else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        bytes.drain(..len);
        header.proxy = socket.peer_addr();
        self.header = Some(Rc::new(header));
        let (Begun(layer), result) = begin(socket, ManagedBuf::own(bytes));
        self.state = State::Begun(layer);
        result
    }

    fn take(&mut self) -> State {
        mem::replace(&mut self.state, State::Gone)
    }

    /// The stream after the header, once that has come.
    pub(super) fn begun(&self) -> Option<&Layer> {
        match &self.state {
            State::Begun(layer) => Some(layer),
            _ => None,
        }
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        match &self.state {
            State::Waiting { socket, .. } | State::Malformed(socket) => Some(socket),
            State::Begun(layer) => layer.socket(),
            State::Gone => None,
        }
    }

    pub(super) fn header(&self) -> Option<&Rc<ProxyHeader>> {
        self.header.as_ref()
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    pub(super) fn is_malformed(&self) -> bool {
        matches!(self.state, State::Malformed(_))
    }
}

impl Transport {
    /// A connection that begins with a header, and goes on as `begin` makes it.
    pub(crate) fn proxied(socket: Socket, begin: &Begin) -> Self {
        let proxied = Proxied {
            state: State::Waiting {
                socket,
                bytes: Vec::new(),
                begin: Rc::clone(begin),
            },
            header: None,
        };
        let layer = Layer::Proxied(Box::new(proxied));
        Self(Kind::Other(Rc::new(Other::new(layer, None))))
    }

    /// The header of the PROXY protocol that it began with.
    pub(crate) fn proxy_header(&self) -> Option<Rc<ProxyHeader>> {
        match &self.0 {
            Kind::Socket { .. } => None,
            Kind::Other(other) => other.proxy_header(),
        }
    }

    /// Whether the header, or the rest of it, is to come.
    pub(crate) fn waits_for_proxy_header(&self) -> bool {
        match &self.0 {
            Kind::Socket { .. } => false,
            Kind::Other(other) => {
                other.look(|layer| layer.proxied().is_some_and(Proxied::is_waiting))
            }
        }
    }
}

impl ByteRead for Proxied {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        ready!(self.poll_begun(context))?.poll_recv(context)
    }
}

impl ByteWrite for Proxied {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.begun().is_some_and(Layer::is_write_vectored)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Waiting { socket, .. } | State::Malformed(socket) => {
                socket.poll_shutdown(context)
            }
            State::Begun(layer) => layer.poll_shutdown(context),
            State::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// The stream after the header where no other protocol stands before HTTP.
pub(crate) fn plain(socket: Socket, unread: ManagedBuf) -> Begun {
    Begun(Layer::Plain(Box::new(Plain { unread, socket })))
}
