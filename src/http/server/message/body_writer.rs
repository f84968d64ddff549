//! Writes the body of an answer in pieces.

#[cfg(feature = "compress")]
mod recoded;

use std::{fmt, future::poll_fn, io, os::fd::RawFd, rc::Rc, task::Poll};

use bytes::Bytes;

use crate::http::{HeaderName, HeaderValue, error::Result, server::exchange::Exchange};

/// Writes the body of an answer piece by piece; a handler gets it by
/// [`Response::writer`](crate::http::Response::writer).
///
/// Pieces gather while the handler does not wait, and are sent when it does. A write waits while
/// the client has yet to take 16 KiB: the client's pace is the handler's. Pieces of 8 KiB and more
/// are sent from where they are, one by one, or up to 256 KiB of them at once to a client that
/// takes all without delay.
///
/// A write beyond the `Content-Length` that the answer promised is refused. A body shorter than
/// that cuts the connection when the writer's function returns.
pub struct BodyWriter {
    exchange: Rc<Exchange>,
    number: u64,
    /// Changes the pieces on their way out.
    recode: Option<Rc<dyn Recode>>,
}

/// Gives the pieces of a body another form: that of a content coding.
pub(crate) trait Recode {
    /// The form of one piece, whole.
    fn recode(&self, data: &[u8]) -> io::Result<Bytes>;
}

impl BodyWriter {
    pub(crate) fn new(exchange: Rc<Exchange>, number: u64) -> Self {
        Self {
            exchange,
            number,
            recode: None,
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.exchange.is_current(self.number) {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "expected an answer under way, found one that has ended",
            ))
        }
    }

    /// Writes a piece. An empty one is no piece.
    ///
    /// # Errors
    ///
    /// When there is more than the answer promised, or the answer has ended. A client that is gone
    /// drops the handler instead.
    ///
    /// # Cancel safety
    ///
    /// A write that is dropped before it was ready has written nothing.
    pub async fn write(&mut self, data: impl Into<Bytes>) -> Result<()> {
        let mut data = data.into();
        poll_fn(|context| {
            self.check()?;
            self.exchange
                .outgoing()
                .poll_room(context)
                .map(Ok::<_, io::Error>)
        })
        .await?;
        if let (Some(recode), false) = (&self.recode, data.is_empty()) {
            data = recode.recode(&data)?;
        }
        self.exchange
            .outgoing()
            .write(data)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.exchange.wake();
        Ok(())
    }

    /// Waits until all written bytes are in the kernel's hands.
    ///
    /// # Errors
    ///
    /// When the answer has ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|context| {
            if let Err(error) = self.check() {
                return Poll::Ready(Err(error));
            }
            self.exchange.outgoing().poll_empty(context).map(Ok)
        })
        .await?;
        Ok(())
    }

    /// Sends as much of `data` as goes at once, and returns how much that was: nothing when other
    /// bytes are before it, the connection is none of the system's, or the pieces get another form.
    pub(crate) fn send_at_once(&mut self, data: &[u8]) -> Result<usize> {
        self.check()?;
        if self.recode.is_some() {
            return Ok(0);
        }
        Ok(self.exchange.send_body_at_once(data)?)
    }

    /// As [`send_at_once`](Self::send_at_once), of `len` bytes from `offset` of a file.
    /// `Unsupported` where they have to be read.
    pub(crate) fn send_file_at_once(
        &mut self,
        file: RawFd,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        self.check()?;
        if self.recode.is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.exchange.send_file_at_once(file, offset, len)
    }

    /// Adds a trailer, a field after the body. It is sent to clients that said `TE: trailers`,
    /// after a body in chunks, unless it is one of those that have no meaning there (RFC 9110,
    /// section 6.5.1). To clients of HTTP/2 it is always sent.
    pub fn add_trailer(&mut self, name: HeaderName, value: HeaderValue) {
        if self.check().is_ok() {
            self.exchange.outgoing().add_trailer(name, value);
        }
    }

    /// Waits until the server begins to stop, so that a handler that writes without an end can end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn stopping(&self) {
        self.exchange.shared().stopping().await;
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter").finish_non_exhaustive()
    }
}
