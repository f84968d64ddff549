//! The stream that TLS is spoken over.

use std::{
    fmt,
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{
    io::ByteStream,
    net::{AnyStream, Flood, SendAll, Socket},
    pool::ManagedBuf,
};

/// How much may be received at once from a socket whose peer sends a flood.
const RECEIVE_BYTES_MAX: u32 = 64 * 1024;
/// Memory of what was sent that is kept for the next send. An idle stream keeps none.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// The stream that TLS is spoken over: one of this crate's sockets, or any [`ByteStream`].
///
/// It is made by `From`, and functions that take a stream take what turns into one.
pub struct Carrier(Kind);

/// The two arms of [`AnyStream`], each with the send that has begun: a socket takes a whole buffer
/// without a copy, another stream as many bytes as it likes.
enum Kind {
    Socket {
        socket: Socket,
        /// A send of a whole piece, which goes on by itself once it has begun.
        sending: Option<SendAll<Vec<u8>>>,
    },
    Stream {
        stream: Box<dyn ByteStream>,
        /// The bytes that are being sent, and how many of them the stream has taken.
        sending: Vec<u8>,
        taken: usize,
    },
}

impl From<Socket> for Carrier {
    fn from(socket: Socket) -> Self {
        Self(Kind::Socket {
            socket,
            sending: None,
        })
    }
}

impl<S: ByteStream + 'static> From<S> for Carrier {
    fn from(stream: S) -> Self {
        match AnyStream::from(stream) {
            AnyStream::Socket(socket) => socket.into(),
            AnyStream::Other(stream) => Self(Kind::Stream {
                stream,
                sending: Vec::new(),
                taken: 0,
            }),
        }
    }
}

impl Carrier {
    /// The next bytes; none at the end.
    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match &mut self.0 {
            Kind::Socket { socket, .. } => {
                let flood = Flood {
                    bytes_max: RECEIVE_BYTES_MAX,
                    gather_bytes: 0,
                };
                socket.poll_recv_up_to(flood, context)
            }
            Kind::Stream { stream, .. } => stream.poll_recv(context),
        }
    }

    /// Sends what was begun, and then `bytes`, which it takes at once when nothing stands before
    /// them. Ready when everything was sent; `bytes` is empty then, and keeps memory.
    pub(super) fn poll_send(
        &mut self,
        bytes: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_begun(bytes, context))?;
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match &mut self.0 {
                Kind::Socket { socket, sending } => {
                    let sent = socket.send_at_once(bytes)?;
                    bytes.drain(..sent);
                    if !bytes.is_empty() {
                        *sending = Some(socket.write_whole(std::mem::take(bytes)));
                    }
                }
                Kind::Stream { sending, taken, .. } => {
                    std::mem::swap(sending, bytes);
                    *taken = 0;
                }
            }
        }
    }

    /// Finishes what was begun, and puts its memory into `spare` if that has none.
    fn poll_begun(
        &mut self,
        spare: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut sent = match &mut self.0 {
            Kind::Socket { sending, .. } => {
                let Some(send) = sending else {
                    return Poll::Ready(Ok(()));
                };
                let result = ready!(Pin::new(send).poll(context));
                *sending = None;
                result?.1
            }
            Kind::Stream {
                stream,
                sending,
                taken,
            } => {
                if sending.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                while *taken < sending.len() {
                    let count = ready!(stream.poll_write(context, &sending[*taken..]))?;
                    if count == 0 || count > sending.len() - *taken {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    *taken += count;
                }
                ready!(stream.poll_flush(context))?;
                std::mem::take(sending)
            }
        };
        if spare.capacity() == 0 && sent.capacity() <= KEPT_BYTES_MAX {
            sent.clear();
            *spare = sent;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a send has begun whose end was not seen yet.
    pub(super) fn is_sending(&self) -> bool {
        match &self.0 {
            Kind::Socket { sending, .. } => sending.is_some(),
            Kind::Stream { sending, .. } => !sending.is_empty(),
        }
    }

    /// Ends the sending direction. Nothing is being sent.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Socket { socket, .. } => socket.poll_shutdown(context),
            Kind::Stream { stream, .. } => stream.poll_shutdown(context),
        }
    }

    /// The socket, if it is one.
    pub(super) fn socket(&self) -> Option<&Socket> {
        match &self.0 {
            Kind::Socket { socket, .. } => Some(socket),
            Kind::Stream { .. } => None,
        }
    }

    /// Takes bytes to be sent as they are, when nothing stands before them.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(context))?;
        // They are taken, whether they go at once or later.
        match self.poll_send(&mut bytes.to_vec(), context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(bytes.len())),
        }
    }

    /// Waits until everything that was taken is sent.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(&mut Vec::new(), context)
    }

    /// Sends a few last words if that goes at once, and nothing stands before them.
    pub(super) fn say_at_once(&mut self, bytes: &[u8]) {
        if let Kind::Socket {
            socket,
            sending: None,
        } = &self.0
        {
            // The handle is gone, so there is no caller for an error.
            let _ = socket.try_write(bytes);
        }
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.fmt(f),
            Kind::Stream { .. } => f.debug_struct("Carrier").finish_non_exhaustive(),
        }
    }
}
