//! The connection below HTTP/2, with the I/O traits that the crate `h2` wants.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    buf,
    http::{server::worker_shared::Shared, tick::Tick, transport::Transport},
    pool::ManagedBuf,
};

/// The connection below, as its HTTP/2 connection sees it as well.
pub(super) struct Line {
    pub(super) transport: Transport,
    /// The tick at which bytes came last.
    heard: Cell<Tick>,
    /// Since when a write waits for the peer to take bytes.
    blocked: Cell<Option<Tick>>,
}

impl Line {
    pub(super) fn new(transport: Transport) -> Rc<Self> {
        Rc::new(Self {
            transport,
            heard: Cell::new(Tick::now()),
            blocked: Cell::new(None),
        })
    }

    /// The tick at which bytes came last.
    pub(super) fn heard(&self) -> Tick {
        self.heard.get()
    }

    /// Since when a write waits for the peer to take bytes.
    pub(super) fn blocked(&self) -> Option<Tick> {
        self.blocked.get()
    }
}

/// The connection below with tokio's I/O traits.
pub(super) struct Wire {
    line: Rc<Line>,
    shared: Rc<Shared>,
    /// Bytes that were received and not taken; none when it is empty.
    unread: ManagedBuf,
}

impl Wire {
    pub(super) fn new(line: Rc<Line>, shared: Rc<Shared>, unread: ManagedBuf) -> Self {
        Self {
            line,
            shared,
            unread,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = Pin::into_inner(self);
        buf::lend_read_buf(buf, |room| {
            if this.unread.is_empty() {
                let received = ready!(this.line.transport.poll_recv_into(context, room))?;
                this.line.heard.set(Tick::now());
                let Some(received) = received else {
                    return Poll::Ready(Ok(()));
                };
                this.unread = received;
            }
            let count = room.put(&this.unread);
            if count == this.unread.len() {
                // The kernel gets its memory back.
                this.unread = ManagedBuf::empty();
            } else {
                this.unread.advance(count);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Wire {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let blocked = &self.line.blocked;
        if written.is_pending() {
            blocked.set(blocked.get().or_else(|| Some(Tick::now())));
        } else {
            blocked.set(None);
        }
        if let Poll::Ready(Ok(count)) = &written {
            self.shared.count_sent(*count);
        }
        written
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.count(self.line.transport.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.count(self.line.transport.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.line.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.transport.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.line.transport.poll_shutdown(context)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}
