//! The body of a request.

#[cfg(feature = "tower")]
mod frames;

use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;

use super::received::Received;
use crate::{
    budget::PutOff,
    http::{HeaderMap, error::Result, server::exchange::Exchange},
    io::ByteRead,
    pool::ManagedBuf,
};

/// A request's body, pulled piece by piece: what is not pulled stays with the client.
///
/// The first pull sends `100 Continue` to a client that asked by `Expect: 100-continue`. The wait
/// of a pull is bounded by [`Timeouts::body`](crate::http::Timeouts::body) and the rate beside it.
///
/// It is also what an [`io::Reader`](crate::io::Reader) reads from, a stream of its pieces, and
/// what a [client's request](crate::http::client::Request::body) can carry on to another server.
///
/// # Examples
///
/// ```
/// use annulus::{http::{self, Request}, io::Reader};
///
/// /// Counts the bytes, and holds one piece at a time.
/// async fn count(mut request: Request) -> http::Result<String> {
///     let mut body = request.take_body().limit(1 << 30);
///     let mut total = 0;
///     while let Some(piece) = body.next().await? {
///         total += piece.len();
///     }
///     Ok(format!("{total} bytes"))
/// }
///
/// /// Counts the lines.
/// async fn count_lines(mut request: Request) -> http::Result<String> {
///     let mut reader = Reader::new(request.take_body());
///     let mut count = 0;
///     while reader.read_line(4096).await?.is_some() {
///         count += 1;
///     }
///     Ok(format!("{count} lines"))
/// }
/// # let _ = (count, count_lines);
/// ```
#[derive(Debug)]
pub struct Body {
    /// Held so that the exchange sees that the body may still be read.
    received: Rc<Received>,
    /// The number of its request in the exchange; none for a body that was taken before.
    number: Option<u64>,
    /// While it waits as a stream.
    ticket: Option<u64>,
    put_off: PutOff,
}

impl Body {
    pub(crate) fn new(received: Rc<Received>, number: Option<u64>) -> Self {
        Self {
            received,
            number,
            ticket: None,
            put_off: PutOff::new(),
        }
    }

    /// Sets the limit on the body's size, in place of
    /// [`Limits::body_bytes_max`](crate::http::Limits::body_bytes_max).
    #[must_use]
    pub fn limit(self, bytes_max: u64) -> Self {
        if self.is_current() {
            self.exchange().set_body_bytes_max(bytes_max);
        }
        self
    }

    /// Sets the limit on the wait for each piece, in place of
    /// [`Timeouts::body`](crate::http::Timeouts::body).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        if self.is_current() {
            self.exchange().set_body_timeout(timeout);
        }
        self
    }

    fn exchange(&self) -> &Exchange {
        &self.received.exchange
    }

    fn is_current(&self) -> bool {
        self.number
            .is_some_and(|number| self.exchange().is_current(number))
    }

    /// Returns how many bytes are still to come, where the client has given the length.
    #[must_use]
    pub fn bytes_left(&self) -> Option<u64> {
        if self.is_current() {
            self.exchange().body_bytes_left()
        } else {
            Some(0)
        }
    }

    /// Receives the next piece, or `None` at the end.
    ///
    /// # Errors
    ///
    /// A body that is larger than its limit (413), that breaks the protocol or ends too early
    /// (400), or that does not come in time (408); an I/O error; or the answer was written already.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Result<Option<ManagedBuf>> {
        self.pull().await
    }

    fn pull(&self) -> Pull<'_> {
        Pull {
            exchange: self.exchange(),
            number: self.number,
            ticket: None,
            put_off: PutOff::new(),
        }
    }

    /// Receives the whole body. Its limit bounds it.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        let Some(first) = self.next().await? else {
            return Ok(Vec::new());
        };
        let mut bytes = first.into_vec();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Returns the trailers, fields that the client sent after a body in chunks; none before its
    /// end. Those that would change the message's meaning are left out (RFC 9110, section 6.5.1).
    #[must_use]
    pub fn trailers(&self) -> HeaderMap {
        self.number
            .map(|number| self.exchange().trailers(number))
            .unwrap_or_default()
    }
}

/// The pieces of the body, for a [`Reader`](crate::io::Reader).
impl ByteRead for Body {
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        match ready!(Pin::new(self).poll_next(context)) {
            Some(piece) => Poll::Ready(Ok(piece?)),
            None => Poll::Ready(Ok(ManagedBuf::empty())),
        }
    }
}

impl Stream for Body {
    type Item = Result<ManagedBuf>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(number) = this.number else {
            return Poll::Ready(None);
        };
        if this.put_off.waits(context) {
            return Poll::Pending;
        }
        let polled = this
            .received
            .exchange
            .poll_body(number, &mut this.ticket, context);
        polled.map(Result::transpose)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let (Some(ticket), Some(number)) = (self.ticket, self.number) {
            self.exchange().give_up_body(number, ticket);
        }
    }
}

/// The future of a piece.
struct Pull<'a> {
    exchange: &'a Exchange,
    number: Option<u64>,
    /// While it waits.
    ticket: Option<u64>,
    put_off: PutOff,
}

impl Future for Pull<'_> {
    type Output = Result<Option<ManagedBuf>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(number) = self.number else {
            return Poll::Ready(Ok(None));
        };
        let this = &mut *self;
        if this.put_off.waits(context) {
            return Poll::Pending;
        }
        this.exchange.poll_body(number, &mut this.ticket, context)
    }
}

impl Drop for Pull<'_> {
    fn drop(&mut self) {
        if let (Some(ticket), Some(number)) = (self.ticket, self.number) {
            self.exchange.give_up_body(number, ticket);
        }
    }
}
